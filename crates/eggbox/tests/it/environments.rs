//! Environments: which sessions are of which, what each has for itself, and what becomes of them with their server.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::exposition::scrape;
use crate::keys::{Keys, ask as ask_with_key};
use crate::process::{nest_pid, wait_for};
use crate::python;
use crate::server::{Server, Setup};

const KEPT: &str = "--abandoned-seconds-max 60";
const PREFIX: &str = "import sys; print(sys.prefix)";

/// A virtual environment of its own, and a configuration that has it as `lean` beside the usual one.
struct Lean {
    folder: TempDir,
}

impl Lean {
    fn new() -> Self {
        let folder = python::own_folder();
        let venv = folder.path().join("venv");
        let made = Command::new(python::bare()).args(["-m", "venv", "--without-pip"]).arg(&venv).status();
        assert!(made.is_ok_and(|status| status.success()), "a virtual environment can be made");
        let lean = Self { folder };
        lean.configure("parked_sessions_min = 1\nparked_sessions_max = 1\n", "");
        lean
    }

    fn venv(&self) -> PathBuf {
        self.folder.path().join("venv")
    }

    fn interpreter(&self) -> PathBuf {
        self.venv().join("bin/python3")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("eggbox.toml")
    }

    /// Writes the file, with more of this environment and more after it.
    fn configure(&self, of_lean: &str, more: &str) {
        // From the file's folder.
        let text = format!("[environments.lean]\npython = 'venv/bin/python3'\npreload = ['colorsys']\n{of_lean}{more}");
        fs::write(self.file(), text).expect("a file can be written");
    }

    fn setup(&self, options: &str) -> Setup {
        Setup::bare().option(&format!("--config {} {options}", self.file().display()))
    }

    fn prefix(&self) -> String {
        format!("{}\n", self.venv().display())
    }
}

fn printed(server: &Server, id: &str, code: &str) -> String {
    let answer = server.ask(id, &json!({ "code": code }));
    assert_eq!((answer.status, answer.text("outcome")), (200, "ok"), "{answer:?}");
    answer.stdout().to_owned()
}

#[test]
fn a_session_is_of_the_environment_that_was_asked_for() {
    let lean = Lean::new();
    let server = lean.setup("").start();
    for (body, environment) in [
        (r#"{"id": "a"}"#, "default"),
        (r#"{"id": "b", "environment": "lean"}"#, "lean"),
        (r#"{"id": "c", "environment": "default"}"#, "default"),
    ] {
        let made = server.create(body);
        assert_eq!((made.status, made.text("environment")), (201, environment), "{made:?}");
        let id = made.text("id");
        assert_eq!(server.look_at(id).text("environment"), environment);
        assert_eq!(printed(&server, id, PREFIX) == lean.prefix(), environment == "lean", "{id}");
        let is_preloaded = printed(&server, id, "print('colorsys' in sys.modules)");
        assert_eq!(is_preloaded, if environment == "lean" { "True\n" } else { "False\n" });
    }
    let list = server.get("/v1/sessions");
    let listed: Vec<_> =
        list.json["sessions"].as_array().expect("a list").iter().map(|one| &one["environment"]).collect();
    assert_eq!(listed, ["default", "lean", "default"]);
    // By name alone, and by itself.
    assert_ne!(server.run(PREFIX).stdout(), lean.prefix());
    let ran = server.send("POST", "/v1/run", &json!({ "code": PREFIX, "environment": "lean" }).to_string());
    assert_eq!((ran.status, ran.stdout()), (200, &*lean.prefix()), "{ran:?}");
    for (path, body) in [
        ("/v1/sessions", json!({ "environment": "none" })),
        ("/v1/sessions", json!({ "environment": "../lean" })),
        ("/v1/run", json!({ "code": "", "environment": "" })),
    ] {
        let refused = server.send("POST", path, &body.to_string());
        assert_eq!((refused.status, &refused.json["error"]["field"]), (422, &json!("environment")), "{refused:?}");
        let message = refused.refusal()[1];
        assert!(message.contains("`environment` can be `default` or `lean`"), "{message}");
    }
    let refused = server.create(r#"{"environment": 1}"#);
    assert_eq!((refused.status, refused.refusal()[0]), (400, "wrong_type"), "{refused:?}");
}

#[test]
fn each_environment_has_sessions_that_are_made_ahead() {
    let lean = Lean::new();
    let server = lean.setup("--parked-sessions-min 2 --parked-sessions-max 2").start();
    let pools = || server.get("/health").json["pools"].clone();
    let parked = wait_for(Duration::from_secs(20), || {
        let pools = pools();
        (pools["default"]["parked"] == 2 && pools["lean"]["parked"] == 1).then_some(())
    });
    assert!(parked.is_some(), "{}", pools());
    server.create(r#"{"environment": "lean"}"#);
    let hits = |pools: &Value| [&pools["default"]["hits"], &pools["lean"]["hits"]].map(|hits| hits.as_u64());
    assert_eq!(hits(&pools()), [Some(0), Some(1)]);
    assert_eq!(scrape(&server).get("eggbox_pool_hits_total", &[("environment", "lean")]).to_string(), "1");
}

#[test]
fn the_end_of_one_nest_is_not_the_end_of_the_others_sessions() {
    let lean = Lean::new();
    let server = lean.setup("").start();
    for body in [r#"{"id": "a"}"#, r#"{"id": "b", "environment": "lean"}"#] {
        let made = server.create(body);
        printed(&server, made.text("id"), "x = 5");
    }
    let nest = nest_pid(&lean.interpreter()).cast_signed();
    kill_process(Pid::from_raw(nest).expect("a pid is positive"), Signal::KILL).expect("the nest can be killed");
    let ended = wait_for(Duration::from_secs(10), || (server.look_at("b").json["state"] == "ended").then_some(()));
    assert!(ended.is_some());
    assert_eq!(printed(&server, "a", "print(x)"), "5\n");
    // There is another before long.
    let ready = wait_for(Duration::from_secs(20), || (server.get("/ready").status == 200).then_some(()));
    assert!(ready.is_some());
    assert_eq!(server.create(r#"{"id": "b", "environment": "lean"}"#).status, 201);
    assert_eq!(printed(&server, "b", PREFIX), lean.prefix());
}

#[test]
fn a_session_stays_of_its_environment_over_restarts_of_either() {
    let lean = Lean::new();
    let server = lean.setup(KEPT).start();
    server.create(r#"{"id": "b", "environment": "lean"}"#);
    printed(&server, "b", "x = 5");
    let server = lean.setup(KEPT).start_after(server.end_by(Signal::KILL));
    assert_eq!(printed(&server, "b", "print(x)"), "5\n");
    let restarted = server.send("POST", "/v1/sessions/b/restart", "{}");
    assert_eq!((restarted.status, restarted.text("environment")), (200, "lean"), "{restarted:?}");
    assert_eq!(printed(&server, "b", PREFIX), lean.prefix());
    // Where its environment is taken out, it lives on in what there is of it, but has no other interpreter.
    let ended = server.end_by(Signal::KILL);
    let server = Setup::bare().option(KEPT).start_after(ended);
    printed(&server, "b", "x = 6");
    assert_eq!(server.look_at("b").text("environment"), "lean");
    let refused = server.send("POST", "/v1/sessions/b/restart", "{}");
    assert_eq!((refused.status, refused.refusal()[0]), (409, "environment_gone"), "{refused:?}");
    assert_eq!(printed(&server, "b", "print(x)"), "6\n");
    assert_eq!(server.create(r#"{"environment": "lean"}"#).status, 422);
    // It may come back, under whatever plan.
    let server = lean.setup(KEPT).start_after(server.end_by(Signal::KILL));
    assert_eq!(server.send("POST", "/v1/sessions/b/restart", "{}").status, 200);
    assert_eq!(printed(&server, "b", PREFIX), lean.prefix());
}

#[test]
fn a_key_has_the_environments_that_it_names() {
    let lean = Lean::new();
    let keys = Keys::new(["ann --environments lean", "bob --environments default", "cid"]);
    lean.configure("", &keys.stanzas());
    let server = lean.setup("").start();
    let [ann, bob, cid] = [0, 1, 2].map(|number| keys.text(number));
    let create = |key: &str, body: &Value| ask_with_key(&server, Some(key), "POST /v1/sessions", &body.to_string());
    for (key, usual, other) in [(ann, "lean", "default"), (bob, "default", "lean")] {
        assert_eq!(create(key, &json!({})).text("environment"), usual);
        assert_eq!(create(key, &json!({ "environment": usual })).status, 201);
        let refused = create(key, &json!({ "environment": other }));
        assert_eq!((refused.status, refused.refusal()[0]), (422, "unknown_environment"));
        // Of those that others have it hears nothing.
        let message = refused.refusal()[1];
        assert!(message.contains(&format!("can be `{usual}`")) && !message.contains(other), "{message}");
        let ran = ask_with_key(&server, Some(key), "POST /execute", &json!({ "code": PREFIX }).to_string());
        assert_eq!(ran.stdout() == lean.prefix(), usual == "lean", "{ran:?}");
    }
    assert_eq!(create(cid, &json!({})).text("environment"), "default");
    assert_eq!(create(cid, &json!({ "environment": "lean" })).text("environment"), "lean");
}

#[test]
fn what_an_operator_takes_from_a_key_its_sessions_are_not_restarted_in() {
    let lean = Lean::new();
    let keys = Keys::new(["ann"]);
    lean.configure("", &keys.stanzas());
    let server = lean.setup(KEPT).start();
    let ask =
        |server: &Server, route: &str, body: &Value| ask_with_key(server, Some(keys.text(0)), route, &body.to_string());
    assert_eq!(ask(&server, "POST /v1/sessions", &json!({ "id": "s", "environment": "lean" })).status, 201);
    lean.configure("", &format!("{}environments = ['default']\n", keys.stanzas()));
    let server = lean.setup(KEPT).start_after(server.end_by(Signal::KILL));
    let refused = ask(&server, "POST /v1/sessions/s/restart", &json!({}));
    assert_eq!((refused.status, refused.refusal()[0]), (409, "environment_gone"), "{refused:?}");
    assert_eq!(ask(&server, "GET /v1/sessions/s", &json!({})).text("state"), "idle");
}

#[test]
fn what_is_no_environment_is_refused_by_name_and_leaves_nothing() {
    let lean = Lean::new();
    let keys = Keys::new(["ann"]);
    let stanza = keys.stanzas();
    for (of_lean, more, says) in [
        ("", "[environments.default]\n", "environments: `default` is what [environment] describes"),
        ("", "[environments.'a b']\n", "environments: \"a b\": a name must be 1 to 64 characters"),
        ("pyton = 'x'\n", "", "unknown field `pyton`"),
        ("parked_sessions_max = -1\n", "", "environments: lean.parked_sessions_max = -1"),
        ("parked_sessions_min = 3\nparked_sessions_max = 2\n", "", "environments: lean.parked_sessions_min = 3"),
        ("", "[environments.x]\npreload = ['no_such_module']\n", "environment x: failed to start the nest"),
        ("", "[environments.x]\npython = '/no/such/python'\n", "environment x: "),
        (
            "",
            &format!("{stanza}environments = ['lein']\n"),
            "keys.ann.environments = \"lein\": there is none of that name; there are: default, lean",
        ),
        ("", &format!("{stanza}environments = []\n"), "keys.ann.environments is empty"),
        (
            "",
            &format!("{stanza}environments = ['lean', 'lean']\n"),
            "keys.ann.environments = \"lean\": it is there twice",
        ),
    ] {
        lean.configure(of_lean, more);
        let stopped = lean.setup("").run_to_end();
        assert!(!stopped.status.success() && stopped.log.contains(says), "{says}: {}", stopped.log);
        let left = wait_for(Duration::from_secs(10), || {
            crate::process::pid_of(&lean.interpreter().display().to_string()).is_none().then_some(())
        });
        assert!(left.is_some(), "{says}: a nest is left");
    }
}
