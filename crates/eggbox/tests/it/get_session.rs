//! `GET /v1/sessions/{id}`: a session in each of its states.

use std::time::Duration;

use rustix::process::Signal;

use crate::attacks::way::Way;
use crate::client::Answer;
use crate::process::wait_for;
use crate::server::{Server, Setup};

fn looked_at_until(server: &Server, id: &str, state: &str) -> Answer {
    let found = wait_for(Duration::from_secs(10), || {
        Some(server.look_at(id)).filter(|answer| answer.status == 200 && answer.text("state") == state)
    });
    found.unwrap_or_else(|| panic!("never {state}: {:?}", server.look_at(id)))
}

#[test]
fn an_idle_one_shows_all_there_is() {
    for way in Way::possible() {
        let server = way.setup().option("--idle-seconds-max 100 --life-seconds-max 200").start();
        server.run_in("a", "block = bytearray(30 << 20)");
        let shown = wait_for(Duration::from_secs(5), || {
            // Without control groups it takes the watchdog a moment to look.
            Some(server.look_at("a")).filter(|answer| answer.json["memory_bytes"].as_u64() > Some(20 << 20))
        });
        let shown = shown.unwrap_or_else(|| panic!("{}: {:?}", way.name(), server.look_at("a")));
        let keys = [
            "checkpoints",
            "created",
            "environment",
            "executions",
            "expires",
            "id",
            "idle_seconds",
            "isolation",
            "labels",
            "last_used",
            "limits",
            "memory_bytes",
            "memory_bytes_peak",
            "policy",
            "restarts",
            "rewinds",
            "state",
            "ttl_seconds",
        ];
        let mut shown_keys = shown.keys();
        shown_keys.sort_unstable();
        assert_eq!(shown_keys, keys, "{}", way.name());
        assert_eq!((shown.id(), shown.text("state")), ("a", "idle"));
        assert!(shown.json["memory_bytes_peak"].as_u64() >= shown.json["memory_bytes"].as_u64(), "{shown:?}");
        assert_eq!(shown.json["isolation"], server.get("/health").json["isolation"], "{}", way.name());
        let [created, used, expires] = ["created", "last_used", "expires"].map(|name| shown.text(name).to_owned());
        assert!(created < used && used < expires && created.len() == 24 && created.ends_with('Z'), "{shown:?}");
        // To look at it is not to use it.
        assert_eq!(server.look_at("a").text("expires"), expires);
        server.run_in("a", "pass");
        let later = server.look_at("a");
        assert!(later.text("expires") > &*expires && later.text("created") == created, "{later:?}");
        assert_eq!(later.json["executions"], 2);
    }
}

#[test]
fn a_running_one_is_running() {
    let server = Server::bare();
    let session = server.session();
    session.print("import time");
    std::thread::scope(|scope| {
        let running = scope.spawn(|| session.run("time.sleep(1.5)"));
        let shown = looked_at_until(&server, &session.id, "running");
        assert_eq!(shown.json["executions"], 2);
        running.join().expect("it is answered");
    });
    assert_eq!(server.look_at(&session.id).text("state"), "idle");
}

#[test]
fn one_that_is_being_started_is_waited_for() {
    let server = Server::with("--parked-sessions-max 0");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| server.run_in("a", "print(1)"));
        let seen = wait_for(Duration::from_secs(10), || {
            let shown = server.look_at("a");
            // It is not there yet, or it is there whole.
            assert!([200, 404].contains(&shown.status), "{shown:?}");
            (shown.status == 200).then_some(shown)
        });
        let shown = seen.expect("it is begun");
        assert!(["idle", "running"].contains(&shown.text("state")) && shown.json["limits"].is_object(), "{shown:?}");
        assert_eq!(first.join().expect("it is answered").stdout(), "1\n");
    });
}

#[test]
fn one_that_ended_untold_shows_why_and_stays_untold() {
    for way in Way::possible() {
        let setup = || way.setup().option("--abandoned-seconds-max 100");
        let mut server = setup().start();
        assert_eq!(server.create(r#"{"id": "a", "limits": {"processes": 9}}"#).status, 201);
        server.run_in("a", "import threading, os; threading.Timer(0.2, os._exit, [3]).start()");
        for round in 0..2 {
            let shown = looked_at_until(&server, "a", "ended");
            let reason = serde_json::json!({ "code": "exited", "message": "the interpreter exited with status 3" });
            assert_eq!(shown.json["reason"], reason, "{} {round}", way.name());
            assert_eq!([&shown.json["executions"], &shown.json["limits"]["processes"]], [1, 9], "{}", way.name());
            assert!(shown.json["expires"].is_null() && shown.json["memory_bytes"].is_null(), "{shown:?}");
            server = setup().start_after(server.end_by(Signal::KILL));
        }
        assert!(server.run_in("a", "print(1)").error().contains("exited with status 3"), "{}", way.name());
        assert_eq!(server.look_at("a").status, 404, "{}", way.name());
    }
}

#[test]
fn every_end_has_its_code() {
    let server = Server::with("--idle-seconds-max 3");
    let later = |code: &str| format!("import threading, os, time\nthreading.Timer(0.2, lambda: {code}).start()");
    for (id, code, reason) in [
        ("crash", later("os.abort()"), "signal"),
        ("exit", later("os._exit(0)"), "exited"),
        ("protocol", later("os.close(257)"), "protocol"),
        ("idle", "x = 1".to_owned(), "idle"),
    ] {
        server.run_in(id, &code);
        assert_eq!(looked_at_until(&server, id, "ended").json["reason"]["code"], reason, "{id}");
    }
}

#[test]
fn one_that_there_is_not_is_404() {
    let server = Server::bare();
    let session = server.session();
    let missing = server.look_at(&session.id);
    assert_eq!((missing.status, missing.refusal()[0]), (404, "no_such_session"));
    session.print("x = 1");
    server.delete(&session.id);
    assert_eq!(server.look_at(&session.id).status, 404);
}

#[test]
fn one_of_an_earlier_servers_nest_says_nothing_of_the_wall() {
    let setup = || Setup::bare().option("--abandoned-seconds-max 100");
    let server = setup().start();
    server.run_in("a", "x = 1");
    let server = setup().option("--open-files-max 100").start_after(server.end_by(Signal::HUP));
    assert!(server.look_at("a").json["isolation"].is_null());
    assert!(!server.create("{}").json["isolation"].is_null());
}
