//! Limits that a session was created with: each holds in every way to run the server, outlives it, and is nobody else's.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::attacks::way::Way;
use crate::process::wait_for;
use crate::server::{Server, Setup};

const KEPT: &str = "--abandoned-seconds-max 100";

const MEMORY: u64 = 100 << 20;

/// Starts threads until it is refused, and says how many there were.
const THREADS: &str = "import threading\nover = threading.Event()\ncount = 1\ntry:\n    for _ in range(40):\n        threading.Thread(target=over.wait, daemon=True).start()\n        count += 1\nexcept RuntimeError: pass\nprint(count)";

fn in_each_way(test: impl Fn(Way, &Server)) {
    for way in Way::possible() {
        test(way, &way.setup().start());
    }
}

#[test]
fn less_memory_is_a_memory_error_sooner_and_the_state_is_kept() {
    in_each_way(|way, server| {
        let session = server.session_with(&json!({ "memory_bytes": MEMORY }));
        session.print("x = 5");
        for code in ["block = bytearray(95 << 20)", "small = []\nwhile True: small.append([0] * 1000)"] {
            let answer = session.run(code);
            let expected = format!(
                "memory limit exceeded: a session may have {MEMORY} bytes (memory_bytes_max); session state kept"
            );
            assert_eq!(answer.error(), expected, "{}: {answer:?}", way.name());
            assert!(answer.stderr().ends_with("MemoryError\n"), "{}: {answer:?}", way.name());
            assert_eq!(session.run("small = block = None").error(), "", "{}", way.name());
        }
        assert_eq!(session.print("block = bytearray(60 << 20); print(x)"), "5\n", "{}", way.name());
        // Others have what they had.
        assert_eq!(server.run("print(len(bytearray(200 << 20)) >> 20)").stdout(), "200\n", "{}", way.name());
    });
}

#[test]
fn less_memory_is_that_of_the_whole_tree() {
    in_each_way(|way, server| {
        let session = server.session_with(&json!({ "memory_bytes": MEMORY }));
        let answer = session.run(
            "import os, time\nfor _ in range(4):\n    if not os.fork():\n        block = b'x' * (50 << 20)\n        time.sleep(3)\n        os._exit(0)\nfor _ in range(4): os.wait()",
        );
        assert!(answer.error().contains(&format!("{MEMORY} bytes (memory_bytes_max)")), "{}: {answer:?}", way.name());
    });
}

#[test]
fn fewer_processes_are_fewer_threads_and_forks() {
    in_each_way(|way, server| {
        let session = server.session_with(&json!({ "processes": 6 }));
        let answer = session.run(THREADS);
        if way == Way::ReducedUser {
            // Nothing but the watchdog counts there.
            let answer = if answer.error().is_empty() { session.run("import time; time.sleep(5)") } else { answer };
            assert!(answer.error().contains("may have 6 processes and threads"), "{answer:?}");
            return;
        }
        assert_eq!((answer.stdout(), answer.error()), ("6\n", ""), "{}: {answer:?}", way.name());
        let forks = "import os\ntry: os.fork() or os._exit(0)\nexcept BlockingIOError: print('refused')\nover.set()";
        assert_eq!(session.print(forks), "refused\n", "{}", way.name());
        assert_eq!(server.run(THREADS).stdout(), "41\n", "{}", way.name());
    });
}

#[test]
fn less_time_is_over_sooner() {
    in_each_way(|way, server| {
        let session = server.session_with(&json!({ "wall_seconds": 0.3 }));
        session.print("import time; x = 5");
        let expected = "execution timeout: 0.3 s of wall time are over; session state kept";
        assert_eq!(session.run("time.sleep(20)").error(), expected, "{}", way.name());
        assert_eq!(session.print("print(x)"), "5\n", "{}", way.name());
        let session = server.session_with(&json!({ "cpu_seconds": 0.3 }));
        let expected = "execution timeout: 0.3 s of CPU time are over; session state kept";
        assert_eq!(session.run("while True: pass").error(), expected, "{}", way.name());
    });
}

#[test]
fn less_output_is_kept() {
    let server = Server::bare();
    let session = server.session_with(&json!({ "output_bytes": 2000 }));
    let answer = session.run("print('x' * 4999)");
    let expected = "output limit exceeded: the first 2000 bytes of stdout were kept, 3000 dropped; session state kept";
    assert_eq!((answer.stdout().len(), answer.error()), (2000, expected));
}

#[test]
fn a_shorter_life_or_idleness_ends_it_sooner_and_is_named() {
    let server = Server::with("--idle-seconds-max 30");
    for (body, reason) in [
        (r#"{"id": "idle", "idle_seconds": 1}"#, "nobody had used it for 1 s"),
        (r#"{"id": "life", "ttl_seconds": 1.5}"#, "it was 1.5 s old"),
    ] {
        assert_eq!(server.create(body).status, 201);
        let id = &body[8..12];
        let ended = wait_for(Duration::from_secs(5), || {
            Some(server.look_at(id)).filter(|answer| answer.text("state") == "ended")
        });
        assert!(ended.is_some(), "{body}");
        assert!(server.run_in(id, "print(1)").error().contains(reason), "{body}");
    }
}

#[test]
fn they_outlive_servers_that_are_killed_or_hand_over() {
    for way in Way::possible() {
        let setup = || way.setup().option(KEPT);
        let mut server = setup().start();
        let limits = json!({ "wall_seconds": 0.4, "memory_bytes": MEMORY, "processes": 8, "output_bytes": 3000 });
        let session = server.create(&json!({ "id": "a", "limits": limits, "idle_seconds": 77 }).to_string());
        let [held, created] = [&session.json["limits"], &session.json["created"]];
        server.run_in("a", "x = 5");
        for signal in [Signal::KILL, Signal::HUP] {
            server = setup().start_after(server.end_by(signal));
            let now = server.look_at("a");
            assert_eq!([&now.json["limits"], &now.json["created"]], [held, created], "{} {signal:?}", way.name());
            assert_eq!(now.json["idle_seconds"], 77.0, "{}", way.name());
            let answer = server.run_in("a", "block = bytearray(95 << 20)");
            assert!(answer.error().contains(&format!("{MEMORY} bytes")), "{}: {answer:?}", way.name());
            let answer = server.run_in("a", "print('y' * 5000)\nimport time; time.sleep(5)");
            let expected = "execution timeout: 0.4 s of wall time are over; output limit exceeded: the first 3000 bytes of stdout were kept, 2001 dropped; session state kept";
            assert_eq!(answer.error(), expected, "{}", way.name());
        }
        assert_eq!(server.run_in("a", "print(x)").stdout(), "5\n", "{}", way.name());
    }
}

#[test]
fn an_operator_who_lets_sessions_have_less_lowers_those_that_live() {
    let setup = || Setup::bare().option(KEPT);
    let server = setup().start();
    assert_eq!(server.create(r#"{"id": "a", "limits": {"wall_seconds": 20}}"#).status, 201);
    let server = setup().option("--wall-seconds-max 0.5").start_after(server.end_by(Signal::KILL));
    assert!(server.run_in("a", "import time; time.sleep(5)").error().contains("0.5 s of wall time"));
}

#[test]
fn the_next_session_of_its_slot_and_the_next_of_its_name_have_the_operators_limits() {
    in_each_way(|way, server| {
        for _ in 0..3 {
            let session = server.session_with(&json!({ "memory_bytes": MEMORY, "processes": 4 }));
            session.print("x = 1");
            server.delete(&session.id);
            assert_eq!(session.print("print(len(b'x' * (200 << 20)) >> 20)"), "200\n", "{}", way.name());
            assert_eq!(session.print(THREADS), "41\n", "{}", way.name());
            server.delete(&session.id);
        }
    });
}

#[test]
fn the_least_of_everything_is_enough_to_run_something() {
    in_each_way(|way, server| {
        let limits = json!({ "memory_bytes": 32 << 20, "processes": 2, "output_bytes": 1024, "cpu_seconds": 1 });
        let session = server.session_with(&limits);
        assert_eq!(session.print("import json; print(json.dumps([1]))"), "[1]\n", "{}", way.name());
        assert!(session.run("bytearray(40 << 20)").error().contains("33554432 bytes"), "{}", way.name());
    });
}

#[test]
fn the_least_memory_is_enough_for_a_session_with_the_data_packages() {
    let server = Server::data();
    let session = server.session_with(&json!({ "memory_bytes": 32 << 20 }));
    assert_eq!(session.print("import numpy; print(numpy.arange(5).sum())"), "10\n");
}
