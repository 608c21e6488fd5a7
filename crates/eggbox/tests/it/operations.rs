//! What operators see of a server: metrics, readiness and the log.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::client;
use crate::exposition::{Exposition, scrape};
use crate::process::{nest_pid, wait_for};
use crate::python;
use crate::server::{Server, Setup};

const REFERENCE: &str = include_str!("../../../../docs/operations.md");
const WAIT_MAX: Duration = Duration::from_secs(20);

#[test]
fn every_metric_is_in_the_reference_and_every_one_there_is_a_metric() {
    let server = Server::with("");
    server.run("print(1)");
    server.post("{}");
    let families = scrape(&server).families;
    let documented: Vec<_> = REFERENCE
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(|name| name.split('{').next().unwrap_or_default())
        .filter(|name| name.starts_with("eggbox_") || name.starts_with("process_"))
        .collect();
    let known: Vec<_> = families.keys().map(String::as_str).collect();
    let mut sorted = documented.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, known);
}

#[test]
fn counts_move_by_exactly_what_was_done() {
    let server = Server::with("--idle-seconds-max 600");
    let before = scrape(&server);
    for code in ["print(1)", "x = 1", "print(x)"] {
        assert_eq!(server.run_in("a", code).error(), "");
    }
    server.run_in("a", "1/0");
    server.run_in("a", "open('f', 'w').close(); import os; os.remove('f')");
    let short = server.session_with(&json!({ "wall_seconds": 0.2 }));
    assert!(short.run("while True: pass").error().contains("session state kept"));
    server.run_in("b", "import os; os._exit(3)");
    assert_eq!(server.delete(&short.id).status, 204);
    for body in [r#"{"code": 1}"#, r#"{"code": 2}"#, "no"] {
        assert_eq!(server.post(body).status, 400);
    }
    server.get("/nowhere");
    let expected: BTreeMap<String, f64> = [
        ("eggbox_executions_total ok", 3),
        ("eggbox_executions_total exception", 1),
        ("eggbox_executions_total denied", 1),
        ("eggbox_executions_total timeout", 1),
        ("eggbox_executions_total exited", 1),
        ("eggbox_execution_duration_seconds_count", 7),
        ("eggbox_execution_wait_seconds_count", 7),
        ("eggbox_sessions_started_total", 3),
        ("eggbox_sessions_ended_total exited", 1),
        ("eggbox_sessions_ended_total deleted", 1),
        ("eggbox_rejections_total wrong_type", 2),
        ("eggbox_rejections_total invalid_json", 1),
        ("eggbox_rejections_total no_such_route", 1),
        ("eggbox_http_request_duration_seconds_count POST /execute 2xx", 7),
        ("eggbox_http_request_duration_seconds_count POST /execute 4xx", 3),
        ("eggbox_http_request_duration_seconds_count POST /v1/sessions 2xx", 1),
        ("eggbox_http_request_duration_seconds_count DELETE /v1/sessions/{id} 2xx", 1),
        ("eggbox_http_request_duration_seconds_count GET none 4xx", 1),
        // The look before.
        ("eggbox_http_request_duration_seconds_count GET /metrics 2xx", 1),
    ]
    .map(|(name, count)| (name.to_owned(), f64::from(count)))
    .into();
    let after = scrape(&server);
    let mut grown = after.grown_since(&before);
    // Whether one was ready is the pool's business; that it was asked is not.
    let pool = ["hits", "misses"].map(|name| format!("eggbox_pool_{name}_total default"));
    let pool = pool.map(|name| grown.remove(&name).unwrap_or_default());
    assert_eq!(pool.iter().sum::<f64>().to_string(), "3");
    assert_eq!(grown, expected);
    assert_eq!(states(&after), ["0", "1", "0", "0"], "{after:?}");
    let memory = after.get("eggbox_sessions_memory_bytes", &[]);
    assert!((1e5..1e9).contains(&memory), "{memory}");
    assert!((1e6..1e9).contains(&after.get("process_resident_memory_bytes", &[])));
}

fn states(exposition: &Exposition) -> [String; 4] {
    ["starting", "idle", "running", "ended"]
        .map(|state| exposition.get("eggbox_sessions", &[("state", state)]).to_string())
}

#[test]
fn what_runs_and_what_waits_is_shown_while_it_does() {
    let server = Server::with("");
    std::thread::scope(|scope| {
        let busy: Vec<_> = (0..3).map(|_| scope.spawn(|| server.run_in("a", "import time; time.sleep(0.7)"))).collect();
        let seen = wait_for(WAIT_MAX, || {
            let now = scrape(&server);
            let counts =
                ["eggbox_executions_running", "eggbox_queue_length"].map(|name| now.get(name, &[]).to_string());
            (counts == ["1", "2"] && states(&now) == ["0", "0", "1", "0"]).then_some(())
        });
        assert!(seen.is_some(), "{:?}", scrape(&server));
        busy.into_iter().for_each(|busy| assert_eq!(busy.join().expect("it is answered").error(), ""));
    });
    let seen = wait_for(WAIT_MAX, || {
        let now = scrape(&server);
        (now.get("eggbox_queue_length", &[]) + now.get("eggbox_executions_running", &[]) == 0.0).then_some(now)
    });
    // Two have waited for 0.7 s and more.
    let waits = seen.expect("nothing waits any more");
    let quick = waits.get("eggbox_execution_wait_seconds_bucket", &[("le", "0.5")]);
    assert_eq!(quick.to_string(), "1", "{waits:?}");
}

#[test]
fn a_session_that_ended_untold_is_shown_until_somebody_is_told() {
    let server = Server::with("");
    server.run_in("a", "import os, threading; threading.Timer(0.2, os._exit, [7]).start()");
    let ended = wait_for(WAIT_MAX, || (states(&scrape(&server)) == ["0", "0", "0", "1"]).then_some(()));
    assert!(ended.is_some(), "{:?}", states(&scrape(&server)));
    assert!(server.run_in("a", "print(1)").error().contains("had ended"));
    let after = scrape(&server);
    assert_eq!(states(&after), ["0", "0", "0", "0"]);
    assert_eq!(after.get("eggbox_sessions_ended_total", &[("reason", "exited")]).to_string(), "1");
}

#[test]
fn sessions_that_were_taken_over_are_counted_as_such() {
    let first = Setup::bare().option("--abandoned-seconds-max 30").start();
    assert_eq!(first.run_in("a", "x = 5").error(), "");
    let second = Setup::bare().option("--abandoned-seconds-max 30").start_after(first.end_by(Signal::KILL));
    let now = scrape(&second);
    let counts = ["eggbox_sessions_started_total", "eggbox_sessions_inherited_total"].map(|name| now.get(name, &[]));
    assert_eq!(counts.map(|count| count.to_string()), ["0", "1"]);
    assert_eq!(states(&now), ["0", "1", "0", "0"]);
}

#[test]
fn a_server_without_a_nest_is_not_ready_until_it_has_one_again() {
    let folder = python::own_folder();
    let environment = folder.path().join("venv");
    let made = Command::new(python::bare()).args(["-m", "venv", "--without-pip"]).arg(&environment).status();
    assert!(made.expect("python can be run").success());
    let find = ["-c", "import site; print(site.getsitepackages()[0])"];
    let interpreter = environment.join("bin/python3");
    let packages = Command::new(&interpreter).args(find).output().expect("python can be run").stdout;
    let packages = String::from_utf8(packages).expect("a path is text");
    // A nest takes this long to start, so that it can be seen that there is none.
    fs::write(Path::new(packages.trim()).join("slow.py"), "import time; time.sleep(1.5)").expect("it can be written");
    let setup = Setup { arguments: vec!["--preload=slow".to_owned()], ..Setup::with_python(&interpreter) };
    let server = setup.start();
    assert_eq!((server.get("/ready").status, server.get("/ready").json), (200, json!({ "status": "ready" })));
    server.run_in("a", "x = 1");
    let nest = nest_pid(&interpreter);
    kill_process(Pid::from_raw(nest.cast_signed()).expect("a pid"), Signal::KILL).expect("it can be killed");
    let unready = wait_for(WAIT_MAX, || Some(server.get("/ready")).filter(|answer| answer.status == 503));
    let unready = unready.expect("it is not ready without a nest");
    assert_eq!((&unready.json["status"], &unready.json["reason"]["code"]), (&json!("unready"), &json!("nest_down")));
    assert!(unready.json["reason"]["message"].as_str().is_some_and(|message| !message.is_empty()));
    assert_eq!(server.get("/health").status, 200, "it is alive");
    let ready = wait_for(WAIT_MAX, || Some(server.get("/ready")).filter(|answer| answer.status == 200));
    assert!(ready.is_some(), "{:?}", server.get("/ready"));
    let now = scrape(&server);
    assert_eq!(now.get("eggbox_nest_restarts_total", &[]).to_string(), "1");
    assert_eq!(now.get("eggbox_sessions_ended_total", &[("reason", "nest")]).to_string(), "1");
}

#[test]
fn a_server_that_is_ending_is_not_ready() {
    for (signal, code) in [(Signal::TERM, "shutting_down"), (Signal::HUP, "handing_over")] {
        let server = Server::with("");
        let address = server.address;
        std::thread::scope(|scope| {
            let running = scope.spawn(|| server.run("import time; time.sleep(0.8)"));
            // A request that has begun to arrive is answered even then; new connections are refused.
            let mut asking = TcpStream::connect(address).expect("the server accepts connections");
            asking.write_all(b"GET /ready HTTP/1.1\r\nhost: localhost\r\n").expect("it can be sent");
            std::thread::sleep(Duration::from_millis(300));
            server.signal(signal);
            let refused = wait_for(WAIT_MAX, || TcpStream::connect(address).is_err().then_some(()));
            assert!(refused.is_some(), "new connections are refused");
            asking.write_all(b"connection: close\r\n\r\n").expect("it can be sent");
            let mut answer = String::new();
            asking.read_to_string(&mut answer).expect("it is answered");
            assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains(code), "{answer}");
            running.join().expect("it is answered");
        });
    }
}

#[test]
fn these_pages_are_guarded_as_the_others_are() {
    let server = Server::bare();
    for path in ["/ready", "/metrics"] {
        for head in ["host: evil.example", "host: localhost\r\norigin: http://evil.example"] {
            let request = format!("GET {path} HTTP/1.1\r\n{head}\r\nconnection: close\r\n\r\n");
            assert_eq!(client::send(server.address, request.as_bytes()).status, 403, "{path}");
        }
    }
}

const CANARY: &str = "kestrel-7c1f";

/// Requests that have the canary everywhere where a client can put something.
fn sing(server: &Server) -> usize {
    let code = format!("print('{CANARY}')\nopen('{CANARY}', 'w').write('{CANARY}')\nraise ValueError('{CANARY}')");
    assert!(server.run_in("a", &code).stderr().contains(CANARY));
    server.run_in("a", &format!("import sys; sys.exit('{CANARY}')"));
    server.run_in("a", &format!("import os; os.write(1, b'{CANARY}'); os._exit(3)"));
    let execute = |headers: &str, body: &str| {
        let head = format!("host: localhost\r\nconnection: close\r\ncontent-length: {}\r\n{headers}", body.len());
        client::send(server.address, format!("POST /execute?{CANARY} HTTP/1.1\r\n{head}\r\n{body}").as_bytes());
    };
    let json = "content-type: application/json\r\n";
    execute(&format!("{json}authorization: Bearer {CANARY}\r\n"), r#"{"code": "1"}"#);
    execute(json, &format!(r#"{{"code": "{CANARY}"#));
    execute(json, &format!(r#"{{"code": 1, "id": "{CANARY} "}}"#));
    execute(&format!("content-type: {CANARY}/{CANARY}\r\n"), CANARY);
    execute(&format!("{json}origin: http://{CANARY}\r\n"), "{}");
    server.create(&format!(r#"{{"{CANARY}": 1}}"#));
    server.get(&format!("/{CANARY}"));
    server.get(&format!("/v1/sessions/{CANARY}%20"));
    11
}

#[test]
fn nothing_that_clients_send_or_print_is_in_the_log() {
    for filter in ["", "--log-filter info,access=debug", "--log-format json --log-filter info,access=debug"] {
        let server = Server::with(filter);
        sing(&server);
        let log = server.log();
        assert!(log.contains("nest is up"), "{log}");
        assert!(!log.contains(CANARY), "{filter}: {log}");
    }
}

#[test]
fn a_request_is_a_line_where_that_is_asked_for() {
    let server = Server::with("--log-format json --log-filter info,access=debug");
    let requests = sing(&server);
    let last = server.run_in("b", "print(1)");
    let lines: Vec<Value> = server
        .log()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON ({error}): {line}")))
        .filter(|line: &Value| line["target"] == "access")
        .collect();
    assert_eq!(lines.len(), requests + 1, "{lines:#?}");
    for line in &lines {
        for field in ["timestamp", "request_id", "method", "route"] {
            assert!(line[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {line}");
        }
        assert!(line["status"].as_u64().is_some() && line["micros"].as_u64().is_some(), "{line}");
    }
    let line = &lines[requests];
    assert_eq!(line["request_id"].as_str(), last.header("x-request-id"));
    assert_eq!([&line["method"], &line["route"], &line["session"]], ["POST", "/execute", "b"]);
    assert_eq!([&lines[requests - 1]["route"], &lines[requests - 2]["route"]], ["/v1/sessions/{id}", "none"]);
    let quiet = Server::with("");
    sing(&quiet);
    assert!(!quiet.log().contains("access"), "{}", quiet.log());
}
