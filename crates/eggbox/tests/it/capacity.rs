//! No room, and our own faults: what is answered when the server cannot run the code.

use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::process::{nest_pid, wait_for};
use crate::python;
use crate::server::{Server, Setup};

#[test]
fn a_session_too_many_is_503_and_says_when_to_try_again() {
    let server = Server::with("--sessions-max 1");
    let first = server.session();
    first.print("x = 1");
    let refused = server.run("print(1)");
    assert_eq!((refused.status, refused.keys()), (503, vec!["error"]));
    assert!(refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u16>().is_ok_and(|n| n > 0)));
    assert!(refused.error().contains("all 1 sessions (sessions_max)") && refused.error().contains("try again later"));
    assert_eq!(first.print("print(x)"), "1\n");
    first.run("import os; os._exit(0)");
    let made_room = wait_for(Duration::from_secs(5), || (server.run("print(1)").status == 200).then_some(()));
    assert!(made_room.is_some(), "an ended session makes room");
}

#[test]
fn a_burst_never_runs_more_sessions_than_allowed() {
    let server = Server::with("--sessions-max 3");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let running: Vec<_> =
            (0..12).map(|_| scope.spawn(|| server.run("import time; time.sleep(.5)").status)).collect();
        running.into_iter().map(|running| running.join().expect("it is answered")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 3, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 9, "{statuses:?}");
}

#[test]
fn a_queue_that_is_full_is_503_and_the_rest_is_answered() {
    let server = Server::with("--queue-max 1");
    let session = server.session();
    session.print("import time");
    let answers: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..4)
            .map(|_| {
                std::thread::sleep(Duration::from_millis(100));
                scope.spawn(|| session.run("time.sleep(1)"))
            })
            .collect();
        running.into_iter().map(|running| running.join().expect("it is answered")).collect()
    });
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 503, 503]);
    assert!(answers[2].error().contains("1 executions (queue_max)") && answers[2].header("retry-after").is_some());
}

#[test]
fn large_requests_that_wait_or_run_have_so_much_room_together_and_small_ones_need_none() {
    let server = Server::with("--body-bytes-max 1048576 --bodies-bytes-max 1048576");
    let large = |code: &str| format!("{code}\n#{}", "x".repeat(700 << 10));
    let [first, second] = [server.session(), server.session()];
    std::thread::scope(|scope| {
        let running = scope.spawn(|| first.run(&large("import time; time.sleep(1.5); print(1)")));
        std::thread::sleep(Duration::from_millis(500));
        let refused = second.run(&large("print(2)"));
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
        assert!(refused.error().contains("1048576 bytes (bodies_bytes_max)"), "{refused:?}");
        assert_eq!(second.print(&format!("print(3)\n#{}", "x".repeat(60 << 10))), "3\n");
        assert_eq!(running.join().expect("it is answered").stdout(), "1\n");
    });
    assert_eq!(second.print(&large("print(4)")), "4\n");
}

#[test]
fn a_dead_nest_costs_its_sessions_and_is_replaced() {
    let (server, interpreter, _folder) = with_own_interpreter();
    let session = server.session();
    session.print("kept = 1");
    let nest = Pid::from_raw(nest_pid(&interpreter).cast_signed()).expect("a pid is positive");
    kill_process(nest, Signal::KILL).expect("the nest can be killed");
    let told =
        wait_for(Duration::from_secs(5), || Some(session.run("print(1)")).filter(|answer| !answer.error().is_empty()));
    let told = told.expect("the loss is told");
    assert!(told.error().contains("all sessions come from") && told.error().contains("session state lost"), "{told:?}");
    assert_eq!(session.print("print('kept' in globals())"), "False\n");
}

#[test]
fn our_own_fault_is_500_with_a_request_id_and_its_cause_in_the_log() {
    let folder = python::own_folder();
    let made = Command::new(python::bare()).args(["-m", "venv", "--without-pip"]).arg(folder.path()).output();
    assert!(made.is_ok_and(|output| output.status.success()), "a virtual environment can be made");
    let interpreter = folder.path().join("bin/python3");
    let server = Setup::with_python(&interpreter).start();
    let nest = Pid::from_raw(nest_pid(&interpreter).cast_signed()).expect("a pid is positive");
    std::fs::remove_dir_all(folder.path()).expect("the environment can be removed");
    kill_process(nest, Signal::KILL).expect("the nest can be killed");
    std::thread::sleep(Duration::from_millis(300));
    let answer = server.run("print(1)");
    assert_eq!((answer.status, answer.error()), (500, "Internal server error"));
    assert_eq!(answer.keys(), ["error", "request_id"]);
    let id = answer.text("request_id");
    assert_eq!(Some(id), answer.header("x-request-id"));
    let log = server.log();
    let line = log.lines().find(|line| line.contains(id) && line.contains("ERROR")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("failed to start") && line.contains("nest"), "{line}");
}

/// A server whose interpreter has a path of its own, so that its nest can be told from others.
fn with_own_interpreter() -> (Server, std::path::PathBuf, tempfile::TempDir) {
    let folder = python::own_folder();
    let interpreter = folder.path().join("python3");
    symlink(python::bare(), &interpreter).expect("a link can be made");
    (Setup::with_python(&interpreter).option("--shutdown-grace-seconds 1").start(), interpreter, folder)
}
