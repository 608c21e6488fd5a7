//! Lines that code asks for, and the standard input that it is given.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::process::wait_for;
use crate::server::{Server, Setup};
use crate::sse::Events;

const KEPT: &str = "--abandoned-seconds-max 60";

/// A server with a session `a` that was made.
fn start() -> Server {
    let server = Setup::bare().option(KEPT).start();
    assert_eq!(server.create(r#"{"id": "a"}"#).status, 201);
    server
}

fn give(server: &Server, execution: &str, body: &Value) -> u16 {
    server.send("POST", &format!("/v1/sessions/a/executions/{execution}/input"), &body.to_string()).status
}

#[test]
fn code_asks_for_lines_and_gets_them() {
    let server = start();
    let code = "import getpass\nname = input('who? ')\nword = getpass.getpass()\nprint(f'{name!r} {word!r}')\n\
                try:\n    input()\nexcept EOFError:\n    print('over')";
    let mut events = Events::of_new(server.address, "a", &json!({ "code": code }));
    assert_eq!(events.next_of("input_request").data(), json!({ "prompt": "who? ", "password": false }));
    let waiting = server.get("/v1/sessions/a/executions/1");
    assert_eq!(waiting.json["input_request"]["prompt"], "who? ", "{waiting:?}");
    assert_eq!(give(&server, "1", &json!({ "text": "Ann é 🥚\n" })), 204);
    assert_eq!(events.next_of("input_request").data(), json!({ "prompt": "Password: ", "password": true }));
    assert_eq!(give(&server, "last", &json!({ "text": "" })), 204);
    assert_eq!(events.next_of("stdout").data()["text"], "'Ann é 🥚' ''\n");
    events.next_of("input_request");
    assert_eq!(give(&server, "1", &json!({ "end": true })), 204);
    assert_eq!(crate::sse::printed(&events.rest(), "stdout"), "over\n");
    assert_eq!(server.get("/v1/sessions/a/executions/1").json["input_request"], Value::Null);
    // Nobody waits for it any more.
    assert_eq!(give(&server, "1", &json!({ "text": "late" })), 409);
    for body in [json!({}), json!({ "text": "a", "end": true }), json!({ "end": false }), json!({ "text": "a\nb" })] {
        assert_eq!(give(&server, "1", &body), 400, "{body}");
    }
    assert_eq!(give(&server, "7", &json!({ "text": "a" })), 404);
}

#[test]
fn without_anybody_who_listens_there_is_no_input() {
    let server = start();
    let code = "try:\n    input('? ')\nexcept EOFError as error:\n    print(repr(error))";
    assert_eq!(server.ask("a", &json!({ "code": code })).stdout(), "? EOFError('EOF when reading a line')\n");
    assert_eq!(server.run_in("b", code).stdout(), "? EOFError('EOF when reading a line')\n");
    assert_eq!(give(&server, "1", &json!({ "text": "late" })), 409);
}

#[test]
fn whoever_waits_can_be_interrupted_and_ask_again() {
    let server = start();
    let code = "try:\n    input('first')\nexcept KeyboardInterrupt:\n    print('interrupted')\nprint(input('second'))";
    let mut events = Events::of_new(server.address, "a", &json!({ "code": code }));
    events.next_of("input_request");
    assert_eq!(server.delete("a/executions/1").status, 202);
    assert_eq!(events.next_of("input_request").data()["prompt"], "second");
    assert_eq!(give(&server, "1", &json!({ "text": "hello" })), 204);
    assert_eq!(crate::sse::printed(&events.rest(), "stdout"), "hello\n");
    // Its time goes on while it waits.
    let timed_out = json!({ "code": "input()", "timeout_seconds": 0.3, "detach": true });
    server.ask("a", &timed_out);
    let ended = server.get("/v1/sessions/a/executions/2?wait_seconds=10");
    assert_eq!((ended.text("outcome"), ended.text("session_state")), ("timeout", "kept"), "{ended:?}");
}

#[test]
fn a_wish_for_a_line_outlives_the_server() {
    let server = start();
    let code = "lines = [input('a'), input('b')]\nprint(lines)";
    server.ask("a", &json!({ "code": code, "detach": true }));
    let asks = |server: &Server, prompt: &str| {
        let asked = wait_for(Duration::from_secs(5), || {
            let answer = server.get("/v1/sessions/a/executions/1");
            (answer.json["input_request"]["prompt"] == prompt).then_some(())
        });
        assert!(asked.is_some(), "{prompt}: {:?}", server.get("/v1/sessions/a/executions/1"));
    };
    asks(&server, "a");
    let server = Setup::bare().option(KEPT).start_after(server.end_by(Signal::KILL));
    asks(&server, "a");
    assert_eq!(give(&server, "1", &json!({ "text": "one" })), 204);
    asks(&server, "b");
    let server = Setup::bare().option(KEPT).start_after(server.end_by(Signal::KILL));
    assert_eq!(give(&server, "1", &json!({ "text": "two" })), 204);
    let ended = server.get("/v1/sessions/a/executions/1?wait_seconds=10");
    assert_eq!((ended.text("outcome"), ended.stdout()), ("ok", "['one', 'two']\n"), "{ended:?}");
    // The session answers both servers' questions how far it is, and goes on.
    assert_eq!(server.ask("a", &json!({ "code": "print(lines[0])" })).stdout(), "one\n");
}

#[test]
fn code_reads_the_input_that_comes_with_it_by_every_way() {
    let server = start();
    let code = "import os, subprocess, sys\nprint(input(), repr(sys.stdin.readline()))\n\
                print(subprocess.run(['cat'], capture_output=True, text=True).stdout == '', sys.stdin.read())\n\
                try:\n    input()\nexcept EOFError:\n    print('over')";
    let answer = server.ask("a", &json!({ "code": code, "stdin": "first é\nsecond\nthird" }));
    assert_eq!(answer.stdout(), "first é 'second\\n'\nTrue third\nover\n", "{answer:?}");
    let child = "import os, subprocess\nprint(subprocess.run(['cat'], capture_output=True, text=True).stdout, end='')";
    assert_eq!(server.ask("a", &json!({ "code": child, "stdin": "for a child\n" })).stdout(), "for a child\n");
    // It goes before whoever listens, and nothing of it is left for the next.
    let events = Events::of_new(server.address, "a", &json!({ "code": "print(input())", "stdin": "given" }));
    assert_eq!(crate::sse::printed(&events.rest(), "stdout"), "given\n");
    assert_eq!(server.ask("a", &json!({ "code": "import sys; print(repr(sys.stdin.read()))" })).stdout(), "''\n");
    let long =
        server.ask("a", &json!({ "code": "import sys; print(len(sys.stdin.read()))", "stdin": "x".repeat(3 << 20) }));
    assert_eq!(long.stdout(), format!("{}\n", 3 << 20), "{}", long.error());
}
