//! Executions as resources: asked for, waited for, found again, given up.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::client::{self, Answer};
use crate::process::wait_for;
use crate::server::{Server, Setup};
use crate::sse::Events;

const KEPT: &str = "--abandoned-seconds-max 60";

/// A server with a session `a` that was made.
fn start(options: &str) -> Server {
    let server = Setup::bare().option(KEPT).option(options).start();
    assert_eq!(server.create(r#"{"id": "a"}"#).status, 201);
    server
}

fn with_key(key: &str, body: &Value) -> Vec<u8> {
    let request = String::from_utf8(client::post_to("/v1/sessions/a/executions", &body.to_string()));
    let request = request.expect("a request is text");
    request.replacen("\r\n", &format!("\r\nidempotency-key: {key}\r\n"), 1).into_bytes()
}

fn wait(server: &Server, execution: &str) -> Answer {
    server.get(&format!("/v1/sessions/a/executions/{execution}?wait_seconds=20"))
}

/// Waits until an execution that runs has printed this.
fn wait_for_output(server: &Server, execution: &str, printed: &str) {
    let path = format!("/v1/sessions/a/executions/{execution}");
    let there = wait_for(Duration::from_secs(10), || {
        Some(server.get(&path)).filter(|answer| answer.status == 200 && answer.stdout() == printed)
    });
    assert!(there.is_some(), "{printed:?} in {:?}", server.get(&path));
}

fn outcome(answer: &Answer) -> (&str, &str, &str) {
    (answer.text("state"), answer.text("outcome"), answer.text("session_state"))
}

#[test]
fn an_execution_says_all_that_came_of_it() {
    let server = start("");
    let answer = server.ask("a", &json!({ "code": "import sys; x = 5; print(x); print('bad', file=sys.stderr)" }));
    assert_eq!((answer.status, outcome(&answer)), (200, ("finished", "ok", "kept")), "{answer:?}");
    assert_eq!((answer.stdout(), answer.stderr(), answer.error()), ("5\n", "bad\n", ""));
    assert_eq!((answer.text("session"), &answer.json["execution"]), ("a", &json!(1)));
    assert_eq!(answer.header("location"), Some("/v1/sessions/a/executions/1"));
    assert!(answer.text("started") <= answer.text("ended") && answer.text("started").len() == 24, "{answer:?}");
    assert!(answer.json["usage"]["wall_ms"].as_f64() > Some(0.0), "{answer:?}");
    assert_eq!(answer.json["dropped_bytes"], json!({ "stdout": 0, "stderr": 0, "values": 0 }));
    // The same, whenever it is looked at.
    assert_eq!(server.get("/v1/sessions/a/executions/1").json, answer.json);
    assert_eq!(server.get("/v1/sessions/a/executions/last").json, answer.json);
}

#[test]
fn every_outcome_has_its_name() {
    let server = start("--memory-bytes-max 134217728 --interrupt-grace-seconds 0.3 --output-bytes-max 1024");
    for (code, expected, error) in [
        ("x = 1", ("ok", "kept"), ""),
        ("1 / 0", ("exception", "kept"), ""),
        ("import os; open('f', 'w'); os.remove('f')", ("denied", "kept"), "[Errno 13] Permission denied"),
        ("while True: pass", ("timeout", "kept"), "execution timeout: 0.3 s of wall time"),
        ("block = bytearray(1 << 30)", ("out_of_memory", "kept"), "memory limit exceeded"),
        ("print('x' * 2000)", ("ok", "kept"), "output limit exceeded: the first 1024 bytes of stdout were kept, 977"),
        (
            "import os; print('last', flush=True); os._exit(3)",
            ("exited", "lost"),
            "session ended: the interpreter exited",
        ),
    ] {
        let answer = server.ask("a", &json!({ "code": code, "timeout_seconds": 0.3 }));
        assert_eq!(
            (answer.status, answer.text("outcome"), answer.text("session_state")),
            (200, expected.0, expected.1),
            "{code}: {answer:?}"
        );
        assert!(answer.error().starts_with(error) && (answer.error().is_empty() == error.is_empty()), "{answer:?}");
    }
    // What it was asked last can be read as long as it is remembered, and nothing is begun afresh.
    for _ in 0..2 {
        let refused = server.ask("a", &json!({ "code": "print(1)" }));
        assert_eq!((refused.status, refused.refusal()[0]), (410, "session_ended"), "{refused:?}");
        assert_eq!(server.get("/v1/sessions/a/executions/last").stdout(), "last\n");
        assert_eq!(
            (server.look_at("a").text("state"), server.look_at("a").json["reason"]["code"].as_str()),
            ("ended", Some("exited"))
        );
    }
    assert_eq!(server.create(r#"{"id": "a"}"#).status, 201);
    assert_eq!(server.ask("a", &json!({ "code": "print(1)" })).json["execution"], 1);
}

#[test]
fn a_session_that_is_not_there_is_not_made() {
    let server = start("");
    let refused = server.ask("other", &json!({ "code": "1" }));
    assert_eq!((refused.status, refused.refusal()[0]), (404, "no_such_session"));
    assert_eq!(server.look_at("other").status, 404);
    // One that ended with what ran makes none for what waited.
    let _running = server.ask("a", &json!({ "code": "import os, time; time.sleep(0.4); os._exit(1)", "detach": true }));
    let waiting = server.ask("a", &json!({ "code": "print('afresh')" }));
    assert_eq!((waiting.status, waiting.refusal()[0]), (410, "session_ended"), "{waiting:?}");
}

#[test]
fn what_is_asked_wrongly_is_refused_by_field() {
    let server = start("--wall-seconds-max 10");
    for (body, code, field) in [
        ("{}", "missing_field", "code"),
        (r#"{"code": 1}"#, "wrong_type", "code"),
        (r#"{"code": "", "timeout_seconds": 11}"#, "out_of_range", "timeout_seconds"),
        (r#"{"code": "", "timeout_seconds": 0}"#, "out_of_range", "timeout_seconds"),
        (r#"{"code": "", "stdin": 1}"#, "wrong_type", "stdin"),
        (r#"{"code": "", "detach": 1}"#, "wrong_type", "detach"),
        (r#"{"code": "", "language": "python"}"#, "unknown_field", "language"),
    ] {
        let refused = client::send(server.address, &client::post_to("/v1/sessions/a/executions", body));
        assert_eq!((refused.status, refused.refusal()[0], refused.refusal()[2]), (400, code, field), "{body}");
    }
    for (path, status, code) in [
        ("executions/1", 404, "no_such_execution"),
        ("executions/0", 404, "no_such_execution"),
        ("executions/x", 404, "no_such_execution"),
        ("executions/-1/events", 404, "no_such_execution"),
        ("executions/last", 404, "no_such_execution"),
        ("executions/1?wait=3", 400, "unknown_parameter"),
        ("executions/1?wait_seconds=301", 400, "out_of_range"),
        ("executions/1/events", 404, "no_such_execution"),
    ] {
        let refused = server.get(&format!("/v1/sessions/a/{path}"));
        assert_eq!((refused.status, refused.refusal()[0]), (status, code), "{path}");
    }
    assert_eq!(server.ask("a", &json!({ "code": "" })).status, 200);
    let refused = server.get("/v1/sessions/a/executions/1/events?last_event_id=x");
    assert_eq!((refused.status, refused.refusal()[0]), (400, "invalid_last_event_id"));
    for key in ["", &"k".repeat(256), "k\u{e9}"] {
        let refused = client::send(server.address, &with_key(key, &json!({ "code": "" })));
        assert_eq!((refused.status, refused.refusal()[0]), (400, "invalid_idempotency_key"), "{key}");
    }
}

#[test]
fn one_that_is_detached_is_waited_for_elsewhere_and_they_run_in_their_order() {
    let server = start("");
    let first = server.ask("a", &json!({ "code": "import time; time.sleep(0.5); n = 1; print(n)", "detach": true }));
    assert_eq!((first.status, &first.json["execution"]), (202, &json!(1)), "{first:?}");
    let second = server.ask("a", &json!({ "code": "n += 1; print(n)", "detach": true }));
    assert_eq!((second.status, second.text("state"), &second.json["execution"]), (202, "queued", &json!(2)));
    let states: Vec<_> = server.get("/v1/sessions/a/executions").json["executions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["state"].clone())
        .collect();
    assert_eq!(states, ["running", "queued"]);
    assert_eq!(server.look_at("a").text("state"), "running");
    let began = Instant::now();
    let soon = server.get("/v1/sessions/a/executions/2?wait_seconds=0.1");
    assert_eq!(soon.text("state"), "queued");
    assert!(began.elapsed() >= Duration::from_millis(100));
    let second = wait(&server, "2");
    assert_eq!((outcome(&second), second.stdout()), (("finished", "ok", "kept"), "2\n"), "{second:?}");
    assert_eq!(server.get("/v1/sessions/a/executions/1").stdout(), "1\n");
}

#[test]
fn what_waits_is_given_up_and_what_runs_is_interrupted() {
    let server = start("");
    let forever = "import time\ntry:\n    print('in')\n    time.sleep(60)\nfinally:\n    x = 5";
    server.ask("a", &json!({ "code": forever, "detach": true }));
    wait_for_output(&server, "1", "in\n");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.ask("a", &json!({ "code": "x = 6" })));
        let queued = wait_for(Duration::from_secs(5), || {
            Some(server.get("/v1/sessions/a/executions/2")).filter(|answer| answer.text("state") == "queued")
        });
        assert!(queued.is_some());
        let given_up = server.delete("a/executions/2");
        assert_eq!((given_up.status, &given_up.json["execution"]), (202, &json!(2)), "{given_up:?}");
        let interrupted = server.delete("a/executions/1");
        assert_eq!(interrupted.status, 202);
        let refused = waiting.join().unwrap();
        assert_eq!((refused.status, refused.refusal()[0]), (409, "given_up"), "{refused:?}");
    });
    let first = wait(&server, "1");
    assert_eq!(outcome(&first), ("finished", "interrupted", "kept"), "{first:?}");
    assert!(
        first.stderr().ends_with("KeyboardInterrupt\n") && first.error().contains("interrupted; session state kept")
    );
    assert_eq!(server.get("/v1/sessions/a/executions/2").status, 404);
    let refused = server.delete("a/executions/1");
    assert_eq!((refused.status, refused.refusal()[0]), (409, "execution_not_running"));
    // The code's own affair: it goes on.
    let caught = "try:\n    print('in')\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('caught', x)";
    server.ask("a", &json!({ "code": caught, "detach": true }));
    wait_for_output(&server, "3", "in\n");
    let interrupted = server.send("POST", "/v1/sessions/a/interrupt", "{}");
    assert_eq!((interrupted.status, &interrupted.json["execution"]), (202, &json!(3)), "{interrupted:?}");
    let caught = wait(&server, "3");
    assert_eq!((outcome(&caught), caught.stdout()), (("finished", "ok", "kept"), "in\ncaught 5\n"));
    assert_eq!(server.send("POST", "/v1/sessions/a/interrupt", "{}").json["execution"], Value::Null);
}

#[test]
fn the_same_key_runs_once_whatever_becomes_of_answer_and_server() {
    let server = start("");
    server.ask("a", &json!({ "code": "import time; n = 0" }));
    let body = json!({ "code": "time.sleep(0.5); n += 1; print(n)" });
    // The answer is lost.
    let mut lost = TcpStream::connect(server.address).unwrap();
    lost.write_all(&with_key("once", &body)).unwrap();
    std::thread::sleep(Duration::from_millis(150));
    drop(lost);
    let again = client::send(server.address, &with_key("once", &body));
    assert_eq!((again.status, again.stdout(), &again.json["execution"]), (200, "1\n", &json!(2)), "{again:?}");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let other = client::send(server.address, &with_key("once", &json!({ "code": "n += 1" })));
    assert_eq!((other.status, other.refusal()[0]), (422, "idempotency_key_taken"), "{other:?}");
    // So is the server.
    let mut lost = TcpStream::connect(server.address).unwrap();
    lost.write_all(&with_key("twice", &body)).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let ended = server.end_by(Signal::KILL);
    let server = Setup::bare().option(KEPT).start_after(ended);
    for _ in 0..2 {
        let again = client::send(server.address, &with_key("twice", &body));
        assert_eq!((again.status, again.stdout(), &again.json["execution"]), (200, "2\n", &json!(3)), "{again:?}");
    }
    assert_eq!(client::send(server.address, &with_key("once", &body)).stdout(), "1\n");
    assert_eq!(server.ask("a", &json!({ "code": "print(n)" })).stdout(), "2\n");
}

#[test]
fn many_at_once_with_the_same_key_are_one() {
    let server = start("");
    server.ask("a", &json!({ "code": "n = 0" }));
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let ask = || client::send(server.address, &with_key("k", &json!({ "code": "n += 1; print(n)" })));
        let all: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| answer.stdout() == "1\n" && answer.json["execution"] == 2), "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.header("idempotent-replayed").is_none()).count(), 1);
}

#[test]
fn the_last_hundred_at_least_are_kept_and_numbers_go_on() {
    let server = start("");
    for number in 1..=125 {
        assert_eq!(server.ask("a", &json!({ "code": format!("print({number})") })).json["execution"], number);
    }
    assert_eq!(server.get("/v1/sessions/a/executions/4").status, 410);
    assert_eq!(server.get("/v1/sessions/a/executions/60").stdout(), "60\n");
    let ended = server.end_by(Signal::KILL);
    let server = Setup::bare().option(KEPT).start_after(ended);
    assert_eq!(server.get("/v1/sessions/a/executions/60").stdout(), "60\n");
    assert_eq!(server.run_in("a", "print('by name')").stdout(), "by name\n");
    assert_eq!(server.get("/v1/sessions/a/executions/1001").stdout(), "by name\n");
}

#[test]
fn sessions_are_listed_a_page_at_a_time_and_found_by_state_and_labels() {
    let server = Setup::bare().start();
    for number in 0..5 {
        let labels = json!({ "parity": if number % 2 == 0 { "even" } else { "odd" }, "number": number.to_string() });
        assert_eq!(server.create(&json!({ "id": format!("s{number}"), "labels": labels }).to_string()).status, 201);
    }
    let ids = |path: &str| -> (Vec<String>, Value) {
        let answer = server.get(path);
        let sessions = answer.json["sessions"].as_array().unwrap_or_else(|| panic!("{answer:?}"));
        (
            sessions.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect(),
            answer.json["next_cursor"].clone(),
        )
    };
    assert_eq!(ids("/v1/sessions?limit=2"), (vec!["s0".into(), "s1".into()], json!("s1")));
    assert_eq!(ids("/v1/sessions?limit=2&cursor=s3"), (vec!["s4".into()], Value::Null));
    assert_eq!(ids("/v1/sessions?label=parity%3Dodd").0, ["s1", "s3"]);
    assert_eq!(ids("/v1/sessions?label=parity=odd&label=number=3").0, ["s3"]);
    assert_eq!(ids("/v1/sessions?label=parity=none").0, [""; 0]);
    server.ask("s2", &json!({ "code": "import time; time.sleep(30)", "detach": true }));
    let running =
        wait_for(Duration::from_secs(5), || Some(ids("/v1/sessions?state=running").0).filter(|ids| !ids.is_empty()));
    assert_eq!(running.unwrap(), ["s2"]);
    server.ask("s4", &json!({ "code": "import os; os._exit(0)" }));
    assert_eq!(
        (ids("/v1/sessions?state=ended").0, ids("/v1/sessions?state=idle").0),
        (vec!["s4".into()], vec!["s0".into(), "s1".into(), "s3".into()])
    );
    let changed = server.send(
        "PATCH",
        "/v1/sessions/s0",
        r#"{"labels": {"parity": "odd"}, "idle_seconds": 7, "ttl_seconds": 9}"#,
    );
    assert_eq!((changed.status, &changed.json["labels"]), (200, &json!({ "parity": "odd" })), "{changed:?}");
    assert_eq!((&changed.json["idle_seconds"], &changed.json["ttl_seconds"]), (&json!(7.0), &json!(9.0)));
    assert_eq!(ids("/v1/sessions?label=parity=odd").0, ["s0", "s1", "s3"]);
    for query in
        ["state=busy", "label=x", "limit=0", "limit=1001", "limit=x", "cursor=a/b", "page=2", "state=idle&state=idle"]
    {
        assert_eq!(server.get(&format!("/v1/sessions?{query}")).status, 400, "{query}");
    }
}

#[test]
fn how_long_a_session_stays_can_be_changed_while_it_rests() {
    let server = start("");
    assert_eq!(server.send("PATCH", "/v1/sessions/a", r#"{"idle_seconds": 1}"#).status, 200);
    let ended =
        wait_for(Duration::from_secs(5), || Some(server.look_at("a")).filter(|answer| answer.text("state") == "ended"));
    assert_eq!(ended.expect("it ends").json["reason"]["code"], "idle");
    assert_eq!(server.send("PATCH", "/v1/sessions/a", "{}").status, 404);
}

#[test]
fn labels_and_the_environment_stay_over_a_restart() {
    let server = Setup::bare().option(KEPT).start();
    let made = server
        .create(r#"{"id": "a", "labels": {"team": "a \"b\" \\"}, "env": {"TOKEN": "x=y\n", "PATH": "/nowhere"}}"#);
    assert_eq!((made.status, &made.json["labels"]), (201, &json!({ "team": "a \"b\" \\" })), "{made:?}");
    let ended = server.end_by(Signal::KILL);
    let server = Setup::bare().option(KEPT).start_after(ended);
    assert_eq!(server.look_at("a").json["labels"], made.json["labels"]);
    let code = "import os, subprocess; print(repr(os.environ['TOKEN']), subprocess.run(['/bin/sh', '-c', 'echo $PATH'], capture_output=True).stdout)";
    assert_eq!(server.ask("a", &json!({ "code": code })).stdout(), "'x=y\\n' b'/nowhere\\n'\n");
    for (field, value) in [
        ("labels", json!({ "": "x" })),
        ("labels", json!({ "x": "a\u{7}" })),
        ("labels", json!({ "x": "y".repeat(1025) })),
        ("env", json!({ "A=B": "x" })),
        ("env", json!({ "A": "x\u{0}" })),
        ("env", json!({ "A": "x".repeat(70_000) })),
        ("env", json!({ "A": 1 })),
    ] {
        let refused = server.create(&json!({ field: value }).to_string());
        assert_eq!(refused.status, 400, "{refused:?}");
    }
}

#[test]
fn much_output_of_many_at_once_is_answered_whole() {
    let server = start("");
    let code = "import sys; print('x' * 1_000_000); print('y' * 900_000, file=sys.stderr)";
    let lengths = |answer: Answer| (answer.status, answer.stdout().len(), answer.stderr().len());
    std::thread::scope(|scope| {
        let asked: Vec<_> =
            (0..6).map(|_| scope.spawn(|| lengths(server.ask("a", &json!({ "code": code }))))).collect();
        let named: Vec<_> = (0..6).map(|_| scope.spawn(|| lengths(server.run_in("a", code)))).collect();
        for answer in asked.into_iter().chain(named) {
            assert_eq!(answer.join().expect("it is answered"), (200, 1_000_001, 900_001));
        }
    });
    // What nobody wants any more is forgotten.
    server.ask("a", &json!({ "code": "" }));
    server.ask("a", &json!({ "code": "" }));
    assert_eq!(server.get("/v1/sessions/a/executions/1").status, 410);
}

#[test]
fn whoever_waits_for_what_never_begins_is_told_when_its_session_ends() {
    let server = start("");
    let ends = "import os, time; time.sleep(0.6); os._exit(1)";
    server.ask("a", &json!({ "code": ends, "detach": true }));
    server.ask("a", &json!({ "code": "print(1)", "detach": true }));
    let began = Instant::now();
    std::thread::scope(|scope| {
        let events = scope.spawn(|| Events::after(server.address, "a", "2", None).rest());
        let waited = server.get("/v1/sessions/a/executions/2?wait_seconds=20");
        assert_eq!((waited.status, waited.refusal()[0]), (404, "no_such_execution"), "{waited:?}");
        let events = events.join().expect("they end");
        assert_eq!(events.last().map(|event| event.name().to_owned()), Some("error".to_owned()), "{events:?}");
    });
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_number_that_was_given_is_nobody_elses_under_another_server() {
    let server = start("");
    server.ask("a", &json!({ "code": "import time; time.sleep(1.5)", "detach": true }));
    let waiting = server.ask("a", &json!({ "code": "print('mine')", "detach": true }));
    assert_eq!((waiting.status, &waiting.json["execution"]), (202, &json!(2)));
    let server = Setup::bare().option(KEPT).start_after(server.end_by(Signal::KILL));
    let other = server.ask("a", &json!({ "code": "print('other')" }));
    assert_eq!((other.stdout(), &other.json["execution"]), ("other\n", &json!(1001)), "{other:?}");
    assert_eq!(server.get("/v1/sessions/a/executions/2").status, 410);
    assert_eq!(server.get("/v1/sessions/a/executions/1").text("outcome"), "ok");
}
