//! Code that does not end: an interrupt first, then the end of its session.

use std::time::{Duration, Instant};

use crate::server::Server;

fn server() -> Server {
    Server::with("--wall-seconds-max 1 --interrupt-grace-seconds 0.5")
}

const KEPT: &str = "execution timeout: 1 s of wall time are over; session state kept";
const LOST: &str = "execution timeout: 1 s of wall time are over; session state lost";

#[test]
fn an_interrupt_ends_the_code_and_keeps_the_state() {
    // Time enough, on whatever machine: `subprocess` gives its child a quarter of a second of it.
    let server = Server::with("--wall-seconds-max 1 --interrupt-grace-seconds 5");
    let session = server.session();
    session.print("import asyncio, subprocess, threading, time; x = 5");
    for code in [
        "while True: pass",
        "time.sleep(60)",
        "subprocess.run(['sleep', '60'])",
        "threading.Event().wait()",
        "await asyncio.sleep(60)",
        "asyncio.run(asyncio.sleep(60))",
        "sum(1 for _ in iter(int, 1))",
        "import re; [re.match('a', 'a') for _ in iter(int, 1)]",
    ] {
        let answer = session.run(&format!("print('before')\n{code}\nprint('after')"));
        assert_eq!((answer.status, answer.stdout(), answer.error()), (200, "before\n", KEPT), "{code}: {answer:?}");
        assert!(answer.stderr().ends_with("KeyboardInterrupt\n"), "{code}: {answer:?}");
        // An interrupt meets a loop that waits where none of the user's frames is on the stack.
        let waits = code.starts_with("await");
        assert!(waits || answer.stderr().contains("File \"execution "), "{code}: {answer:?}");
        assert_eq!(session.print("print(x)"), "5\n", "{code}");
    }
}

#[test]
fn code_that_ignores_the_interrupt_is_killed() {
    let server = server();
    for code in [
        "import time\nwhile True:\n    try: time.sleep(60)\n    except BaseException: pass",
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\nwhile True: pass",
        "sum(range(10 ** 12))",
    ] {
        let session = server.session();
        session.print("kept = 1");
        let asked = Instant::now();
        let answer = session.run(&format!("print('before')\n{code}"));
        assert_eq!((answer.stdout(), answer.error()), ("before\n", LOST), "{code}: {answer:?}");
        assert!(asked.elapsed() < Duration::from_secs(4), "{code}: {:?}", asked.elapsed());
        assert_eq!(session.print("print('kept' in globals())"), "False\n", "{code}");
    }
}

#[test]
fn a_finally_clause_has_time_to_run() {
    let server = server();
    let answer = server.run("import time\ntry:\n    time.sleep(60)\nfinally:\n    print('cleared up')");
    assert_eq!((answer.stdout(), answer.error()), ("cleared up\n", KEPT));
}

#[test]
fn code_that_catches_the_interrupt_and_ends_is_told_all_the_same() {
    let server = server();
    let answer = server.run("import time\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('caught')");
    assert_eq!((answer.stdout(), answer.stderr(), answer.error()), ("caught\n", "", KEPT));
}

#[test]
fn others_do_not_wait_for_it() {
    let server = server();
    let neighbour = server.session();
    neighbour.print("x = 5");
    std::thread::scope(|scope| {
        let stuck = scope
            .spawn(|| server.run("import time\nwhile True:\n    try: time.sleep(60)\n    except BaseException: pass"));
        while !stuck.is_finished() {
            let asked = Instant::now();
            assert_eq!(neighbour.print("print(x)"), "5\n");
            assert!(asked.elapsed() < Duration::from_millis(700), "{:?}", asked.elapsed());
        }
        assert_eq!(stuck.join().expect("it is answered").error(), LOST);
    });
}
