//! The contract of POST /execute, row by row: what an answer has, who the session is, input and exit.

use serde_json::json;

use crate::server::Server;

#[test]
fn what_is_printed_is_answered_and_nothing_else() {
    let server = Server::bare();
    let answer = server.post(r#"{"code": "import sys; print('out'); print('err', file=sys.stderr)"}"#);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!((answer.stdout(), answer.stderr()), ("out\n", "err\n"));
    assert_eq!(answer.keys(), ["id", "stderr", "stdout"]);
}

#[test]
fn code_that_does_nothing_is_answered_with_its_id_alone() {
    let server = Server::bare();
    for code in ["", "\n", "x = 5", "# nothing", "pass", "'an expression is not echoed'", "None"] {
        let session = server.session();
        let answer = session.run(code);
        assert_eq!((answer.status, &answer.json), (200, &json!({ "id": session.id })), "{code:?}");
    }
}

#[test]
fn without_an_id_every_request_gets_a_new_session() {
    let server = Server::bare();
    let first = server.post(r#"{"code": "x = 5"}"#);
    let second = server.post(r#"{"code": "print('x' in globals())"}"#);
    assert_ne!(first.id(), second.id());
    assert_eq!(second.stdout(), "False\n");
    assert_eq!(server.run_in(first.id(), "print(x)").stdout(), "5\n");
}

#[test]
fn an_unknown_id_names_a_new_session() {
    let server = Server::bare();
    let longest = format!("{}{}", std::process::id(), "x".repeat(128));
    for id in ["A-z_0.9", "execute.a", "..", ".", "-", "_", &longest[..128]] {
        let answer = server.run_in(id, "first = 'first' not in globals(); print(first)");
        assert_eq!((answer.status, answer.id(), answer.stdout()), (200, id, "True\n"));
    }
}

#[test]
fn session_id_is_another_name_of_id() {
    let server = Server::bare();
    let session = server.session();
    session.run("x = 5");
    let answer = server.post(&json!({ "session_id": session.id, "code": "print(x)" }).to_string());
    assert_eq!(answer.json, json!({ "id": session.id, "stdout": "5\n" }));
    let both = json!({ "id": session.id, "session_id": session.id, "code": "print(x)" });
    assert_eq!(server.post(&both.to_string()).stdout(), "5\n");
}

#[test]
fn other_keys_are_ignored_and_null_is_absent() {
    let server = Server::bare();
    let answer = server.post(r#"{"code": "print(1)", "timeout": [1, {"a": null}], "id": null, "stdout": "no"}"#);
    assert_eq!((answer.status, answer.stdout()), (200, "1\n"));
    assert_eq!(answer.keys(), ["id", "stdout"]);
}

#[test]
fn code_is_any_text() {
    let server = Server::bare();
    let answer = server.run("print('é🥚', len('🥚'), ascii('\\ud83e\u{301}'))");
    assert_eq!(answer.stdout(), "é🥚 1 '\\ud83e\\u0301'\n");
    let answer = server.post(r#"{"code": "print(1)\r\nprint(2)\rprint(3)\n\tprint"}"#);
    assert!(answer.stderr().contains("IndentationError"), "{answer:?}");
    let null = server.post(r#"{"code": "print(1)\u0000print(2)"}"#);
    assert_eq!((null.status, null.stdout()), (200, ""));
    assert!(null.stderr().contains("null bytes"), "{null:?}");
}

#[test]
fn input_is_at_its_end() {
    let server = Server::bare();
    let answer = server.run("input('name? ')");
    assert_eq!(answer.stdout(), "name? ");
    assert!(answer.stderr().ends_with("EOFError: EOF when reading a line\n"), "{answer:?}");
    assert_eq!(server.session().print("import sys, os; print(repr(sys.stdin.read()), os.read(0, 9))"), "'' b''\n");
}

#[test]
fn exit_ends_the_execution_as_in_a_script() {
    let server = Server::bare();
    for (code, stderr) in [
        ("import sys; sys.exit()", ""),
        ("import sys; sys.exit(0)", ""),
        ("import sys; sys.exit(3)", ""),
        ("import sys; sys.exit(None)", ""),
        ("import sys; sys.exit('no more eggs')", "no more eggs\n"),
        ("import sys; sys.exit(('a', 1))", "('a', 1)\n"),
        ("exit()", ""),
        ("quit('over')", "over\n"),
        ("raise SystemExit", ""),
        ("raise SystemExit('over')", "over\n"),
        ("raise SystemExit(2.5)", "2.5\n"),
        ("class Own(SystemExit): pass\nraise Own('own')", "own\n"),
    ] {
        let session = server.session();
        let answer = session.run(&format!("kept = 1; print('before')\n{code}\nprint('after')"));
        assert_eq!((answer.stdout(), answer.stderr(), answer.error()), ("before\n", stderr, ""), "{code}");
        assert_eq!(session.print("print(kept)"), "1\n", "{code}");
    }
}

#[test]
fn exit_of_a_thread_ends_the_thread_alone() {
    let code =
        "import threading, sys\nt = threading.Thread(target=lambda: sys.exit('t'))\nt.start(); t.join()\nprint(1)";
    assert_eq!(Server::bare().session().print(code), "1\n");
}
