//! Checkpoints: that sessions go back to them, that others are made from them, that executions are undone by them, and that
//! sessions sleep in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Answer;
use crate::exposition::scrape;
use crate::files_client::Files;
use crate::keys::{Keys, ask as ask_with_key};
use crate::numbers::Numbers;
use crate::process::{nest_pid, wait_for};
use crate::python;
use crate::server::{BINARY, Server, Setup};

const KEPT: &str = "--abandoned-seconds-max 60";

pub(crate) fn post(server: &Server, path: &str, body: &Value) -> Answer {
    server.send("POST", path, &body.to_string())
}

pub(crate) fn fork_to(server: &Server, id: &str, child: &str) {
    let forked = post(server, &format!("/v1/sessions/{id}/fork"), &json!({ "ids": [child] }));
    assert_eq!(forked.status, 201, "{forked:?}");
}

pub(crate) fn printed(server: &Server, id: &str, code: &str) -> String {
    let answer = server.ask(id, &json!({ "code": code }));
    assert_eq!((answer.status, answer.text("outcome")), (200, "ok"), "{id}: {code}: {answer:?}");
    answer.stdout().to_owned()
}

pub(crate) fn begin(server: &Server, id: &str, code: &str) {
    assert_eq!(server.create(&json!({ "id": id }).to_string()).status, 201);
    printed(server, id, code);
}

pub(crate) fn hibernate(server: &Server, id: &str) {
    let asleep = post(server, &format!("/v1/sessions/{id}/hibernate"), &json!({}));
    assert_eq!((asleep.status, asleep.text("state")), (200, "hibernated"), "{asleep:?}");
}

/// The interpreter by a name that no other test has for it.
pub(crate) fn own_python(folder: &TempDir) -> PathBuf {
    let own = folder.path().join("python3");
    std::os::unix::fs::symlink(python::bare(), &own).expect("a link can be made");
    own
}

/// Kills the nest that runs this interpreter, and returns when it is gone.
pub(crate) fn end_nest(interpreter: &Path) {
    let killed = wait_for(Duration::from_secs(10), || {
        let nest = Pid::from_raw(nest_pid(interpreter).cast_signed()).expect("a pid is positive");
        // One that has just gone is no nest.
        kill_process(nest, Signal::KILL).is_ok().then_some(nest)
    });
    let nest = killed.expect("the nest can be killed");
    let gone = wait_for(Duration::from_secs(10), || test_kill_process(nest).is_err().then_some(()));
    assert!(gone.is_some());
}

fn take(server: &Server, id: &str, name: &str) -> Answer {
    post(server, &format!("/v1/sessions/{id}/checkpoints"), &json!({ "name": name }))
}

fn restore(server: &Server, id: &str, checkpoint: &str) -> Answer {
    post(server, &format!("/v1/sessions/{id}/restore"), &json!({ "checkpoint": checkpoint }))
}

fn names(list: &Answer) -> Vec<&str> {
    let list = list.json["checkpoints"].as_array().expect("a list");
    list.iter().map(|one| one["id"].as_str().expect("it has a name")).collect()
}

fn state(server: &Server, id: &str) -> String {
    server.look_at(id).text("state").to_owned()
}

#[test]
fn a_session_goes_back_to_a_checkpoint_and_others_are_made_from_it() {
    let server = Setup::bare().start();
    let made = json!({ "id": "a", "labels": { "team": "x" }, "env": { "TOKEN": "t" }, "policy": { "files": "full" } });
    assert_eq!(server.create(&made.to_string()).status, 201);
    let code = "\
import os
x = [1]; squares = (n * n for n in range(100)); next(squares)
open('file', 'w').write('first'); os.makedirs('/tmp/deep/er'); os.chdir('/tmp/deep')
scratch = open('/tmp/scratch', 'w+'); scratch.write('abc'); scratch.flush(); scratch.seek(1)
open('/dev/shm/shared', 'w').write('shm')";
    printed(&server, "a", code);
    let taken = take(&server, "a", "one");
    assert_eq!((taken.status, taken.header("location")), (201, Some("/v1/checkpoints/one")), "{taken:?}");
    assert_eq!([taken.id(), taken.text("kind"), taken.text("session")], ["one", "asked", "a"]);
    assert!(
        taken.json["executions"] == 1 && taken.json["bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20),
        "{taken:?}"
    );
    let look = "\
print(x, next(squares), open('/workspace/file').read(), os.getcwd(), scratch.read(), os.environ['TOKEN'], open('/dev/shm/shared').read())
x.append(len(x)); open('/workspace/file', 'w').write('later'); os.remove('/dev/shm/shared'); open('/tmp/more', 'w').close()";
    let first = printed(&server, "a", look);
    assert_eq!(first, "[1] 1 first /tmp/deep bc t shm\n");
    let second = take(&server, "a", "two");
    assert_eq!((second.status, second.text("parent")), (201, "one"), "{second:?}");
    for round in 0..3 {
        let restored = restore(&server, "a", "one");
        assert_eq!((restored.status, restored.text("checkpoint")), (200, "one"), "{restored:?}");
        // Its numbers go on, as its past is what it was.
        assert_eq!((restored.json["executions"].as_u64(), restored.id()), (Some(2 + round), "a"), "{restored:?}");
        assert_eq!(printed(&server, "a", look), first, "{round}");
    }
    let made = server.create(r#"{"id": "b", "checkpoint": "one"}"#);
    assert_eq!((made.status, made.text("parent"), made.text("checkpoint")), (201, "a", "one"), "{made:?}");
    assert_eq!(
        (&made.json["labels"]["team"], &made.json["policy"]["files"]),
        (&json!("x"), &json!("full")),
        "{made:?}"
    );
    assert_eq!(printed(&server, "b", look), first);
    // One of another's.
    assert_eq!(restore(&server, "b", "two").status, 200);
    assert_eq!(printed(&server, "b", "print(x, os.path.exists('/tmp/more'))"), "[1, 1] True\n");
    assert_eq!(names(&server.get("/v1/checkpoints")), ["one", "two"]);
    assert_eq!(names(&server.get("/v1/sessions/a/checkpoints")), ["one", "two"]);
    assert_eq!(names(&server.get("/v1/sessions/b/checkpoints")), [""; 0]);
    // They outlive their session, and what was made from them outlives them.
    server.delete("a");
    assert_eq!(server.send("DELETE", "/v1/checkpoints/two", "").status, 204);
    assert_eq!(printed(&server, "b", "print(x)"), "[1, 1]\n");
    assert_eq!(server.create(r#"{"id": "a", "checkpoint": "one"}"#).status, 201);
    assert_eq!(printed(&server, "a", look), first);
    assert_eq!([server.get("/v1/checkpoints/one").status, server.get("/v1/checkpoints/two").status], [200, 404]);
}

#[test]
fn what_cannot_be_had_is_refused_by_name_and_nothing_changes() {
    let server = Setup::bare().option("--checkpoints-bytes-max 12000000").start();
    begin(&server, "a", "x = 5");
    assert_eq!(take(&server, "a", "one").status, 201);
    let ask = |path: &str, body: Value| post(&server, path, &body);
    for (answer, status, code, field) in [
        (take(&server, "a", "one"), 409, "checkpoint_exists", ""),
        (take(&server, "a", "no/name"), 400, "invalid_checkpoint_id", "name"),
        (take(&server, "none", "two"), 404, "no_such_session", ""),
        (ask("/v1/sessions/a/checkpoints", json!({ "label": "x" })), 400, "unknown_field", "label"),
        (restore(&server, "a", "none"), 404, "no_such_checkpoint", ""),
        (restore(&server, "none", "one"), 404, "no_such_session", ""),
        (ask("/v1/sessions/a/restore", json!({})), 400, "missing_field", "checkpoint"),
        (ask("/v1/sessions/none/hibernate", json!({})), 404, "no_such_session", ""),
        (server.create(r#"{"checkpoint": "none"}"#), 404, "no_such_checkpoint", ""),
        (server.create(r#"{"checkpoint": "one", "env": {"A": "b"}}"#), 400, "variables_of_checkpoint", "env"),
        (server.create(r#"{"checkpoints": "always"}"#), 400, "out_of_range", "checkpoints"),
        (server.get("/v1/checkpoints/none"), 404, "no_such_checkpoint", ""),
        (server.send("DELETE", "/v1/checkpoints/none", ""), 404, "no_such_checkpoint", ""),
    ] {
        assert_eq!((answer.status, answer.refusal()[0], answer.refusal()[2]), (status, code, field), "{answer:?}");
    }
    // What it has that no image can carry.
    printed(&server, "a", "import socket; s = socket.socket()");
    for answer in [take(&server, "a", "two"), ask("/v1/sessions/a/hibernate", json!({}))] {
        assert_eq!((answer.status, answer.refusal()[0]), (409, "not_checkpointable"), "{answer:?}");
        assert!(answer.refusal()[1].contains("a socket is open on descriptor"), "{answer:?}");
    }
    assert!(server.look_at("a").text("not_checkpointed").contains("a socket"), "{:?}", server.look_at("a"));
    printed(&server, "a", "s.close()");
    // More than there is room for, until something goes.
    let taken: Vec<_> = (0..40).map(|number| take(&server, "a", &format!("more-{number}"))).collect();
    let full = taken.iter().find(|taken| taken.status != 201).expect("there is an end to the room");
    assert_eq!((full.status, full.refusal()[0]), (507, "no_room_for_checkpoint"), "{full:?}");
    // Nothing is left of those for which there was none.
    let kept = 1 + taken.iter().filter(|taken| taken.status == 201).count();
    let folders = || fs::read_dir(server.state_dir().join("checkpoints")).expect("it is there").count();
    assert!(wait_for(Duration::from_secs(10), || (folders() == kept).then_some(())).is_some(), "{}", folders());
    // Two, as the first was of a session that had less.
    for name in ["one", "more-0"] {
        assert_eq!(server.send("DELETE", &format!("/v1/checkpoints/{name}"), "").status, 204);
    }
    assert_eq!(take(&server, "a", "one").status, 201);
    assert!(!server.look_at("a").json.as_object().expect("an object").contains_key("not_checkpointed"));
    assert_eq!(printed(&server, "a", "print(x)"), "5\n");
}

#[test]
fn an_execution_that_ends_its_interpreter_is_undone_where_each_has_a_checkpoint() {
    let server = Setup::bare().start();
    let made =
        json!({ "id": "a", "checkpoints": "each", "limits": { "wall_seconds": 0.5, "memory_bytes": 100 << 20 } });
    assert_eq!(server.create(&made.to_string()).text("checkpoints"), "each");
    // Also before anything has run.
    assert_eq!(server.ask("a", &json!({ "code": "import os; os._exit(1)" })).text("session_state"), "rewound");
    printed(&server, "a", "n = 0; g = (i for i in range(100))");
    for (round, (code, outcome)) in [
        ("n += 1; import os; os._exit(3)", "exited"),
        ("n += 1; import ctypes; ctypes.string_at(0)", "signal"),
        ("n += 1; open('left', 'w').close(); import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass", "timeout"),
        ("n += 1; import mmap; m = mmap.mmap(-1, 200 << 20)\nfor i in range(0, len(m), 4096): m[i] = 1", "out_of_memory"),
    ]
    .into_iter()
    .enumerate()
    {
        let next = printed(&server, "a", "n += 1; print(n, next(g))");
        assert_eq!(next, format!("{} {round}\n", round + 1), "{code}");
        // A file that came from outside stays.
        let _ = Files { server: &server, session: "a" }.put("given", format!("{round}").as_bytes());
        let killed = server.ask("a", &json!({ "code": code }));
        assert_eq!((killed.text("outcome"), killed.text("session_state")), (outcome, "rewound"), "{killed:?}");
        assert!(killed.error().ends_with("; session state as before this execution"), "{killed:?}");
        let look = "import os; print(n, os.path.exists('left'), open('given').read())";
        assert_eq!(printed(&server, "a", look), format!("{} False {round}\n", round + 1), "{code}");
        let kept = server.get(&format!("/v1/sessions/a/executions/{}", killed.json["execution"]));
        assert_eq!((kept.text("outcome"), kept.text("session_state")), (outcome, "rewound"), "{kept:?}");
    }
    assert!(
        server.look_at("a").json["rewinds"].as_u64().is_some_and(|rewinds| rewinds >= 4),
        "{:?}",
        server.look_at("a")
    );
    let automatic = server.get("/v1/sessions/a/checkpoints");
    assert!(
        automatic.json["checkpoints"].as_array().is_some_and(|list| (2..=4).contains(&list.len())),
        "{automatic:?}"
    );
    // What was asked for is done.
    server.delete("a");
    assert_eq!(server.look_at("a").status, 404);
    assert_eq!(names(&server.get("/v1/checkpoints")), [""; 0]);
}

#[test]
fn sessions_of_execute_are_rewound_where_the_operator_wants_it() {
    let server = Setup::bare().option("--checkpoints each").option(KEPT).start();
    server.run_in("a", "x = 1");
    let killed = server.run_in("a", "x = 2; import os; os._exit(4)");
    assert_eq!(
        killed.error(),
        "session ended: the interpreter exited with status 4; session state as before this execution"
    );
    assert_eq!(server.run_in("a", "print(x)").stdout(), "1\n");
    // Where nothing can be written down, it is lost as ever, and said.
    server.run_in(
        "a",
        "import threading; e = threading.Event(); t = threading.Thread(target=e.wait, daemon=True); t.start()",
    );
    let killed = server.run_in("a", "import os; os._exit(5)");
    assert_eq!(killed.error(), "session ended: the interpreter exited with status 5; session state lost");
    assert_eq!(server.run_in("a", "print('x' in globals())").stdout(), "False\n");
    // An execution that a killed server has begun, too.
    server.run_in("a", "import time; y = 7");
    server.ask("a", &json!({ "code": "y = 8; time.sleep(1.5); import os; os._exit(6)", "detach": true }));
    let running = wait_for(Duration::from_secs(5), || (state(&server, "a") == "running").then_some(()));
    assert!(running.is_some());
    let server = Setup::bare().option("--checkpoints each").option(KEPT).start_after(server.end_by(Signal::KILL));
    let rewound = wait_for(Duration::from_secs(10), || (server.look_at("a").json["rewinds"] == 1).then_some(()));
    assert!(rewound.is_some(), "{:?}", server.look_at("a"));
    assert_eq!(server.run_in("a", "print(y)").stdout(), "7\n");
}

/// Whatever is asked of the session next.
#[test]
fn a_checkpoint_has_files_as_they_were_when_it_was_asked_for() {
    let server = Server::with("");
    begin(&server, "a", "open('large', 'wb').write(b'a' * 40_000_000); open('small', 'w').write('a')");
    for round in 0..4 {
        let name = format!("c{round}");
        std::thread::scope(|scope| {
            let taken = scope.spawn(|| post(&server, "/v1/sessions/a/checkpoints", &json!({ "name": name })));
            std::thread::sleep(Duration::from_millis(2 * round));
            printed(&server, "a", "open('large', 'r+b').write(b'b' * 30_000_000); open('small', 'w').write('b')");
            printed(&server, "a", "open('large', 'wb').close()");
            let taken = taken.join().expect("it answers");
            assert_eq!(taken.status, 201, "{taken:?}");
        });
        assert_eq!(restore(&server, "a", &name).status, 200);
        let code = "large = open('large', 'rb').read(); print(len(large), sorted(set(large)), open('small').read())";
        let seen = printed(&server, "a", code);
        // Or it was asked for after that.
        assert!(["40000000 [97] a\n", "0 [] b\n", "40000000 [97, 98] b\n"].contains(&seen.as_str()), "{seen}");
        printed(&server, "a", "open('large', 'wb').write(b'a' * 40_000_000); open('small', 'w').write('a')");
    }
}

#[test]
fn files_that_cannot_be_taken_along_are_said_of_a_session_that_takes_checkpoints_by_itself() {
    let server = Server::with("--workspace-bytes-max 16777216 --scratch-bytes-max 16777216");
    assert_eq!(server.create(r#"{"id": "a", "checkpoints": "each"}"#).status, 201);
    printed(&server, "a", "for name in 'abcde': open(name, 'wb').truncate(4_000_000)");
    let said = wait_for(Duration::from_secs(10), || {
        let seen = server.look_at("a");
        seen.json["not_checkpointed"].as_str().map(str::to_owned)
    });
    assert!(said.is_some(), "{:?}", server.look_at("a"));
    printed(&server, "a", "open('a', 'wb').close(); open('b', 'wb').close()");
    let gone =
        wait_for(Duration::from_secs(10), || server.look_at("a").json["not_checkpointed"].is_null().then_some(()));
    assert!(gone.is_some(), "{:?}", server.look_at("a"));
}

#[test]
fn how_long_sessions_stand_still_is_counted() {
    let server = Server::with("");
    begin(&server, "a", "x = 1");
    assert_eq!(post(&server, "/v1/sessions/a/checkpoints", &json!({})).status, 201);
    fork_to(&server, "a", "b");
    let paused = post(&server, "/v1/sessions/b/checkpoints", &json!({}));
    assert_eq!(paused.status, 201, "{paused:?}");
    let seen = scrape(&server);
    let [count, sum] = ["count", "sum"].map(|what| seen.get(&format!("eggbox_session_pause_seconds_{what}"), &[]));
    assert!(count == 3.0 && sum > 0.0 && sum < 10.0, "{count} {sum}");
}

#[test]
fn a_session_takes_a_checkpoint_when_it_is_idle() {
    let server = Setup::bare().start();
    assert_eq!(server.create(r#"{"id": "a", "checkpoints": "on_idle"}"#).status, 201);
    printed(&server, "a", "x = 1");
    let taken = || {
        let list = server.get("/v1/sessions/a/checkpoints");
        list.json["checkpoints"].as_array().expect("a list").last().filter(|last| last["executions"] == 1).cloned()
    };
    let taken = wait_for(Duration::from_secs(10), taken).expect("it takes one");
    assert_eq!(taken["kind"], "automatic");
    printed(&server, "a", "x = 2");
    assert_eq!(restore(&server, "a", taken["id"].as_str().expect("a name")).status, 200);
    assert_eq!(printed(&server, "a", "print(x)"), "1\n");
    let off = server.send("PATCH", "/v1/sessions/a", r#"{"checkpoints": "off"}"#);
    assert_eq!(off.text("checkpoints"), "off");
}

#[test]
fn a_session_sleeps_on_the_disk_and_wakes_when_it_is_asked_for() {
    let server = Setup::bare().start();
    begin(&server, "a", "import os; n = 1; g = iter(range(10)); open('file', 'w').write('text')");
    for (index, wake) in [
        "POST /execute",
        "POST /v1/sessions/a/executions",
        "GET /v1/sessions/a/files/file",
        "POST /v1/sessions/a/checkpoints",
        "POST /v1/sessions/a/fork",
        "PATCH /v1/sessions/a",
    ]
    .into_iter()
    .enumerate()
    {
        hibernate(&server, "a");
        // To look at it is not to wake it.
        assert_eq!(state(&server, "a"), "hibernated");
        let runs = server.get("/v1/sessions/a/executions");
        assert_eq!(runs.json["executions"].as_array().map(Vec::len), Some(1 + index * 2), "{runs:?}");
        assert_eq!(names(&server.get("/v1/checkpoints")).len(), usize::from(index > 3));
        hibernate(&server, "a");
        assert_eq!(server.create(r#"{"id": "a"}"#).refusal()[0], "session_exists");
        let (method, path) = wake.split_once(' ').expect("a method and a path");
        let body = match path {
            "/execute" => json!({ "id": "a", "code": "pass" }),
            "/v1/sessions/a/executions" => json!({ "code": "pass" }),
            _ => json!({}),
        };
        let body = body.to_string();
        let answer = match method {
            "GET" => Files { server: &server, session: "a" }.get("file").status,
            _ => server.send(method, path, &body).status,
        };
        assert!((200..300).contains(&answer), "{wake}: {answer}");
        assert_eq!(state(&server, "a"), "idle", "{wake}");
        if index > 1 {
            printed(&server, "a", "pass");
        }
        let expected = format!("{index} {} text\n", index + 1);
        assert_eq!(printed(&server, "a", "print(next(g), n, open('file').read()); n += 1"), expected, "{wake}");
    }
    assert_eq!(scrape(&server).get("eggbox_sessions_woken_total", &[]).to_string(), "6");
    hibernate(&server, "a");
    for id in server.get("/v1/sessions").json["sessions"].as_array().expect("a list") {
        server.delete(id["id"].as_str().expect("a name"));
    }
    assert_eq!(server.look_at("a").status, 404);
    let kept = names(&server.get("/v1/checkpoints")).len();
    let folders = || fs::read_dir(server.state_dir().join("checkpoints")).expect("it is there").count();
    assert!(wait_for(Duration::from_secs(5), || (folders() == kept).then_some(())).is_some());
}

#[test]
fn sessions_sleep_by_themselves_and_those_that_cannot_say_why() {
    let server = Setup::bare().option("--hibernate-seconds 0.5").option("--life-seconds-max 8").start();
    begin(&server, "a", "x = 5");
    begin(&server, "b", "import socket; s = socket.socket(); y = 6");
    let slept = wait_for(Duration::from_secs(10), || (state(&server, "a") == "hibernated").then_some(()));
    assert!(slept.is_some());
    let b = wait_for(Duration::from_secs(10), || {
        Some(server.look_at("b")).filter(|b| b.text("not_checkpointed").contains("a socket is open"))
    });
    assert_eq!(b.expect("it is tried").text("state"), "idle");
    assert_eq!(server.run_in("a", "print(x)").stdout(), "5\n");
    printed(&server, "b", "s.close()");
    for id in ["a", "b"] {
        let slept = wait_for(Duration::from_secs(10), || (state(&server, id) == "hibernated").then_some(()));
        assert!(slept.is_some(), "{id}");
    }
    assert_eq!(server.get("/v1/sessions?state=hibernated").json["sessions"].as_array().map(Vec::len), Some(2));
    // As old as any session may get, and whoever asks next is told.
    let ended = wait_for(Duration::from_secs(20), || (state(&server, "b") == "ended").then_some(()));
    assert!(ended.is_some());
    assert!(server.run_in("b", "1").error().contains("it was 8 s old"));
    assert_eq!(server.run_in("b", "print('y' in globals())").stdout(), "False\n");
}

#[test]
fn the_coldest_sleep_when_memory_is_short() {
    // More than any host has to give.
    let server = Setup::bare().option("--hibernate-available-bytes 1000000000000000").start();
    begin(&server, "a", "x = 5");
    let slept = wait_for(Duration::from_secs(10), || (state(&server, "a") == "hibernated").then_some(()));
    assert!(slept.is_some());
    assert_eq!(server.run_in("a", "print(x)").stdout(), "5\n");
}

#[test]
fn a_killed_server_leaves_a_checkpoint_or_none_and_a_session_awake_or_asleep() {
    let setup = || Setup::bare().option(KEPT);
    let mut server = setup().start();
    begin(&server, "a", "x = 0; block = bytearray(3 << 20); open('file', 'w').write('0')");
    let mut seen = [0; 4];
    for round in 0..12_u32 {
        let (address, name) = (server.address, format!("c{round}"));
        std::thread::scope(|scope| {
            let send = |path: &'static str, body: String| {
                scope.spawn(move || {
                    // The answer may be lost.
                    let request = crate::client::post_to(path, &body);
                    if let Ok(mut stream) = std::net::TcpStream::connect(address) {
                        let _ = std::io::Write::write_all(&mut stream, &request);
                        let _ = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
                    }
                });
            };
            send("/v1/sessions/a/checkpoints", json!({ "name": name }).to_string());
            if round % 2 == 0 {
                send("/v1/sessions/a/hibernate", "{}".to_owned());
            }
            std::thread::sleep(Duration::from_millis(u64::from(round) * 7));
            let ended = std::mem::replace(&mut server, Setup::bare().start()).end_by(Signal::KILL);
            server = setup().start_after(ended);
        });
        let is_asleep = state(&server, "a") == "hibernated";
        seen[usize::from(is_asleep)] += 1;
        let look = "x += 1; print(x, len(block), open('file').read()); open('file', 'w').write(str(x))";
        assert_eq!(printed(&server, "a", look), format!("{} 3145728 {round}\n", round + 1), "{round} {is_asleep}");
        let taken = server.get(&format!("/v1/checkpoints/{name}")).status;
        seen[2 + usize::from(taken == 200)] += 1;
        if taken == 200 {
            assert_eq!(server.create(&json!({ "id": "b", "checkpoint": name }).to_string()).status, 201);
            assert_eq!(printed(&server, "b", look), format!("{} 3145728 {round}\n", round + 1), "{round}");
            server.delete("b");
            assert_eq!(server.send("DELETE", &format!("/v1/checkpoints/{name}"), "").status, 204);
        }
    }
    println!("awake, asleep, without checkpoint, with one: {seen:?}");
    let left = wait_for(Duration::from_secs(5), || {
        (fs::read_dir(server.state_dir().join("checkpoints")).expect("it is there").count() == 0).then_some(())
    });
    assert!(left.is_some());
}

#[test]
fn checkpoints_are_their_keys() {
    let keys = Keys::new(["ann", "bob"]);
    let server = keys.setup("").start();
    let ask =
        |key: usize, route: &str, body: &Value| ask_with_key(&server, Some(keys.text(key)), route, &body.to_string());
    for key in [0, 1] {
        assert_eq!(ask(key, "POST /v1/sessions", &json!({ "id": "a" })).status, 201);
    }
    assert_eq!(ask(0, "POST /v1/sessions/a/checkpoints", &json!({ "name": "one" })).status, 201);
    for (route, body) in [
        ("GET /v1/checkpoints/one", json!({})),
        ("DELETE /v1/checkpoints/one", json!({})),
        ("POST /v1/sessions/a/restore", json!({ "checkpoint": "one" })),
        ("POST /v1/sessions", json!({ "checkpoint": "one" })),
    ] {
        let answer = ask(1, route, &body);
        assert_eq!((answer.status, answer.refusal()[0]), (404, "no_such_checkpoint"), "{route}");
    }
    assert_eq!(names(&ask(1, "GET /v1/checkpoints", &json!({}))), [""; 0]);
    assert_eq!(names(&ask(1, "GET /v1/sessions/a/checkpoints", &json!({}))), [""; 0]);
    // The same name is free for another key.
    assert_eq!(ask(1, "POST /v1/sessions/a/checkpoints", &json!({ "name": "one" })).status, 201);
    assert_eq!(ask(0, "POST /v1/sessions", &json!({ "id": "b", "checkpoint": "one" })).status, 201);
    assert_eq!(ask(0, "POST /v1/sessions/a/hibernate", &json!({})).status, 200);
    assert_eq!(ask(1, "GET /v1/sessions/a", &json!({})).text("state"), "idle");
    assert_eq!(ask(0, "DELETE /v1/checkpoints/one", &json!({})).status, 204);
    assert_eq!(names(&ask(1, "GET /v1/checkpoints", &json!({}))), ["one"]);
}

#[test]
fn checkpoints_expire_and_so_do_not_sleepers() {
    let server = Setup::bare().option("--checkpoint-seconds-max 1").start();
    begin(&server, "a", "x = 5");
    assert_eq!(take(&server, "a", "one").status, 201);
    hibernate(&server, "a");
    let began = Instant::now();
    let gone = wait_for(Duration::from_secs(10), || (server.get("/v1/checkpoints/one").status == 404).then_some(()));
    assert!(gone.is_some() && began.elapsed() > Duration::from_millis(500));
    assert_eq!(server.run_in("a", "print(x)").stdout(), "5\n");
}

#[test]
fn sessions_and_checkpoints_outlive_their_nest_and_their_server() {
    let folder = python::own_folder();
    let python = own_python(&folder);
    let setup = || Setup::with_python(&python).option(KEPT).option("--hibernate-seconds 1000");
    let server = setup().start();
    let code =
        "import sqlite3, decimal; x = [1]; g = (n for n in range(100)); next(g); open('file', 'w').write('text')";
    for id in ["a", "b"] {
        begin(&server, id, code);
    }
    assert_eq!(server.create(r#"{"id": "each", "checkpoints": "each"}"#).status, 201);
    printed(&server, "each", code);
    assert_eq!(take(&server, "a", "one").status, 201);
    hibernate(&server, "b");
    let drawn = wait_for(Duration::from_secs(5), || {
        let list = server.get("/v1/sessions/each/checkpoints");
        list.json["checkpoints"].as_array().and_then(|list| list.last().cloned()).filter(|last| last["executions"] == 1)
    });
    assert!(drawn.is_some());
    end_nest(&python);
    let look = "print(x, next(g), open('file').read(), decimal.Decimal(1) / 3); x.append(2)";
    let first = "[1] 1 text 0.3333333333333333333333333333\n";
    assert_eq!(printed(&server, "b", look), first);
    // One that takes checkpoints by itself goes on, what does not is lost.
    assert_eq!(printed(&server, "each", look), first);
    assert!(server.run_in("a", "pass").error().contains("the process that all sessions come from ended"));
    assert_eq!(server.create(r#"{"id": "a2", "checkpoint": "one"}"#).status, 201);
    assert_eq!(printed(&server, "a2", look), first);
    // They can be forked, written down and put to sleep, though their memory is of a nest that has gone.
    fork_to(&server, "a2", "a3");
    assert_eq!(take(&server, "a3", "two").status, 201);
    assert_eq!(restore(&server, "a2", "two").status, 200);
    let second = "[1, 2] 2 text 0.3333333333333333333333333333\n";
    assert_eq!(printed(&server, "a2", look), second);
    assert_eq!(printed(&server, "a3", look), second);
    // Over a kill that leaves the nest alone, and then over an end of everything, before which sessions go to sleep.
    let server = setup().start_after(server.end_by(Signal::KILL));
    fork_to(&server, "a3", "a4");
    let third = "[1, 2, 2] 3 text 0.3333333333333333333333333333\n";
    assert_eq!(printed(&server, "a4", look), third);
    let server = setup().start_after(server.end_by(Signal::TERM));
    assert_eq!(["a3", "b", "each"].map(|id| state(&server, id)), ["hibernated"; 3]);
    assert_eq!(printed(&server, "a3", look), third);
    assert_eq!(restore(&server, "a4", "one").status, 200);
    assert_eq!(printed(&server, "a4", look), first);
    // What is not needed any more goes.
    for id in ["a2", "a3", "a4", "b", "each"] {
        server.delete(id);
    }
    for name in ["one", "two"] {
        assert_eq!(server.send("DELETE", &format!("/v1/checkpoints/{name}"), "").status, 204);
    }
    let gone = |name| fs::read_dir(server.state_dir().join(name)).expect("it is there").count() == 0;
    let left = wait_for(Duration::from_secs(10), || (gone("bases") && gone("checkpoints")).then_some(()));
    assert!(left.is_some());
}

#[test]
fn what_sleeps_outlives_the_hosts_end_as_soon_as_it_is_on_the_disk_for_certain() {
    let server = Setup::bare().start();
    for id in ["a", "b"] {
        begin(&server, id, &format!("x = {id:?}"));
        hibernate(&server, id);
    }
    let manifests = || {
        let folders = fs::read_dir(server.state_dir().join("checkpoints")).expect("it is there").flatten();
        let manifests = folders.map(|folder| folder.path().join("manifest.json"));
        manifests.filter_map(|path| Some((serde_json::from_slice(&fs::read(&path).ok()?).ok()?, path)))
    };
    let lasting = || manifests().filter(|(manifest, _): &(Value, _)| manifest["boot"].is_null()).count();
    assert!(wait_for(Duration::from_secs(10), || (lasting() == 2).then_some(())).is_some());
    // One that was not when the host ended.
    let of_a = manifests().find(|(manifest, _)| manifest["session"] == "a");
    let (mut manifest, path): (Value, _) = of_a.expect("it is there");
    let ended = server.end_by(Signal::KILL);
    manifest["boot"] = json!("another start of the host");
    fs::write(&path, manifest.to_string()).expect("it can be written");
    let server = Setup::bare().start_after(ended);
    assert_eq!(server.look_at("a").status, 404);
    assert!(!path.exists());
    assert_eq!(printed(&server, "b", "print(x)"), "b\n");
}

#[test]
fn what_has_changed_since_is_said_before_anything_is_touched() {
    let server = Setup::bare().start();
    begin(&server, "a", "x = 5");
    assert_eq!(take(&server, "a", "one").status, 201);
    hibernate(&server, "a");
    let ended = server.end_by(Signal::TERM);
    let bases = fs::read_dir(ended.state_dir().join("bases")).expect("it is there");
    let note = bases.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|end| end == "json"));
    let note = note.expect("there is a note");
    let before = fs::read_to_string(&note).expect("it can be read");
    let mut server = Setup::bare().start_after(ended);
    for (from, to, says) in [
        ("\"kernel\":\"Linux ", "\"kernel\":\"Linux 1.2.3 of ", "it was taken by Linux 1.2.3 of"),
        ("\"build\":\"build ", "\"build\":\"build x", "it was taken by build x"),
        ("the features ", "the features 0", "it was taken by a processor with the features 0"),
    ] {
        assert!(before.contains(from), "{before}");
        fs::write(&note, before.replace(from, to)).expect("it can be written");
        for refused in
            [server.create(r#"{"id": "b", "checkpoint": "one"}"#), server.ask("a", &json!({ "code": "pass" }))]
        {
            assert_eq!((refused.status, refused.refusal()[0]), (409, "checkpoint_not_loadable"), "{refused:?}");
            assert!(refused.refusal()[1].contains(says), "{refused:?}");
        }
        assert!(server.run_in("a", "pass").error().contains(says));
        assert_eq!(state(&server, "a"), "hibernated");
    }
    // A library that is another: of another length, or with another content where it is not as old.
    let mut changed: Value = serde_json::from_str(&before).expect("it is JSON");
    let files = changed["files"].as_object_mut().expect("it has files");
    let library = files.keys().find(|path| path.contains("libc.so")).expect("there is a C library").clone();
    files[&library]["modified"] = json!([1, 1]);
    let read = files[&library]["sha256"].clone();
    fs::write(&note, changed.to_string()).expect("it can be written");
    let refused = server.create(r#"{"id": "b", "checkpoint": "one"}"#);
    if read.is_null() {
        assert!(refused.refusal()[1].contains("libc.so"), "{refused:?}");
    } else {
        assert_eq!(refused.status, 201, "{refused:?}");
        server.delete("b");
    }
    let files = changed["files"].as_object_mut().expect("it has files");
    files[&library]["sha256"] = json!("0".repeat(64));
    fs::write(&note, changed.to_string()).expect("it can be written");
    let refused = server.create(r#"{"id": "b", "checkpoint": "one"}"#);
    assert_eq!((refused.status, refused.refusal()[0]), (409, "checkpoint_not_loadable"), "{refused:?}");
    assert!(refused.refusal()[1].contains("libc.so"), "{refused:?}");
    // As it was, it is loaded; over a restart, too.
    fs::write(&note, &before).expect("it can be written");
    server = Setup::bare().start_after(server.end_by(Signal::TERM));
    assert_eq!(server.run_in("a", "print(x)").stdout(), "5\n");
    assert_eq!(server.create(r#"{"id": "b", "checkpoint": "one"}"#).status, 201);
    assert_eq!(printed(&server, "b", "print(x)"), "5\n");
}

#[test]
fn damaged_images_are_refused_or_a_dead_session_and_nothing_else() {
    let server = Setup::bare().start();
    begin(&server, "a", "x = 5");
    assert_eq!(take(&server, "a", "one").status, 201);
    let folder = fs::read_dir(server.state_dir().join("checkpoints")).expect("it is there").flatten().next();
    let memory = folder.expect("there is a checkpoint").path().join("memory");
    let whole = fs::read(&memory).expect("it can be read");
    let mut numbers = Numbers(7);
    let mut outcomes = std::collections::BTreeMap::new();
    for round in 0..60_u32 {
        let mut bytes = whole.clone();
        let at = |numbers: &mut Numbers, below: usize| usize::try_from(numbers.next(below as u64)).expect("it fits");
        if round % 3 == 0 {
            bytes.truncate(at(&mut numbers, whole.len()));
        } else {
            // Mostly in the tables.
            let most = if round % 3 == 1 { 40_000.min(whole.len()) } else { whole.len() };
            for _ in 0..8 {
                let place = at(&mut numbers, most);
                bytes[place] ^= 1 << numbers.next(8);
            }
        }
        // Another file: sessions may show parts of the one that is there.
        fs::remove_file(&memory).expect("it can be removed");
        fs::write(&memory, &bytes).expect("it can be written");
        let made = server.create(r#"{"id": "b", "checkpoint": "one"}"#);
        let what = match made.status {
            201 => {
                let ran = server.run_in("b", "print(x)");
                assert_eq!(ran.status, 200, "{ran:?}");
                server.delete("b");
                "a session"
            }
            409 => "refused",
            _ => panic!("{made:?}"),
        };
        *outcomes.entry(what).or_insert(0) += 1;
        assert_eq!(printed(&server, "a", "print(x)"), "5\n", "{round}");
    }
    println!("{outcomes:?}");
    assert!(outcomes.len() == 2, "{outcomes:?}");
    fs::remove_file(&memory).expect("it can be removed");
    fs::write(&memory, &whole).expect("it can be written");
    assert_eq!(server.create(r#"{"id": "b", "checkpoint": "one"}"#).status, 201);
    assert_eq!(printed(&server, "b", "print(x)"), "5\n");
}

fn eggbox(arguments: &[&str]) -> std::process::Output {
    Command::new(BINARY).args(arguments).env_remove("EGGBOX_STATE_DIR").output().expect("the binary starts")
}

#[test]
fn a_checkpoint_goes_from_one_server_to_another_as_a_file() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let [file, cut] = ["moved", "cut"].map(|name| folder.path().join(name).display().to_string());
    let server = Setup::bare().start();
    let state_dir = server.state_dir().display().to_string();
    let code = "import decimal; g = (n for n in range(9)); next(g); open('file', 'w').write('text'); open('/tmp/t', 'w').close()";
    begin(&server, "a", code);
    assert_eq!(take(&server, "a", "one").status, 201);
    let export = |name: &str| eggbox(&["checkpoint", "export", name, "--state-dir", &state_dir, "-o", &file]);
    let none = export("none");
    let said = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(!none.status.success() && said.contains("there is no checkpoint of that name"), "{said}");
    let exported = export("one");
    assert!(exported.status.success(), "{exported:?}");
    drop(server);
    // A server that runs finds it.
    let other = Setup::bare().start();
    let state_dir = other.state_dir().display().to_string();
    assert_eq!(other.get("/v1/checkpoints/one").status, 404);
    let bytes = fs::read(&file).expect("it is there");
    for (cut_off, says) in [(bytes.len() / 2, ""), (0, "the archive has no")] {
        fs::write(&cut, &bytes[..cut_off]).expect("it can be written");
        let refused = eggbox(&["checkpoint", "import", &cut, "--state-dir", &state_dir]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(says), "{said}");
    }
    let import = || eggbox(&["checkpoint", "import", &file, "--state-dir", &state_dir]);
    let imported = import();
    assert!(imported.status.success() && imported.stdout == b"one\n", "{imported:?}");
    let again = import();
    assert!(!again.status.success(), "{again:?}");
    let found = wait_for(Duration::from_secs(5), || (other.get("/v1/checkpoints/one").status == 200).then_some(()));
    assert!(found.is_some());
    let made = other.create(r#"{"id": "b", "checkpoint": "one"}"#);
    assert_eq!(made.status, 201, "{made:?}");
    let look = "import os; print(next(g), open('file').read(), os.path.exists('/tmp/t'), decimal.Decimal(1) / 8)";
    assert_eq!(printed(&other, "b", look), "1 text True 0.125\n");
    let left = fs::read_dir(other.state_dir().join("checkpoints")).expect("it is there").count();
    assert_eq!(left, 1, "what could not be taken is cleared away");
}

#[test]
fn what_could_not_be_woken_does_not_go_to_sleep() {
    let server = Setup::bare().start();
    for (code, says) in [
        (
            "import mmap; f = open('d', 'w+b'); f.write(b'x' * 9000); f.flush(); m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)",
            "/workspace/d is mapped",
        ),
        ("import os; f = open('c', 'w'); os.chmod('c', 0o400)", "could not be opened again"),
        (
            "import os; f = open('a', 'w+'); os.link('a', 'b'); os.unlink('a'); open('a (deleted)', 'w').write('WRONG')",
            "is not the file of that name any more",
        ),
        ("import os; os.mkdir('e'); f = os.open('e', os.O_RDONLY); os.rmdir('e')", "is not there any more"),
        (
            "import ctypes, shutil, glob; shutil.copy(glob.glob('/usr/lib/*/libz.so.1')[0], 'lib.so'); l = ctypes.CDLL('/workspace/lib.so')",
            "/workspace/lib.so is mapped",
        ),
    ] {
        assert_eq!(server.create(r#"{"id": "a", "policy": {"files": "full"}}"#).status, 201);
        printed(&server, "a", &format!("{code}\nx = 5"));
        for path in ["hibernate", "checkpoints", "fork"] {
            let refused = post(&server, &format!("/v1/sessions/a/{path}"), &json!({}));
            assert_eq!((refused.status, refused.refusal()[0]), (409, "not_checkpointable"), "{code}: {refused:?}");
            assert!(refused.refusal()[1].contains(says), "{code}: {refused:?}");
        }
        assert_eq!(printed(&server, "a", "print(x)"), "5\n", "{code}");
        server.delete("a");
    }
}

#[test]
fn nothing_that_was_taken_on_is_lost_to_sleep() {
    let server = Setup::bare().option("--queue-max 100").start();
    begin(&server, "a", "n = []");
    Files { server: &server, session: "a" }.put("large", &vec![b'x'; 30 << 20]);
    for round in 0..6 {
        let (files, runs, labels) = std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..4 {
                    post(&server, "/v1/sessions/a/hibernate", &json!({}));
                }
            });
            let files = scope.spawn(|| {
                let put = |number: u32| {
                    let name = format!("file-{round}-{number}");
                    let reply = Files { server: &server, session: "a" }.put(&name, b"x");
                    assert!([200, 201, 503].contains(&reply.status), "{} {}", reply.status, reply.text());
                    (reply.status < 300).then_some(name)
                };
                (0..40).filter_map(put).collect::<Vec<_>>()
            });
            let runs = scope.spawn(|| {
                let run = |number: u32| {
                    let answer =
                        server.ask("a", &json!({ "code": format!("n.append(({round}, {number})); print(len(n))") }));
                    assert!([200, 503].contains(&answer.status), "{answer:?}");
                    answer.status == 200
                };
                (0..20).map(run).filter(|ran| *ran).count()
            });
            let labels = scope.spawn(|| {
                let mut last = String::new();
                for number in 0..20 {
                    let body = format!(r#"{{"labels": {{"n": "{round}-{number}"}}}}"#);
                    let changed = server.send("PATCH", "/v1/sessions/a", &body);
                    assert!([200, 503].contains(&changed.status), "{changed:?}");
                    if changed.status == 200 {
                        last = format!("{round}-{number}");
                    }
                }
                last
            });
            (files.join().expect("it ends"), runs.join().expect("it ends"), labels.join().expect("it ends"))
        });
        let look = format!("import os; print(sorted(os.listdir()) >= [], len([k for k in n if k[0] == {round}]))");
        assert_eq!(printed(&server, "a", &look), format!("True {runs}\n"));
        let there = Files { server: &server, session: "a" }.paths("?limit=1000");
        assert!(files.iter().all(|name| there.contains(name)), "{files:?} {there:?}");
        assert_eq!(server.look_at("a").json["labels"]["n"], json!(labels));
    }
}

#[test]
fn a_session_that_ended_while_no_server_was_there_is_revived() {
    let setup = || Setup::bare().option(KEPT).option("--checkpoints each");
    let server = setup().start();
    server.run_in("a", "x = 1; open('file', 'w').write('text')");
    server.ask("a", &json!({ "code": "x = 2\nimport time; time.sleep(0.7)\nimport os; os._exit(7)", "detach": true }));
    let running = wait_for(Duration::from_secs(5), || (state(&server, "a") == "running").then_some(()));
    assert!(running.is_some());
    let ended = server.end_by(Signal::KILL);
    std::thread::sleep(Duration::from_millis(1500));
    let server = setup().start_after(ended);
    assert_eq!(server.run_in("a", "print(x, open('file').read())").stdout(), "1 text\n");
    let runs = server.get("/v1/sessions/a/executions");
    let states: Vec<_> =
        runs.json["executions"].as_array().expect("a list").iter().map(|run| run["session_state"].clone()).collect();
    assert_eq!(states, ["kept", "rewound", "kept"]);
}

#[test]
fn room_is_what_the_disk_gives_and_nobody_loses_theirs_in_vain() {
    let server = Setup::bare().option("--checkpoints-bytes-max 30000000").start();
    assert_eq!(server.create(r#"{"id": "each", "checkpoints": "each"}"#).status, 201);
    printed(&server, "each", "x = 1");
    let kept = || server.get("/v1/sessions/each/checkpoints").json["checkpoints"].as_array().map_or(0, Vec::len);
    assert!(wait_for(Duration::from_secs(5), || (kept() == 2).then_some(())).is_some());
    // More than there could ever be room for.
    begin(&server, "large", "import os; block = os.urandom(40 << 20)");
    let full = take(&server, "large", "one");
    assert_eq!((full.status, full.refusal()[0]), (507, "no_room_for_checkpoint"), "{full:?}");
    assert_eq!(kept(), 2);
    // Many small files are what they are on the disk.
    begin(&server, "many", "for n in range(3000): open(f'f{n}', 'w').write('x')");
    let taken = take(&server, "many", "two");
    assert!(taken.json["bytes"].as_u64().is_some_and(|bytes| bytes > 20 << 20), "{taken:?}");
    // What is removed and still shown is there.
    server.delete("large");
    server.delete("many");
    assert_eq!(server.send("DELETE", "/v1/checkpoints/two", "").status, 204);
    begin(&server, "shown", "import os; block = os.urandom(12 << 20)");
    assert_eq!(take(&server, "shown", "three").status, 201);
    server.delete("shown");
    assert_eq!(server.create(r#"{"id": "shown", "checkpoint": "three"}"#).status, 201);
    assert_eq!(server.send("DELETE", "/v1/checkpoints/three", "").status, 204);
    let bytes = || scrape(&server).get("eggbox_checkpoint_bytes", &[]);
    assert!(bytes() > 12e6, "{}", bytes());
    server.delete("shown");
    assert!(wait_for(Duration::from_secs(5), || (bytes() < 12e6).then_some(())).is_some(), "{}", bytes());
}

#[test]
fn sessions_that_do_not_stand_still_hold_nobody_up() {
    let server = Setup::bare().start();
    let restless = "import signal, time\ndef h(*a):\n    while True: time.sleep(.05)\nsignal.signal(signal.SIGALRM, h); signal.setitimer(signal.ITIMER_REAL, .2)";
    for number in 0..5 {
        begin(&server, &format!("restless{number}"), restless);
    }
    std::thread::sleep(Duration::from_millis(400));
    begin(&server, "a", "x = 5");
    std::thread::scope(|scope| {
        for number in 0..5 {
            let server = &server;
            scope.spawn(move || {
                let refused = take(server, &format!("restless{number}"), &format!("never{number}"));
                assert_eq!((refused.status, refused.refusal()[0]), (409, "not_checkpointable"), "{refused:?}");
            });
        }
        std::thread::sleep(Duration::from_millis(300));
        let began = Instant::now();
        assert_eq!(take(&server, "a", "one").status, 201);
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    });
}

#[test]
fn what_is_restored_from_another_session_keeps_its_own_policy_and_limits() {
    let server = Setup::bare().start();
    for (id, files, wall) in [("keeps", "keep", 5), ("full", "full", 2)] {
        let made = json!({ "id": id, "policy": { "files": files }, "limits": { "wall_seconds": wall } });
        assert_eq!(server.create(&made.to_string()).status, 201);
        printed(&server, id, &format!("import os; who = {id:?}; open('file', 'w').close()"));
        assert_eq!(take(&server, id, id).status, 201);
    }
    assert_eq!(restore(&server, "keeps", "full").json["limits"]["wall_seconds"], json!(5.0));
    assert_eq!(server.ask("keeps", &json!({ "code": "print(who)\nos.remove('file')" })).text("outcome"), "denied");
    assert_eq!(server.look_at("keeps").json["policy"]["files"], "keep");
    assert_eq!(restore(&server, "full", "keeps").json["limits"]["wall_seconds"], json!(2.0));
    assert_eq!(printed(&server, "full", "print(who); os.remove('file')"), "keeps\n");
}
