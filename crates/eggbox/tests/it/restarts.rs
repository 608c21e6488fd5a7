//! A server that is killed or hands over does not end its sessions: the next one has them, with what they were at.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::attacks::way::Way;
use crate::client;
use crate::process::{footprint, nest_pid, wait_for};
use crate::python;
use crate::server::{Server, Setup};

/// Longer than any test takes.
const KEPT: &str = "--abandoned-seconds-max 100";

fn start(options: &str) -> Server {
    Setup::bare().option(KEPT).option(options).start()
}

fn restart(server: Server, signal: Signal, options: &str) -> Server {
    Setup::bare().option(KEPT).option(options).start_after(server.end_by(signal))
}

/// Sends a request and does not wait for its answer.
fn send_only(server: &Server, id: &str, code: &str) -> TcpStream {
    let body = serde_json::json!({ "id": id, "code": code }).to_string();
    let mut stream = TcpStream::connect(server.address).expect("the server accepts connections");
    stream.write_all(&client::post(&body)).expect("it reads");
    stream
}

#[test]
fn every_session_is_there_with_its_state_after_a_kill_and_after_a_handover() {
    for way in Way::possible() {
        let setup = || way.setup().option(KEPT);
        let mut server = setup().start();
        for id in ["a", "b", "c"] {
            server.run_in(id, &format!("x = '{id}'; n = 0\nopen('file', 'w').write(x)"));
        }
        for (round, signal) in [Signal::KILL, Signal::HUP, Signal::KILL].into_iter().enumerate() {
            server = setup().start_after(server.end_by(signal));
            for id in ["a", "b", "c"] {
                let answer = server.run_in(id, "n += 1; print(x, n, open('file').read())");
                let expected = format!("{id} {} {id}\n", round + 1);
                assert_eq!((answer.stdout(), answer.error()), (expected.as_str(), ""), "{} {signal:?}", way.name());
            }
        }
        // New ones come beside them.
        assert_eq!(server.run("print(6 * 7)").stdout(), "42\n", "{}", way.name());
    }
}

#[test]
fn an_execution_that_was_running_finishes_and_its_output_is_not_lost() {
    let server = start("");
    server.run_in("a", "import time");
    let code = "print('first')\ntime.sleep(1.5)\nprint('last')\nx = 5";
    let connection = send_only(&server, "a", code);
    std::thread::sleep(Duration::from_millis(400));
    let running = server.get("/v1/sessions/a/executions/last");
    assert_eq!((running.text("state"), running.stdout()), ("running", "first\n"), "{running:?}");
    let server = restart(server, Signal::KILL, "");
    drop(connection);
    let finished = wait_for(Duration::from_secs(5), || {
        Some(server.get("/v1/sessions/a/executions/last")).filter(|answer| answer.text("state") == "finished")
    });
    let finished = finished.expect("it finishes");
    assert_eq!((finished.stdout(), finished.error()), ("first\nlast\n", ""), "{finished:?}");
    assert_eq!(
        (finished.json["execution"].as_u64(), finished.json["usage"]["wall_ms"].as_f64() >= Some(1500.0)),
        (Some(2), true)
    );
    assert_eq!(server.run_in("a", "print(x)").stdout(), "5\n");
}

#[test]
fn what_waits_when_the_server_hands_over_is_told_to_come_again_and_was_not_run() {
    let server = start("");
    server.run_in("a", "import time; n = 0");
    let running = send_only(&server, "a", "time.sleep(1.5); n += 1");
    std::thread::sleep(Duration::from_millis(300));
    let mut waiting = send_only(&server, "a", "n += 10");
    std::thread::sleep(Duration::from_millis(200));
    let server = restart(server, Signal::HUP, "");
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).expect("it is answered");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: "), "{answer}");
    drop(running);
    assert_eq!(server.run_in("a", "print(n)").stdout(), "1\n");
}

#[test]
fn an_execution_that_ended_while_no_server_was_there_is_kept_and_requests_wait_for_one_that_runs() {
    let server = start("");
    server.run_in("done", "import time; n = 0");
    server.run_in("busy", "import time; n = 0");
    let _done = send_only(&server, "done", "print('said'); time.sleep(0.3); n += 1");
    let _busy = send_only(&server, "busy", "time.sleep(2); n += 1");
    std::thread::sleep(Duration::from_millis(100));
    let ended = server.end_by(Signal::KILL);
    std::thread::sleep(Duration::from_millis(500));
    let server = Setup::bare().option(KEPT).start_after(ended);
    let last = wait_for(Duration::from_secs(2), || {
        Some(server.get("/v1/sessions/done/executions/last")).filter(|answer| answer.text("state") == "finished")
    });
    assert_eq!(last.expect("it was finished").stdout(), "said\n");
    assert_eq!(server.run_in("done", "print(n)").stdout(), "1\n");
    assert_eq!(server.run_in("busy", "print(n)").stdout(), "1\n");
}

#[test]
fn deadlines_fire_and_limits_hold_after_a_restart() {
    let options =
        "--wall-seconds-max 2 --interrupt-grace-seconds 0.5 --idle-seconds-max 3 --memory-bytes-max 134217728";
    let server = start(options);
    server.run_in("a", "import time; x = 5");
    server.run_in("idle", "x = 5");
    let _gone = send_only(&server, "a", "print('so far')\nwhile True: pass");
    let began = Instant::now();
    std::thread::sleep(Duration::from_millis(500));
    let server = restart(server, Signal::KILL, options);
    let answer = server.run_in("a", "print(x)");
    // It had to wait for the one before it, which had its two seconds from its own beginning on.
    assert!((1900..3500).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert_eq!((answer.stdout(), answer.error()), ("5\n", ""));
    let over = server.run_in("a", "block = bytearray(200 << 20)");
    assert!(over.error().starts_with("memory limit exceeded") && over.error().ends_with("state kept"), "{over:?}");
    // Idle time counts from before the restart.
    std::thread::sleep(Duration::from_secs(3).saturating_sub(began.elapsed()) + Duration::from_millis(300));
    let told = server.run_in("idle", "print(x)");
    assert!(told.error().contains("nobody had used it for 3 s"), "{told:?}");
}

#[test]
fn an_end_that_nobody_was_told_of_is_told_by_the_next_server_once() {
    let options = "--idle-seconds-max 1";
    let server = start(options);
    server.run_in("a", "kept = 1");
    std::thread::sleep(Duration::from_millis(1500));
    let server = restart(server, Signal::KILL, options);
    let told = server.run_in("a", "print('kept' in globals())");
    assert!(told.error().contains("nobody had used it for 1 s") && told.error().contains("state lost"), "{told:?}");
    assert_eq!(server.run_in("a", "print('kept' in globals())").stdout(), "False\n");
    // And not a second time by the one after that.
    let server = restart(server, Signal::KILL, options);
    assert_eq!(server.run_in("a", "print('kept' in globals())").stdout(), "False\n");
}

#[test]
fn a_session_that_ends_while_no_server_is_there_says_so() {
    let server = start("");
    server.run_in("a", "import os, threading");
    server.run_in("a", "threading.Timer(0.5, os._exit, [3]).start()");
    let ended = server.end_by(Signal::KILL);
    std::thread::sleep(Duration::from_millis(900));
    let server = Setup::bare().option(KEPT).start_after(ended);
    let told = server.run_in("a", "print(1)");
    assert!(told.error().contains("exited with status 3") && told.error().contains("state lost"), "{told:?}");
    assert_eq!(server.run_in("a", "print(1)").stdout(), "1\n");
}

#[test]
fn a_death_that_its_client_did_not_wait_for_is_told_to_the_next() {
    let server = start("");
    server.run_in("a", "import os, time");
    drop(send_only(&server, "a", "time.sleep(0.5); os._exit(9)"));
    std::thread::sleep(Duration::from_millis(1000));
    let told = server.run_in("a", "print(1)");
    assert!(told.error().contains("exited with status 9"), "{told:?}");
    assert_eq!(server.run_in("a", "print(1)").stdout(), "1\n");
}

#[test]
fn a_client_that_goes_away_does_not_cancel_its_execution() {
    let server = start("");
    server.run_in("a", "import time; n = 0");
    drop(send_only(&server, "a", "time.sleep(0.5); n += 1; print('done')"));
    let finished = wait_for(Duration::from_secs(5), || {
        Some(server.get("/v1/sessions/a/executions/last")).filter(|answer| answer.stdout() == "done\n")
    });
    assert!(finished.is_some());
    assert_eq!(server.run_in("a", "print(n)").stdout(), "1\n");
}

#[test]
fn sessions_of_a_server_that_is_made_differently_are_served_to_their_end() {
    let server = start("");
    server.run_in("old", "x = 1");
    let server = restart(server, Signal::HUP, "--processes-max 20 --sessions-max 1");
    // All sessions there may be are taken, by one of the nest before.
    assert_eq!(server.run_in("old", "print(x)").stdout(), "1\n");
    assert_eq!(server.run_in("new", "print(1)").status, 503);
    server.run_in("old", "import os; os._exit(0)");
    let code = "import resource; print(resource.getrlimit(resource.RLIMIT_NPROC)[0])";
    let new =
        wait_for(Duration::from_secs(5), || Some(server.run_in("new", code)).filter(|answer| answer.status == 200));
    assert_eq!(new.expect("there is room again").stdout(), "20\n");
}

#[test]
fn a_nest_that_dies_is_replaced_within_two_seconds_and_the_server_answers_all_along() {
    let folder = python::own_folder();
    let interpreter = folder.path().join("python3");
    std::os::unix::fs::symlink(python::bare(), &interpreter).expect("a link can be made");
    let server = Setup::with_python(&interpreter).option(KEPT).start();
    server.run_in("a", "x = 1");
    server.run_in("b", "x = 1");
    let nest = Pid::from_raw(nest_pid(&interpreter).cast_signed()).expect("a pid is positive");
    kill_process(nest, Signal::KILL).expect("the nest can be killed");
    let killed = Instant::now();
    let is_new = |pid: u32| Pid::from_raw(pid.cast_signed()) != Some(nest);
    let replaced = wait_for(Duration::from_secs(2), || {
        assert_eq!(server.get("/health").status, 200);
        let up = server.log().matches("nest is up").count() == 2;
        (up && is_new(nest_pid(&interpreter))).then_some(())
    });
    assert!(replaced.is_some(), "no new nest after {:?}:\n{}", killed.elapsed(), server.log());
    for id in ["a", "b"] {
        let told = server.run_in(id, "print('x' in globals())");
        assert!(told.error().contains("all sessions come from") && told.error().contains("state lost"), "{told:?}");
        assert_eq!(server.run_in(id, "print('x' in globals())").stdout(), "False\n");
    }
}

#[test]
fn a_server_that_never_comes_back_takes_everything_along_after_its_grace() {
    for way in Way::possible() {
        let folder = python::own_folder();
        let interpreter = folder.path().join("python3");
        std::os::unix::fs::symlink(way.setup().python, &interpreter).expect("a link can be made");
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("it is ours");
        let server = Setup { python: interpreter.clone(), ..way.setup() }.option("--abandoned-seconds-max 2").start();
        server.run_in("a", "import subprocess; subprocess.Popen(['setsid', 'sleep', '1000'])");
        let found = footprint(&interpreter);
        let state = server.state_dir();
        let ended = server.end_by(Signal::KILL);
        std::thread::sleep(Duration::from_millis(1000));
        assert!(!footprint(&interpreter).pids.is_empty(), "{}: it is kept for a while", way.name());
        let gone = wait_for(Duration::from_secs(10), || {
            (footprint(&interpreter).pids.is_empty() && !state.join("keeper.sock").exists()).then_some(())
        });
        assert!(gone.is_some(), "{}: {:?}", way.name(), footprint(&interpreter));
        if !way.is_reduced() {
            // There the namespaces are the host's.
            found.assert_gone(Duration::from_secs(5));
        }
        // Folders are cleared away once nobody is in them.
        let nests = || std::fs::read_dir(state.join("nests")).into_iter().flatten().flatten().collect::<Vec<_>>();
        let are_cleared = wait_for(Duration::from_secs(5), || nests().is_empty().then_some(()));
        assert!(are_cleared.is_some(), "{}: {:?}", way.name(), nests());
        drop(ended);
    }
}

#[test]
fn two_restarts_during_one_execution_cost_nothing() {
    let server = start("");
    server.run_in("a", "import time");
    let _gone = send_only(&server, "a", "print('first'); time.sleep(2); x = 5; print('last')");
    std::thread::sleep(Duration::from_millis(300));
    let server = restart(server, Signal::KILL, "");
    std::thread::sleep(Duration::from_millis(200));
    let server = restart(server, Signal::KILL, "");
    assert_eq!(server.run_in("a", "print(x)").stdout(), "5\n");
    let server = restart(server, Signal::KILL, "");
    assert_eq!(server.run_in("a", "print(x)").stdout(), "5\n");
}

#[test]
fn fewer_sessions_after_a_restart_are_fewer_and_the_slots_of_the_others_go() {
    let server = start("--sessions-max 40");
    for n in 0..30 {
        server.run_in(&format!("s{n}"), "x = 1");
    }
    let server = restart(server, Signal::KILL, "--sessions-max 2");
    for n in 0..30 {
        assert_eq!(server.run_in(&format!("s{n}"), "print(x)").stdout(), "1\n", "{n}");
    }
    assert_eq!(server.run_in("new", "print(1)").status, 503);
    for n in 0..30 {
        server.run_in(&format!("s{n}"), "import os; os._exit(0)");
    }
    for n in 0..6 {
        let name = format!("new{n}");
        let answer = wait_for(Duration::from_secs(5), || {
            Some(server.run_in(&name, "print(1)")).filter(|answer| answer.status == 200)
        });
        assert_eq!(answer.expect("there is room").stdout(), "1\n");
        server.run_in(&name, "import os; os._exit(0)");
    }
}

#[test]
fn a_death_while_no_server_was_there_is_told_by_the_second_server_after_it() {
    let server = start("");
    server.run_in("a", "import os, threading\nthreading.Timer(0.3, os._exit, [3]).start()");
    let ended = server.end_by(Signal::KILL);
    std::thread::sleep(Duration::from_millis(600));
    let server = Setup::bare().option(KEPT).start_after(ended);
    let server = restart(server, Signal::KILL, "");
    let told = server.run_in("a", "print(1)");
    assert!(told.error().contains("exited with status 3"), "{told:?}");
}

#[test]
fn memory_that_was_used_up_while_no_server_was_there_is_named() {
    if !rustix::process::geteuid().is_root() {
        println!("left out, as the tests do not run as root: control groups over a restart");
        return;
    }
    let options = "--memory-bytes-max 134217728";
    let server = start(options);
    server.run_in("a", "import os, time, mmap");
    let code = "time.sleep(0.5)\nfile = os.memfd_create('f')\nfor _ in range(200): os.write(file, bytes(1 << 20))";
    let _gone = send_only(&server, "a", code);
    std::thread::sleep(Duration::from_millis(200));
    let ended = server.end_by(Signal::KILL);
    std::thread::sleep(Duration::from_millis(1500));
    let server = Setup::bare().option(KEPT).option(options).start_after(ended);
    let told = server.run_in("a", "print(1)");
    assert!(told.error().contains("memory limit exceeded"), "{told:?}");
}

#[test]
fn what_was_dropped_is_counted_over_a_restart() {
    let server = start("--output-bytes-max 100000");
    server.run_in("a", "import time");
    let _gone = send_only(&server, "a", "print('x' * 3_000_000); time.sleep(1); print('y' * 1000)");
    std::thread::sleep(Duration::from_millis(500));
    let server = restart(server, Signal::KILL, "--output-bytes-max 100000");
    let last = wait_for(Duration::from_secs(5), || {
        Some(server.get("/v1/sessions/a/executions/last")).filter(|answer| answer.text("state") == "finished")
    });
    let last = last.expect("it finishes");
    let expected =
        "output limit exceeded: the first 100000 bytes of stdout were kept, 2901002 dropped; session state kept";
    assert_eq!((last.stdout().len(), last.error()), (100_000, expected));
}

#[test]
fn code_that_a_session_was_not_made_for_is_refused_and_the_session_kept() {
    let server = start("--body-bytes-max 4096");
    server.run_in("a", "x = 5");
    let server = restart(server, Signal::KILL, "");
    let refused = server.run_in("a", &format!("'{}'", "x".repeat(10_000)));
    assert_eq!(refused.status, 413, "{refused:?}");
    assert!(refused.error().contains("4096 bytes that its session was made for"), "{refused:?}");
    assert_eq!(server.run_in("a", "print(x)").stdout(), "5\n");
}

#[test]
fn the_last_execution_is_read_whole_while_others_run() {
    let server = start("");
    server.run_in("a", "n = 0");
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut finished = 0;
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                let last = server.get("/v1/sessions/a/executions/last");
                assert_eq!(last.status, 200, "{last:?}");
                if last.text("state") == "finished" && last.json["execution"].as_u64() > Some(1) {
                    assert_eq!(last.stdout().len(), 100_001, "{:?}", last.json["execution"]);
                    finished += 1;
                }
            }
            finished
        });
        for _ in 0..150 {
            server.run_in("a", "print('x' * 100_000)");
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(reader.join().expect("it reads what is whole") > 0);
    });
}

#[test]
fn what_an_execution_printed_that_ended_its_session_can_be_read_until_the_end_is_told() {
    let server = start("");
    server.run_in("a", "import os, time");
    drop(send_only(&server, "a", "print('last words'); time.sleep(0.5); os._exit(9)"));
    let last = wait_for(Duration::from_secs(5), || {
        Some(server.get("/v1/sessions/a/executions/last"))
            .filter(|answer| answer.text("state") == "finished" && answer.json["execution"].as_u64() == Some(2))
    });
    let last = last.expect("it is there");
    assert_eq!(last.stdout(), "last words\n");
    assert!(last.error().contains("exited with status 9; session state lost"), "{last:?}");
    assert!(server.run_in("a", "print(1)").error().contains("exited with status 9"));
    assert_eq!(server.get("/v1/sessions/a/executions/last").status, 404);
}

#[test]
fn a_request_to_end_while_it_takes_sessions_over_ends_them_too() {
    let folder = python::own_folder();
    let interpreter = folder.path().join("python3");
    std::os::unix::fs::symlink(python::bare(), &interpreter).expect("a link can be made");
    let server = Setup::with_python(&interpreter).option(KEPT).start();
    server.run_in("a", "x = 1");
    let ended = server.end_by(Signal::KILL);
    // One that does not listen for signals yet is ended by them, and leaves everything for the next.
    let is_over = (30..600).step_by(3).any(|millis| {
        let setup = Setup::with_python(&interpreter).option(KEPT);
        let mut next = setup.command(&ended.state_dir()).spawn().expect("it starts");
        std::thread::sleep(Duration::from_millis(millis));
        kill_process(Pid::from_child(&next), Signal::TERM).expect("it is there");
        next.wait().expect("a child can be waited for").code().is_some()
    });
    assert!(is_over, "none was far enough");
    let gone = wait_for(Duration::from_secs(5), || footprint(&interpreter).pids.is_empty().then_some(()));
    assert!(gone.is_some(), "{:?}", footprint(&interpreter));
}

#[test]
fn a_keeper_that_is_killed_is_replaced_and_nothing_is_lost() {
    let server = start("--idle-seconds-max 2");
    server.run_in("gone", "x = 1");
    std::thread::sleep(Duration::from_millis(2500));
    for id in ["a", "b"] {
        server.run_in(id, "import time; x = 5");
    }
    let state_dir = server.state_dir();
    let marker = format!("keeper\0{}", state_dir.display());
    let keeper = crate::process::pid_of(&marker).expect("there is a keeper");
    let running = send_only(&server, "b", "time.sleep(1); x += 1");
    kill_process(Pid::from_raw(keeper.cast_signed()).expect("a pid is positive"), Signal::KILL).expect("it is there");
    let replaced = wait_for(Duration::from_secs(3), || crate::process::pid_of(&marker).filter(|pid| *pid != keeper));
    assert!(replaced.is_some(), "{}", server.log());
    std::thread::sleep(Duration::from_millis(1200));
    let server = restart(server, Signal::KILL, "--idle-seconds-max 20");
    drop(running);
    assert_eq!((server.run_in("a", "print(x)").stdout(), server.run_in("b", "print(x)").stdout()), ("5\n", "6\n"));
    assert!(server.run_in("gone", "print(x)").error().contains("nobody had used it"));
    assert_eq!(server.run("print(6 * 7)").stdout(), "42\n");
}

#[test]
fn sessions_outlive_a_change_of_what_limits_them() {
    let server = start("--control-groups off");
    server.run_in("a", "x = 1");
    let server = restart(server, Signal::HUP, "--control-groups auto");
    server.run_in("b", "x = 2");
    assert_eq!(server.run_in("a", "print(x)").stdout(), "1\n");
    let server = restart(server, Signal::HUP, "--control-groups off");
    assert_eq!((server.run_in("a", "print(x)").stdout(), server.run_in("b", "print(x)").stdout()), ("1\n", "2\n"));
}

#[test]
fn code_that_ended_in_time_is_not_told_of_as_late_after_a_long_absence() {
    let options = "--wall-seconds-max 1 --interrupt-grace-seconds 0.3";
    let server = start(options);
    server.run_in("a", "import time");
    let _gone = send_only(&server, "a", "time.sleep(0.4); x = 5; print('done')");
    std::thread::sleep(Duration::from_millis(150));
    let ended = server.end_by(Signal::KILL);
    std::thread::sleep(Duration::from_millis(1500));
    let server = Setup::bare().option(KEPT).option(options).start_after(ended);
    let last = wait_for(Duration::from_secs(5), || {
        Some(server.get("/v1/sessions/a/executions/last")).filter(|answer| answer.text("state") == "finished")
    });
    let last = last.expect("it was finished");
    assert_eq!((last.stdout(), last.error()), ("done\n", ""), "{last:?}");
    assert_eq!(server.run_in("a", "print(x)").stdout(), "5\n");
}

#[test]
fn what_a_session_printed_that_ended_while_no_server_was_there_can_be_read_from_the_second_after_it() {
    let server = start("");
    server.run_in("a", "import os, time");
    let _gone = send_only(&server, "a", "print('last words'); time.sleep(0.4); os._exit(9)");
    std::thread::sleep(Duration::from_millis(150));
    let ended = server.end_by(Signal::KILL);
    std::thread::sleep(Duration::from_millis(700));
    let server = Setup::bare().option(KEPT).start_after(ended);
    let server = restart(server, Signal::KILL, "");
    let last = server.get("/v1/sessions/a/executions/last");
    assert_eq!((last.stdout(), last.text("state")), ("last words\n", "finished"), "{last:?}");
    assert!(last.error().contains("exited with status 9"), "{last:?}");
    assert!(server.run_in("a", "print(1)").error().contains("exited with status 9"));
}

#[test]
fn a_request_to_end_leaves_no_keeper_and_no_complaint() {
    for _ in 0..5 {
        let server = start("");
        server.run_in("a", "x = 1");
        let marker = format!("keeper\0{}", server.state_dir().display());
        server.signal(Signal::TERM);
        let stopped = server.wait();
        assert!(stopped.status.success(), "{stopped:?}");
        assert!(!stopped.log.contains("starting another") && !stopped.log.contains("ERROR"), "{}", stopped.log);
        assert_eq!(crate::process::pid_of(&marker), None);
    }
}

#[test]
fn what_goes_on_for_long_under_another_server_ends_as_ever() {
    let server = start("");
    let ids: Vec<String> = (0..6).map(|number| format!("s{number}")).collect();
    let _running: Vec<_> = ids
        .iter()
        .map(|id| {
            server.run_in(id, "import time");
            send_only(&server, id, "time.sleep(7); x = 5; print('done')")
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    let server = restart(server, Signal::KILL, "");
    for id in &ids {
        let last = wait_for(Duration::from_secs(15), || {
            let last = server.get(&format!("/v1/sessions/{id}/executions/last"));
            Some(last).filter(|answer| answer.text("state") == "finished")
        });
        let last = last.expect("it ends");
        assert_eq!((last.text("outcome"), last.stdout()), ("ok", "done\n"), "{last:?}");
        assert_eq!(server.run_in(id, "print(x)").stdout(), "5\n");
    }
}
