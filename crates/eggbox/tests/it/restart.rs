//! Fresh interpreters for sessions that go on, and sessions for one execution.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::attacks::way::Way;
use crate::client::Answer;
use crate::process::wait_for;
use crate::server::{Server, Setup};

const KEPT: &str = "--abandoned-seconds-max 60";

fn restart(server: &Server, id: &str) -> Answer {
    server.send("POST", &format!("/v1/sessions/{id}/restart"), "{}")
}

#[test]
fn a_session_keeps_all_but_its_interpreter() {
    for way in Way::possible() {
        let server = way.setup().option(KEPT).start();
        let made = json!({
            "id": "a", "labels": { "team": "x" }, "env": { "TOKEN": "t" },
            "limits": { "memory_bytes": 200 << 20, "wall_seconds": 5 },
        });
        assert_eq!(server.create(&made.to_string()).status, 201);
        let code = "\
import os, tempfile
x = 5
os.mkdir('d'); os.symlink('d/f', 'link')
file = os.open('d/f', os.O_CREAT | os.O_WRONLY, 0o640); os.write(file, b'kept')
open(tempfile.gettempdir() + '/scratch', 'w').close()";
        let made = server.ask("a", &json!({ "code": code }));
        assert_eq!(made.text("outcome"), "ok", "{made:?}");
        let before = server.look_at("a");
        let restarted = restart(&server, "a");
        assert_eq!((restarted.status, &restarted.json["restarts"]), (200, &json!(1)), "{}: {restarted:?}", way.name());
        for field in ["limits", "labels", "created", "executions", "policy"] {
            assert_eq!(restarted.json[field], before.json[field], "{}: {field}", way.name());
        }
        let code = "import os, tempfile; print('x' in globals(), open('link').read(), oct(os.stat('d/f').st_mode & 0o777), \
                    os.environ['TOKEN'], os.path.exists(tempfile.gettempdir() + '/scratch'))\nopen('d/f', 'a').write('!')";
        let answer = server.ask("a", &json!({ "code": code }));
        assert_eq!(answer.stdout(), "False kept 0o640 t False\n", "{}: {answer:?}", way.name());
        // Its past goes on, and so does what it may use.
        assert_eq!(answer.json["execution"], 2);
        assert_eq!(server.get("/v1/sessions/a/executions/1").text("outcome"), "ok");
        let large = server.ask("a", &json!({ "code": "block = bytearray(300 << 20)" }));
        assert_eq!(large.text("outcome"), "out_of_memory", "{}: {large:?}", way.name());
        // Another one, and another server.
        assert_eq!(restart(&server, "a").json["restarts"], 2);
        let server = way.setup().option(KEPT).start_after(server.end_by(Signal::KILL));
        assert_eq!(
            server.ask("a", &json!({ "code": "print(open('d/f').read())" })).stdout(),
            "kept!\n",
            "{}",
            way.name()
        );
        assert_eq!(restart(&server, "a").json["restarts"], 3, "{}", way.name());
        assert_eq!(server.ask("a", &json!({ "code": "import os; print(os.environ['TOKEN'])" })).stdout(), "t\n");
    }
}

#[test]
fn what_runs_is_ended_and_what_waits_runs_in_the_new_one() {
    let server = Setup::bare().option(KEPT).start();
    server.create(r#"{"id": "a"}"#);
    let endless = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); print('begun')\nwhile True: pass";
    server.ask("a", &json!({ "code": endless, "detach": true }));
    let begun = || Some(server.get("/v1/sessions/a/executions/1")).filter(|answer| answer.stdout() == "begun\n");
    assert!(wait_for(Duration::from_secs(5), begun).is_some());
    server.ask("a", &json!({ "code": "print('endless' in globals())", "detach": true }));
    assert_eq!(restart(&server, "a").status, 200);
    let ended = server.get("/v1/sessions/a/executions/1");
    assert_eq!((ended.text("outcome"), ended.text("session_state"), ended.stdout()), ("restarted", "lost", "begun\n"));
    let waited = server.get("/v1/sessions/a/executions/2?wait_seconds=10");
    assert_eq!((waited.text("outcome"), waited.stdout()), ("ok", "False\n"), "{waited:?}");
    // Both at once are one, and nothing is left behind.
    std::thread::scope(|scope| {
        let both: Vec<_> = (0..4).map(|_| scope.spawn(|| restart(&server, "a").status)).collect();
        assert!(both.into_iter().all(|one| one.join().expect("it is answered") == 200));
    });
    assert_eq!(server.ask("a", &json!({ "code": "print(1)" })).stdout(), "1\n");
    assert_eq!(restart(&server, "none").status, 404);
    assert_eq!(server.delete("a").status, 204);
    assert_eq!(restart(&server, "a").status, 404);
}

#[test]
fn a_session_that_cannot_be_restarted_goes_on_as_it_was() {
    let server = Setup::bare().option("--sessions-max 1 --parked-sessions-max 0").start();
    server.create(r#"{"id": "a"}"#);
    // A tree that is deeper than one that is gone through.
    let code = "import os\nfor _ in range(80):\n    os.mkdir('d'); os.chdir('d')\nos.chdir('/workspace'); x = 5";
    assert_eq!(server.ask("a", &json!({ "code": code })).text("outcome"), "ok");
    let refused = restart(&server, "a");
    assert_eq!((refused.status, refused.refusal()[0]), (409, "files_not_copied"), "{refused:?}");
    let answer = server.ask("a", &json!({ "code": "print(x)" }));
    assert_eq!(answer.stdout(), "5\n", "{answer:?}");
    assert_eq!(server.look_at("a").json["restarts"], 0);
}

#[test]
fn the_file_policy_is_the_sessions_own_where_it_was_asked_for() {
    for way in Way::possible() {
        let server = way.setup().start();
        let code = "import os; open('f', 'w').close(); os.remove('f'); print(os.listdir())";
        for (policy, outcome) in
            [(json!({}), "denied"), (json!({ "files": "keep" }), "denied"), (json!({ "files": "full" }), "ok")]
        {
            let made = server.create(&json!({ "policy": policy }).to_string());
            let shown = policy["files"].as_str().unwrap_or("keep").to_owned();
            assert_eq!(made.json["policy"]["files"], shown, "{}", way.name());
            let ran = server.ask(made.id(), &json!({ "code": code }));
            assert_eq!(ran.text("outcome"), outcome, "{} {policy}: {ran:?}", way.name());
            // By every way, not only Python's.
            let child = server.ask(made.id(), &json!({ "code": "import subprocess; open('g', 'w').close(); print(subprocess.run(['rm', 'g']).returncode)" }));
            assert_eq!(child.stdout() == "0\n", outcome == "ok", "{} {policy}: {child:?}", way.name());
            assert_eq!(restart(&server, made.id()).json["policy"]["files"], shown);
            let ran = server.ask(made.id(), &json!({ "code": code }));
            assert_eq!(ran.text("outcome"), outcome, "{} {policy} again: {ran:?}", way.name());
        }
        for policy in [json!({ "files": "none" }), json!({ "net": "all" }), json!("full")] {
            assert_eq!(server.create(&json!({ "policy": policy }).to_string()).status, 400, "{policy}");
        }
    }
}

fn run(server: &Server, body: &Value) -> Answer {
    server.send("POST", "/v1/run", &body.to_string())
}

#[test]
fn code_runs_in_a_session_of_its_own_that_ends_with_it() {
    let server = Setup::bare().start();
    let body = json!({
        "code": "import os, sys; print(open('in/data.txt').read(), open('raw', 'rb').read(), sys.stdin.read(), os.environ['A']); 6 * 7",
        "files": { "in/data.txt": "é", "raw": { "base64": "AAE=" } },
        "stdin": "input", "env": { "A": "b" }, "limits": { "memory_bytes": 100 << 20 }, "timeout_seconds": 5,
    });
    let answer = run(&server, &body);
    assert_eq!((answer.status, answer.stdout()), (200, "é b'\\x00\\x01' input b\n"), "{answer:?}");
    assert_eq!(answer.json["result"]["data"]["text/plain"], "42");
    assert_eq!((answer.text("outcome"), &answer.json["execution"]), ("ok", &json!(1)));
    assert_eq!(server.look_at(answer.text("session")).status, 404);
    for (body, outcome) in [
        (json!({ "code": "1 / 0" }), "exception"),
        (json!({ "code": "while True: pass", "timeout_seconds": 0.2 }), "timeout"),
        (json!({ "code": "import os; os._exit(3)" }), "exited"),
    ] {
        let answer = run(&server, &body);
        assert_eq!((answer.status, answer.text("outcome")), (200, outcome), "{answer:?}");
    }
    for (body, status, code) in [
        (json!({}), 400, "missing_field"),
        (json!({ "code": "", "id": "a" }), 400, "unknown_field"),
        (json!({ "code": "", "files": { "../x": "" } }), 400, "path_invalid"),
        (json!({ "code": "", "files": { "a": "", "a/b": "" } }), 409, "not_a_folder"),
        (json!({ "code": "", "timeout_seconds": 2, "limits": { "wall_seconds": 1 } }), 400, "out_of_range"),
    ] {
        let refused = run(&server, &body);
        assert_eq!((refused.status, refused.refusal()[0]), (status, code), "{body}");
    }
    let is_quiet = || Some(server.get("/v1/sessions")).filter(|list| list.json["sessions"] == json!([]));
    assert!(wait_for(Duration::from_secs(5), is_quiet).is_some(), "{:?}", server.get("/v1/sessions"));
}

#[test]
fn a_client_that_goes_away_leaves_no_session() {
    let server = Setup::bare().start();
    let body = json!({ "code": "import time; time.sleep(1)" }).to_string();
    let mut lost = std::net::TcpStream::connect(server.address).expect("the server accepts connections");
    std::io::Write::write_all(&mut lost, &crate::client::post_to("/v1/run", &body)).expect("it reads");
    let runs = || Some(server.get("/v1/sessions")).filter(|list| list.json["sessions"] != json!([]));
    assert!(wait_for(Duration::from_secs(5), runs).is_some());
    drop(lost);
    let is_quiet = || Some(server.get("/v1/sessions")).filter(|list| list.json["sessions"] == json!([]));
    assert!(wait_for(Duration::from_secs(10), is_quiet).is_some(), "{:?}", server.get("/v1/sessions"));
}

#[test]
fn one_that_waits_for_its_turn_is_restarted_at_once_and_runs_then() {
    let server = Setup::bare().option("--executions-max 1").start();
    server.create(r#"{"id": "a"}"#);
    server.create(r#"{"id": "b"}"#);
    server.ask("a", &json!({ "code": "import time; time.sleep(2)", "detach": true }));
    let runs = || Some(server.look_at("a")).filter(|answer| answer.text("state") == "running");
    assert!(wait_for(Duration::from_secs(5), runs).is_some());
    server.ask("b", &json!({ "code": "print('ran')", "detach": true }));
    let began = std::time::Instant::now();
    assert_eq!(restart(&server, "b").status, 200);
    assert!(began.elapsed() < Duration::from_millis(1200), "{:?}", began.elapsed());
    let ran = server.get("/v1/sessions/b/executions/1?wait_seconds=20");
    assert_eq!((ran.text("outcome"), ran.stdout()), ("ok", "ran\n"), "{ran:?}");
}

#[test]
fn a_server_that_is_killed_while_it_restarts_one_leaves_the_one_or_the_other() {
    let mut server = Setup::bare().option(KEPT).start();
    server.create(r#"{"id": "a", "env": {"TOKEN": "t"}}"#);
    let files = "for n in range(40): open(f'file{n}', 'wb').write(bytes(1 << 20))\nx = 0";
    assert_eq!(server.ask("a", &json!({ "code": files })).text("outcome"), "ok");
    let mut restarts = 0;
    for round in 0..8 {
        let address = server.address;
        let asking = std::thread::spawn(move || {
            let request = crate::client::post_to("/v1/sessions/a/restart", "{}");
            // It may never be taken, nor answered.
            let Ok(mut stream) = std::net::TcpStream::connect(address) else { return };
            let _ = std::io::Write::write_all(&mut stream, &request);
            let _ = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
        });
        std::thread::sleep(Duration::from_millis(4 * round * round));
        server = Setup::bare().option(KEPT).start_after(server.end_by(Signal::KILL));
        asking.join().expect("it ends");
        let seen = server.look_at("a").json["restarts"].as_u64().expect("it is there");
        assert!((restarts..=restarts + 1).contains(&seen), "{seen} after {restarts}");
        let code = "import os; print('x' in globals(), len(os.listdir()), os.environ['TOKEN']); x = 0";
        let answer = server.ask("a", &json!({ "code": code }));
        let expected = format!("{} 40 t\n", if seen == restarts { "True" } else { "False" });
        assert_eq!(answer.stdout(), expected, "round {round}: {answer:?}");
        restarts = seen;
        let list = server.get("/v1/sessions");
        assert_eq!(list.json["sessions"].as_array().map(Vec::len), Some(1), "{list:?}");
    }
}
