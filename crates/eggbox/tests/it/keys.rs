//! Keys: what is answered without one, what one key sees of another's sessions, and what each may use.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{self, Answer};
use crate::process::wait_for;
use crate::server::{BINARY, Server, Setup};

const KEPT: &str = "--abandoned-seconds-max 100";

/// What is answered without a key.
const OPEN: [&str; 4] = ["GET /health", "GET /ready", "GET /openapi.json", "GET /docs"];

/// A configuration file with keys, and the keys.
pub(crate) struct Keys {
    folder: TempDir,
    keys: Vec<Key>,
}

/// What `eggbox key new` has printed.
#[derive(Debug, Clone)]
struct Key {
    text: String,
    stanza: String,
}

fn key_new(arguments: &str) -> Output {
    let arguments = ["key", "new"].into_iter().chain(arguments.split_whitespace());
    Command::new(BINARY).args(arguments).output().expect("the binary can be run")
}

impl Key {
    fn new(arguments: &str) -> Self {
        let output = key_new(arguments);
        assert!(output.status.success(), "{output:?}");
        let printed = String::from_utf8(output.stdout).expect("it prints text");
        let (text, stanza) = printed.split_once('\n').expect("it prints lines");
        Self { text: text.to_owned(), stanza: stanza.to_owned() }
    }

    /// Its line in the file.
    fn hash(&self) -> &str {
        self.stanza.split('"').nth(1).expect("a stanza has a hash")
    }
}

impl Keys {
    /// Each by the arguments of `eggbox key new`.
    pub(crate) fn new<const COUNT: usize>(keys: [&str; COUNT]) -> Self {
        let folder = tempfile::Builder::new().prefix("eggbox-test-").tempdir().expect("a folder can be made");
        let keys = Self { folder, keys: keys.map(Key::new).to_vec() };
        keys.write();
        keys
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("eggbox.toml")
    }

    fn write(&self) {
        let stanzas: Vec<_> = self.keys.iter().map(|key| key.stanza.as_str()).collect();
        fs::write(self.file(), stanzas.join("\n")).expect("a file can be written");
    }

    /// What stands in the file.
    pub(crate) fn stanzas(&self) -> String {
        fs::read_to_string(self.file()).expect("the file can be read")
    }

    pub(crate) fn setup(&self, options: &str) -> Setup {
        Setup::bare().option(&format!("--config {} {options}", self.file().display()))
    }

    pub(crate) fn text(&self, number: usize) -> &str {
        &self.keys[number].text
    }
}

/// Sends a request with that key, or without.
pub(crate) fn ask(server: &Server, key: Option<&str>, route: &str, body: &str) -> Answer {
    let header = key.map(|key| format!("authorization: Bearer {key}\r\n")).unwrap_or_default();
    ask_with(server, &header, route, body)
}

/// The same with these header lines.
fn ask_with(server: &Server, headers: &str, route: &str, body: &str) -> Answer {
    let head = "HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json";
    let request = format!("{route} {head}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
    client::send(server.address, request.as_bytes())
}

fn run(server: &Server, key: &str, id: &str, code: &str) -> Answer {
    ask(server, Some(key), "POST /execute", &json!({ "id": id, "code": code }).to_string())
}

fn create(server: &Server, key: &str, body: &str) -> Answer {
    ask(server, Some(key), "POST /v1/sessions", body)
}

fn look_at(server: &Server, key: &str, id: &str) -> Answer {
    ask(server, Some(key), &format!("GET /v1/sessions/{id}"), "")
}

/// A route of the server's own document.
struct Route {
    /// As `METHOD /path`.
    name: String,
    takes_body: bool,
}

/// Every route that there is.
fn routes(server: &Server) -> Vec<Route> {
    let document = ask(server, None, "GET /openapi.json", "").json;
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("there are paths") {
        for (method, operation) in methods.as_object().expect("a path has methods") {
            let takes_body = operation.get("requestBody").is_some();
            routes.push(Route { name: format!("{} {path}", method.to_uppercase()), takes_body });
        }
    }
    assert!(routes.len() > 20, "{document}");
    routes
}

impl Route {
    fn is_open(&self) -> bool {
        OPEN.contains(&self.name.as_str())
    }

    fn is_of_session(&self) -> bool {
        self.name.contains("{id}")
    }

    /// For that session, its first execution, its file `a` and its checkpoint.
    fn of(&self, id: &str) -> String {
        let route =
            self.name.replace("{checkpoint}", "kept").replace("{id}", id).replace("{n}", "1").replace("{path}", "a");
        assert!(!route.contains('{'), "{route}: say what stands for it");
        route
    }

    /// A body that it takes.
    fn body(&self, id: &str) -> String {
        if !self.takes_body {
            return String::new();
        }
        match self.name.as_str() {
            "POST /execute" => json!({ "id": id, "code": "x = 'taken over'" }),
            "POST /v1/run" => json!({ "code": "x = 1" }),
            "POST /v1/sessions/{id}/fork" => json!({ "ids": ["his"] }),
            "POST /v1/sessions/{id}/checkpoints" => json!({ "name": "taken" }),
            "POST /v1/sessions/{id}/restore" => json!({ "checkpoint": "kept" }),
            "POST /v1/sessions" => json!({ "id": id }),
            "PATCH /v1/sessions/{id}" => json!({ "labels": {} }),
            "POST /v1/sessions/{id}/executions" => json!({ "code": "x = 'taken over'" }),
            "POST /v1/sessions/{id}/executions/{n}/input" => json!({ "text": "taken over" }),
            "POST /v1/sessions/{id}/file-moves" => json!({ "from": "a", "to": "b" }),
            "PUT /v1/sessions/{id}/files/{path}" => json!("taken over"),
            unknown => panic!("{unknown}: say which body it takes"),
        }
        .to_string()
    }
}

#[test]
fn whatever_is_asked_for_without_a_key_is_401_and_says_nothing_else() {
    let keys = Keys::new(["ann"]);
    let server = keys.setup("--log-filter trace").start();
    let ann = keys.text(0);
    let other = Key::new("ann").text;
    let mut asked: Vec<_> =
        routes(&server).iter().filter(|route| !route.is_open()).map(|route| (route.of("a"), route.body("a"))).collect();
    let others = ["GET /nowhere", "GET /v1/nowhere", "PUT /execute", "GET /", "GET /health/"];
    asked.extend(others.map(|route| (route.to_owned(), String::new())));
    for (route, body) in &asked {
        for header in [
            String::new(),
            format!("authorization: Bearer {other}\r\n"),
            format!("authorization: Bearer {}\r\n", &ann[..ann.len() - 1]),
            format!("authorization: Basic {ann}\r\n"),
            format!("authorization: {ann}\r\n"),
            format!("authorization: Bearer {ann}\r\nauthorization: Bearer {ann}\r\n"),
            "authorization: Bearer \r\n".to_owned(),
            format!("authorization: Bearer {}\r\n", keys.keys[0].hash()),
        ] {
            let refused = ask_with(&server, &header, route, body);
            assert_eq!(refused.status, 401, "{route} {header}");
            assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"eggbox\""), "{route}");
            let message = match route.contains(" /v1/") {
                true => {
                    assert_eq!(refused.refusal()[0], "unauthorized", "{route}");
                    refused.refusal()[1]
                }
                false => refused.error(),
            };
            assert!(message.starts_with("no key of this server's came"), "{route} {header}: {message}");
        }
    }
    assert_eq!(run(&server, ann, "a", "print(1)").stdout(), "1\n");
    for scheme in ["bearer", "BEARER  "] {
        let header = format!("authorization: {scheme} {ann}\r\n");
        assert_eq!(ask_with(&server, &header, "GET /v1/sessions/a", "").status, 200, "{scheme}");
    }
    assert_eq!(look_at(&server, ann, "none").status, 404);
    let log = server.log();
    let secret = |text: &str| text.rsplit('_').next().unwrap_or_default().to_owned();
    for text in [secret(ann), secret(&other), keys.keys[0].hash()[..16].to_owned()] {
        assert!(!log.contains(&text), "{log}");
    }
    assert!(log.contains("key=\"ann\""), "{log}");
}

#[test]
fn everybody_may_ask_whether_the_server_lives_and_hears_nothing_of_sessions() {
    let keys = Keys::new(["ann"]);
    let server = keys.setup("").start();
    for key in [None, Some(keys.text(0)), Some("wrong")] {
        let health = ask(&server, key, "GET /health", "");
        assert_eq!((health.status, health.text("status")), (200, "ok"));
        assert_eq!(health.keys(), ["isolation", "status", "version"], "{health:?}");
    }
}

#[test]
fn on_every_route_another_keys_session_is_as_one_that_never_was() {
    let keys = Keys::new(["ann", "bob"]);
    let server = keys.setup("").start();
    // Of the same length, so that whole answers can be compared.
    let [hers, none] = ["hers-and-alive", "none-and-never"];
    for (ann, bob) in [(keys.text(0), keys.text(1)), (keys.text(1), keys.text(0))] {
        for route in routes(&server) {
            assert_eq!(run(&server, ann, hers, "x = 5; open('a', 'w').close()").status, 200);
            let kept = ask(&server, Some(ann), &format!("POST /v1/sessions/{hers}/checkpoints"), r#"{"name": "kept"}"#);
            assert_eq!(kept.status, 201, "{kept:?}");
            let executions = look_at(&server, ann, hers).json["executions"].clone();
            let ask = |id: &str| ask(&server, Some(bob), &route.of(id), &route.body(id));
            if route.is_of_session() {
                let [seen, never] = [hers, none].map(ask);
                assert_eq!((seen.status, seen.refusal()[0]), (404, "no_such_session"), "{}: {seen:?}", route.name);
                assert_eq!(anonymous(&seen, hers), anonymous(&never, none), "{}", route.name);
            } else if route.name != "GET /docs" {
                let seen = ask("his").json.to_string();
                assert!(!seen.contains(hers), "{}: {seen}", route.name);
            }
            let now = look_at(&server, ann, hers);
            assert_eq!((now.text("state"), &now.json["executions"]), ("idle", &executions), "{}", route.name);
            let left = "import os; print(x, os.listdir())";
            assert_eq!(run(&server, ann, hers, left).stdout(), "5 ['a']\n", "{}", route.name);
            // Its own key finds it there.
            let (status, body) = ask_for_text(&server, ann, &route.of(hers), &route.body(hers));
            let is_found = !route.is_of_session() || !body.contains("\"no_such");
            assert!(is_found && status < 500, "{}: {status} {body}", route.name);
            for key in [ann, bob] {
                for path in ["sessions/his", "checkpoints/kept", "checkpoints/taken"] {
                    ask_for_text(&server, key, &format!("DELETE /v1/{path}"), "");
                }
            }
            ask_for_text(&server, ann, &format!("DELETE /v1/sessions/{hers}"), "");
        }
    }
}

/// The status and whatever is answered.
fn ask_for_text(server: &Server, key: &str, route: &str, body: &str) -> (u16, String) {
    let head = "HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json";
    let length = body.len();
    let request = format!("{route} {head}\r\nauthorization: Bearer {key}\r\ncontent-length: {length}\r\n\r\n{body}");
    let (head, body) = client::send_for_text(server.address, request.as_bytes());
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status line has a status"), body)
}

/// Only a key whose stanza says so knows what all of them do.
#[test]
fn metrics_are_there_for_keys_that_may_read_them() {
    let keys = Keys::new(["ann", "eve --metrics"]);
    assert!(keys.keys[1].stanza.contains("\nmetrics = true\n"), "{}", keys.keys[1].stanza);
    let server = keys.setup("").start();
    let [ann, eve] = [0, 1].map(|number| keys.text(number));
    run(&server, ann, "s", "1");
    let (status, text) = ask_for_text(&server, eve, "GET /metrics", "");
    assert!(status == 200 && text.contains("eggbox_executions_total{outcome=\"ok\"} 1\n"), "{text}");
    let [metrics, nowhere] = ["metrics", "nowhere"].map(|path| ask(&server, Some(ann), &format!("GET /{path}"), ""));
    assert_eq!(anonymous(&metrics, "/metrics`"), anonymous(&nowhere, "/nowhere`"));
    assert_eq!(metrics.status, 404);
    assert_eq!(ask(&server, None, "GET /metrics", "").status, 401);
}

/// An answer without what differs between any two requests.
fn anonymous(answer: &Answer, id: &str) -> (u16, String) {
    let request = answer.header("x-request-id").expect("every answer has an id");
    (answer.status, answer.json.to_string().replace(id, "ID").replace(request, "REQUEST"))
}

#[test]
fn two_keys_may_use_one_name_and_end_their_own_session_only() {
    let keys = Keys::new(["ann", "bob"]);
    let server = keys.setup("").start();
    let (ann, bob) = (keys.text(0), keys.text(1));
    run(&server, ann, "s", "x = 'hers'");
    let his = run(&server, bob, "s", "print('x' in globals()); x = 'his'");
    assert_eq!((his.id(), his.stdout()), ("s", "False\n"));
    assert_eq!(create(&server, ann, r#"{"id": "s"}"#).status, 409);
    for id in ["s", "t"] {
        create(&server, ann, &json!({ "id": id }).to_string());
    }
    let created = create(&server, bob, r#"{"id": "t"}"#);
    assert_eq!((created.status, created.id(), created.header("location")), (201, "t", Some("/v1/sessions/t")));
    assert_eq!(run(&server, ann, "s", "print(x)").stdout(), "hers\n");
    assert_eq!(ask(&server, Some(bob), "DELETE /v1/sessions/s", "").status, 204);
    assert_eq!([ann, bob].map(|key| look_at(&server, key, "s").status), [200, 404]);
    assert_eq!(run(&server, ann, "s", "print(x)").stdout(), "hers\n");
    // A name that the server has made is no secret, and does not have to be one.
    let made = create(&server, ann, "{}");
    assert_eq!([ann, bob].map(|key| look_at(&server, key, made.id()).status), [200, 404]);
}

#[test]
fn sessions_and_untold_ends_stay_their_keys_over_restarts() {
    let mut keys = Keys::new(["ann", "bob"]);
    let mut server = keys.setup(KEPT).start();
    let (ann, bob) = (keys.text(0).to_owned(), keys.text(1).to_owned());
    run(&server, &ann, "s", "x = 5");
    let end_untold = |key: &str, status| {
        let code = format!("import threading, os; threading.Timer(0.1, os._exit, [{status}]).start()");
        run(&server, key, "gone", &code);
    };
    end_untold(&ann, 3);
    end_untold(&bob, 4);
    let is_ended = |server: &Server, key: &str| look_at(server, key, "gone").text("state") == "ended";
    let are_ended = || (is_ended(&server, &ann) && is_ended(&server, &bob)).then_some(());
    assert!(wait_for(Duration::from_secs(5), are_ended).is_some());
    for signal in [Signal::KILL, Signal::HUP] {
        server = keys.setup(KEPT).start_after(server.end_by(signal));
        assert_eq!([&ann, &bob].map(|key| look_at(&server, key, "s").status), [200, 404], "{signal:?}");
        assert_eq!(run(&server, &ann, "s", "print(x)").stdout(), "5\n", "{signal:?}");
    }
    assert!(run(&server, &ann, "gone", "print(1)").error().contains("exited with status 3"));
    assert_eq!(run(&server, &ann, "gone", "print(1)").stdout(), "1\n");
    server = keys.setup(KEPT).start_after(server.end_by(Signal::KILL));
    assert_eq!(look_at(&server, &ann, "gone").text("state"), "idle");
    assert!(run(&server, &bob, "gone", "print(1)").error().contains("exited with status 4"));
    // Another text for the same name has its sessions, and the old one nothing.
    let old = std::mem::replace(&mut keys.keys[0], Key::new("ann")).text;
    keys.write();
    server = keys.setup(KEPT).start_after(server.end_by(Signal::KILL));
    assert_eq!([&old, keys.text(0), &bob].map(|key| look_at(&server, key, "s").status), [401, 200, 404]);
    // Without its key a session is nobody's.
    let taken_out = keys.keys.remove(0).text;
    keys.write();
    server = keys.setup(KEPT).start_after(server.end_by(Signal::KILL));
    assert_eq!([&taken_out, &bob].map(|key| look_at(&server, key, "s").status), [401, 404]);
    let server = Setup::bare().start_after(server.end_by(Signal::KILL));
    assert_eq!(server.look_at("s").status, 404);
}

#[test]
fn requests_beyond_the_rate_are_429_for_that_key_alone() {
    let keys = Keys::new(["ann --rate-per-minute 3", "bob"]);
    let server = keys.setup("").start();
    let (ann, bob) = (keys.text(0), keys.text(1));
    for _ in 0..4 {
        assert_eq!(ask(&server, None, "GET /v1/sessions/s", "").status, 401);
        assert_eq!(ask(&server, Some(ann), "GET /health", "").status, 200);
    }
    for _ in 0..3 {
        assert_eq!(look_at(&server, ann, "s").status, 404);
    }
    let refused = look_at(&server, ann, "s");
    assert_eq!((refused.status, refused.refusal()[0]), (429, "rate_limited"), "{refused:?}");
    assert!(refused.refusal()[1].contains("3 requests a minute"), "{refused:?}");
    let seconds: u64 = refused.header("retry-after").and_then(|text| text.parse().ok()).expect("it says when");
    assert!((1..=21).contains(&seconds), "{seconds}");
    let refused = run(&server, ann, "s", "print(1)");
    assert_eq!(refused.status, 429);
    assert!(refused.error().contains("rate_per_minute"), "{refused:?}");
    assert_eq!(run(&server, bob, "s", "print(1)").stdout(), "1\n");
}

#[test]
fn a_key_has_its_sessions_and_others_have_theirs() {
    let keys = Keys::new(["ann --sessions-max 2", "bob"]);
    let server = keys.setup("--sessions-max 4").start();
    let (ann, bob) = (keys.text(0), keys.text(1));
    let mut statuses: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| create(&server, ann, "{}"))).collect();
        asked.into_iter().map(|asked| asked.join().expect("it is answered").status).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 201, 503, 503, 503, 503, 503, 503]);
    let refused = create(&server, ann, r#"{"id": "third"}"#);
    assert_eq!((refused.status, refused.refusal()[0]), (503, "too_many_sessions"), "{refused:?}");
    assert_eq!(refused.header("retry-after"), Some("5"));
    let refused = run(&server, ann, "third", "print(1)");
    assert!(refused.status == 503 && refused.error().starts_with("all 2 sessions of your key"), "{refused:?}");
    assert_eq!(look_at(&server, ann, "third").status, 404);
    assert_eq!(["a", "b"].map(|id| run(&server, bob, id, "print(1)").stdout().to_owned()), ["1\n"; 2]);
    assert_eq!(create(&server, bob, "{}").refusal()[0], "no_room_for_session");
    ask(&server, Some(bob), "DELETE /v1/sessions/a", "");
    // There is room for one, but not for one more of hers.
    assert_eq!(create(&server, ann, "{}").refusal()[0], "too_many_sessions");
}

#[test]
fn a_session_that_ended_makes_room_for_its_key() {
    let keys = Keys::new(["ann --sessions-max 1"]);
    let server = keys.setup(KEPT).start();
    let ann = keys.text(0);
    for _ in 0..3 {
        assert_eq!(run(&server, ann, "a", "x = 1").status, 200);
        assert_eq!(run(&server, ann, "b", "x = 1").status, 503);
        assert_eq!(ask(&server, Some(ann), "DELETE /v1/sessions/a", "").status, 204);
        assert!(run(&server, ann, "b", "import os; os._exit(3)").error().contains("exited with status 3"));
    }
    run(&server, ann, "a", "x = 1");
    let server = keys.setup(KEPT).start_after(server.end_by(Signal::KILL));
    assert_eq!(run(&server, ann, "b", "x = 1").status, 503);
}

#[test]
fn a_keys_executions_wait_for_each_other_and_not_for_others() {
    let keys = Keys::new(["ann --executions-max 1", "bob"]);
    let server = keys.setup("").start();
    let (ann, bob) = (keys.text(0), keys.text(1));
    for (key, id) in [(ann, "a"), (ann, "b"), (bob, "c")] {
        run(&server, key, id, "import time");
    }
    std::thread::scope(|scope| {
        let first = scope.spawn(|| run(&server, ann, "a", "time.sleep(2); print(time.monotonic())"));
        std::thread::sleep(Duration::from_millis(300));
        let second = scope.spawn(|| run(&server, ann, "b", "print(time.monotonic())"));
        std::thread::sleep(Duration::from_millis(300));
        let asked = Instant::now();
        assert_eq!(run(&server, bob, "c", "print(1)").stdout(), "1\n");
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        assert!(!first.is_finished());
        let [ended, began] = [first, second].map(|asked| {
            let answer = asked.join().expect("it is answered");
            answer.stdout().trim().parse::<f64>().unwrap_or_else(|_| panic!("{answer:?}"))
        });
        assert!(ended <= began, "{ended} {began}");
    });
}

#[test]
fn a_keys_limits_are_what_its_sessions_have_and_the_most_they_may_ask_for() {
    let limits = "--wall-seconds 0.5 --cpu-seconds 9 --memory-bytes 100000000 --processes 12 --output-bytes 4000 \
                  --idle-seconds 20 --ttl-seconds 40";
    let keys = Keys::new([&format!("ann {limits}"), "bob"]);
    let server = keys.setup("--idle-seconds-max 30").start();
    let (ann, bob) = (keys.text(0), keys.text(1));
    let had = json!({ "wall_seconds": 0.5, "cpu_seconds": 9.0, "memory_bytes": 100_000_000, "processes": 12, "output_bytes": 4000 });
    // However it comes about.
    run(&server, ann, "executed", "x = 1");
    create(&server, ann, r#"{"id": "created"}"#);
    ask(&server, Some(ann), "DELETE /v1/sessions/created", "");
    run(&server, ann, "created", "import os; os._exit(0)");
    run(&server, ann, "created", "x = 1");
    for id in ["executed", "created"] {
        let session = look_at(&server, ann, id);
        let Value::Object(ref fields) = session.json else { panic!("{session:?}") };
        assert_eq!(
            [&fields["limits"], &fields["idle_seconds"], &fields["ttl_seconds"]],
            [&had, &json!(20.0), &json!(40.0)]
        );
    }
    let expected = "execution timeout: 0.5 s of wall time are over; session state kept";
    assert_eq!(run(&server, ann, "executed", "import time; time.sleep(20)").error(), expected);
    assert_eq!(run(&server, bob, "s", "import time; time.sleep(0.8); print(1)").stdout(), "1\n");
    let less = create(&server, ann, r#"{"limits": {"processes": 5}}"#);
    assert_eq!([&less.json["limits"]["processes"], &less.json["limits"]["wall_seconds"]], [&json!(5), &json!(0.5)]);
    for (field, value, wanted) in [
        ("processes", json!(13), "a whole number from 2 to 12 (of your key)"),
        ("wall_seconds", json!(0.6), "a number of seconds from 0.01 to 0.5 (of your key)"),
        ("cpu_seconds", json!(10), "a number of seconds from 0.01 to 9 (of your key)"),
    ] {
        let refused = create(&server, ann, &json!({ "limits": { field: value } }).to_string());
        assert_eq!(
            refused.refusal(),
            ["out_of_range", &format!("`limits.{field}` must be {wanted}"), &format!("limits.{field}")]
        );
    }
    assert_eq!(create(&server, bob, r#"{"limits": {"processes": 13}}"#).status, 201);
    let refused = create(&server, bob, r#"{"limits": {"processes": 65}}"#);
    assert!(refused.refusal()[1].ends_with("from 2 to 64 (processes_max)"), "{refused:?}");
}

#[test]
fn a_key_that_may_have_less_lowers_its_sessions_that_live() {
    let mut keys = Keys::new(["ann"]);
    let server = keys.setup(KEPT).start();
    let ann = keys.text(0).to_owned();
    run(&server, &ann, "s", "import time");
    keys.keys[0].stanza.push_str("wall_seconds = 0.4\n");
    keys.write();
    let server = keys.setup(KEPT).start_after(server.end_by(Signal::KILL));
    assert!(run(&server, &ann, "s", "time.sleep(20)").error().contains("0.4 s of wall time"));
}

#[test]
fn without_keys_nothing_but_loopback_is_served_and_headers_are_as_good_as_none() {
    let stopped = Setup::bare().option("--listen 0.0.0.0:0").run_to_end();
    assert!(!stopped.status.success() && stopped.log.contains("make a key by `eggbox key new`"), "{}", stopped.log);
    let server = Server::bare();
    let session = server.session();
    session.print("x = 5");
    for header in ["", "authorization: Bearer x\r\n"] {
        let answer = ask_with(&server, header, &format!("GET /v1/sessions/{}", session.id), "");
        assert_eq!(answer.status, 200, "{header}");
    }
}

#[test]
fn a_configuration_with_a_wrong_key_is_refused_and_never_quoted() {
    let keys = Keys::new(["ann"]);
    let Key { text, stanza } = keys.keys[0].clone();
    let secret = text.rsplit('_').next().expect("a key has parts");
    for (file, says) in [
        (format!("{stanza}\n{}", stanza.replace("ann", "bob")), "keys.bob.sha256 is that of keys.ann too"),
        (format!("{text}\n{stanza}"), "line 1 has a key itself"),
        (stanza.replace(keys.keys[0].hash(), &text), "has a key itself"),
        (
            format!("{stanza}sessions_max = 2000\n[limits]\nsessions_max = 500"),
            "keys.ann.sessions_max = 2000: it must be a whole number from 1 to 500",
        ),
        (format!("{stanza}environment = []"), "unknown field `environment`"),
    ] {
        fs::write(keys.file(), file).expect("a file can be written");
        let stopped = keys.setup("").run_to_end();
        assert!(!stopped.status.success() && stopped.log.contains(says), "{says}: {}", stopped.log);
        assert!(!stopped.log.contains(secret), "{}", stopped.log);
    }
}

#[test]
fn what_is_no_name_or_no_limit_of_a_key_is_refused_by_name() {
    for (arguments, says) in [
        ("", "<NAME>"),
        ("a.b", "a name must be 1 to 64 characters of A-Z a-z 0-9 _ -"),
        ("ann --sessions-max 0", "sessions_max = 0: it must be a whole number from 1 to 65536 (sessions)"),
        ("ann --memory-bytes -1", "memory_bytes = -1: it must be a whole number from 33554432"),
        ("ann --wall-seconds NaN", "wall_seconds = NaN: it must be a number from 0.01 to 86400 (seconds)"),
    ] {
        let output = key_new(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(says) && output.stdout.is_empty(), "{arguments}: {said}");
    }
    let Key { text, stanza } = Key::new("a_b-c --sessions-max 3 --wall-seconds 2.5 --idle-seconds 60");
    assert!(text.starts_with("eggbox_a_b-c_") && text.len() == "eggbox_a_b-c_".len() + 52, "{text}");
    let lines: Vec<_> = stanza.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(lines[0], "[keys.a_b-c]");
    assert!(lines[1].starts_with("sha256 = \""));
    assert_eq!(lines[2..], ["sessions_max = 3", "wall_seconds = 2.5", "idle_seconds = 60"]);
}
