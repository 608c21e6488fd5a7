//! Code that ends its interpreter: what it said so far, why it ended, and that the state is gone.

use std::time::Duration;

use serde_json::json;

use crate::process::wait_for;
use crate::server::Server;

/// Code, and what the error must name.
const ENDS: &[(&str, &str)] = &[
    ("os._exit(0)", "exited with status 0"),
    ("os._exit(3)", "exited with status 3"),
    ("ctypes.CDLL(None)._exit(7)", "exited with status 7"),
    ("ctypes.CDLL(None).exit(4)", "exited with status 4"),
    ("ctypes.string_at(0)", "SIGSEGV"),
    ("ctypes.CDLL(None).memset(8, 1, 8)", "SIGSEGV"),
    ("os.abort()", "SIGABRT"),
    ("ctypes.CDLL(None).abort()", "SIGABRT"),
    ("signal.alarm(1); time.sleep(5)", "SIGALRM"),
    ("signal.setitimer(signal.ITIMER_VIRTUAL, .01)\nwhile True: pass", "SIGVTALRM"),
    ("os.execvp('echo', ['echo', '-n', ''])", "session ended"),
    ("threading.Thread(target=os._exit, args=(5,)).start(); time.sleep(5)", "exited with status 5"),
];

#[test]
fn output_so_far_is_kept_the_cause_is_named_and_the_next_request_starts_afresh() {
    let server = Server::bare();
    for (code, cause) in ENDS {
        let session = server.session();
        session.print("import ctypes, functools, os, signal, sys, threading, time\nkept = 1");
        let answer =
            session.run(&format!("print('before', end='')\nprint('so far', file=sys.stderr)\n{code}\nprint('after')"));
        assert_eq!(
            (answer.status, answer.stdout(), answer.stderr()),
            (200, "before", "so far\n"),
            "{code}: {answer:?}"
        );
        assert!(answer.error().contains(cause), "{code}: {answer:?}");
        assert!(answer.error().ends_with("; session state lost"), "{code}: {answer:?}");
        assert_eq!(session.print("print('kept' in globals())"), "False\n", "{code}");
    }
}

fn assert_ends_by_signal(prepare: &str, names: &[&str]) {
    let server = Server::bare();
    let mut wrong = Vec::new();
    for name in names {
        let kill = format!(
            "{}\nprint('before')\nos.kill(os.getpid(), signal.{name})\nprint('after')",
            prepare.replace("{}", name)
        );
        let answer = server.run(&format!("import os, signal\n{kill}"));
        if (answer.status, answer.stdout(), answer.error().contains(name)) != (200, "before\n", true) {
            wrong.push(format!("{name}: {}", answer.json));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_signal_to_itself_ends_the_interpreter() {
    assert_ends_by_signal("", &["SIGHUP", "SIGABRT", "SIGTERM", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGQUIT"]);
}

#[test]
fn a_fault_signal_that_is_sent_ends_the_interpreter() {
    assert_ends_by_signal("", &["SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL"]);
}

#[test]
fn a_signal_whose_default_action_is_set_again_ends_the_interpreter() {
    assert_ends_by_signal("signal.signal(signal.{}, signal.SIG_DFL)", &["SIGTERM", "SIGALRM", "SIGPIPE"]);
}

#[test]
fn a_stack_that_overflows_in_c_takes_nobody_along() {
    let server = Server::bare();
    let (session, neighbour) = (server.session(), server.session());
    neighbour.print("x = 1");
    let deep =
        "import ctypes\n@ctypes.CFUNCTYPE(None)\ndef f():\n    f()\nimport sys\nsys.setrecursionlimit(10**9)\nf()";
    let answer = session.run(deep);
    assert!(answer.error().contains("SIGSEGV") && answer.error().ends_with("session state lost"), "{answer:?}");
    assert_eq!(neighbour.print("print(x)"), "1\n");
    assert_eq!(session.print("print(1)"), "1\n");
}

#[test]
fn what_the_children_had_running_ends_too() {
    let server = Server::bare();
    let session = server.session();
    let answer =
        session.run("import os, subprocess\nsubprocess.Popen(['sleep', '1234'], start_new_session=True)\nos._exit(0)");
    assert!(answer.error().contains("exited with status 0"), "{answer:?}");
    assert_eq!(session.print("import glob; print(len(glob.glob('/proc/[0-9]*')))"), "1\n");
}

#[test]
fn an_end_between_requests_is_told_once() {
    let server = Server::bare();
    let session = server.session();
    session.print("import os, threading; threading.Timer(.1, os._exit, [9]).start(); kept = 1");
    std::thread::sleep(Duration::from_millis(500));
    let told = session.run("print('not run')");
    assert_eq!((told.status, told.stdout()), (200, ""));
    for part in
        ["had ended before this request", "status 9", "the code was not run", "session state lost", "starts afresh"]
    {
        assert!(told.error().contains(part), "{part}: {told:?}");
    }
    assert_eq!(session.print("print('kept' in globals())"), "False\n");
}

#[test]
fn a_session_that_nobody_uses_ends_and_says_so_once() {
    let server = Server::with("--idle-seconds-max 1");
    let session = server.session();
    session.print("kept = 1");
    let ended = wait_for(Duration::from_secs(10), || {
        std::thread::sleep(Duration::from_millis(1500));
        let answer = session.run("print('kept' in globals())");
        (!answer.error().is_empty()).then_some(answer)
    });
    let told = ended.expect("an idle session ends");
    assert!(
        told.error().contains("nobody had used it for 1 s") && told.error().contains("session state lost"),
        "{told:?}"
    );
    assert_eq!(session.print("print('kept' in globals())"), "False\n");
}

#[test]
fn code_is_not_given_to_a_session_that_is_being_ended() {
    let server = Server::with("--idle-seconds-max 1");
    let ask = |step: u64| {
        let path = format!("/v1/sessions/{}/executions", server.create("{}").id());
        let ask = |code: &str| server.send("POST", &path, &json!({ "code": code }).to_string());
        // Its memory takes the kernel a while to free.
        let held = ask("held = b'x' * 100_000_000");
        assert_eq!(held.text("outcome"), "ok", "{held:?}");
        std::thread::sleep(Duration::from_millis(996 + 2 * step));
        ask("print(1)")
    };
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..16)
            .map(|step| {
                let ask = &ask;
                scope.spawn(move || ask(step))
            })
            .collect();
        asking.into_iter().map(|asks| asks.join().expect("it answers")).collect()
    });
    for answer in &answers {
        let outcome = answer.json["outcome"].as_str().unwrap_or_default();
        assert!(matches!((answer.status, outcome), (200, "ok") | (410, "")), "{answer:?}");
    }
    assert!(answers.iter().any(|answer| answer.status == 410), "nobody came too late");
}

#[test]
fn a_running_execution_is_not_idle() {
    let server = Server::with("--idle-seconds-max 1");
    assert_eq!(server.session().print("import time; time.sleep(2.5); print('awake')"), "awake\n");
}
