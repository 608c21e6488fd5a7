//! What must stand of the wall in each way to run, on a machine that has everything: one that has not fails here.

use std::process::Command;

use serde_json::Value;

use super::way::{Way, refuser};
use crate::server::{Server, Setup};

/// Every layer with its state in each way.
const LAYERS: &[(&str, [&str; 4])] = &[
    ("user_namespace", ["enforced", "enforced", "absent", "absent"]),
    ("mount_namespace", ["enforced", "enforced", "absent", "absent"]),
    ("pid_namespace", ["enforced", "enforced", "absent", "absent"]),
    ("ipc_namespace", ["enforced", "enforced", "absent", "absent"]),
    ("uts_namespace", ["enforced", "enforced", "absent", "absent"]),
    ("network_namespace", ["enforced", "enforced", "absent", "absent"]),
    ("cgroup_namespace", ["enforced", "enforced", "absent", "absent"]),
    ("control_group", ["enforced", "partial", "enforced", "partial"]),
    ("rlimits", ["enforced", "enforced", "enforced", "partial"]),
    ("identity", ["enforced", "partial", "enforced", "partial"]),
    ("capabilities", ["enforced", "enforced", "enforced", "enforced"]),
    ("no_new_privileges", ["enforced", "enforced", "enforced", "enforced"]),
    ("keyring", ["enforced", "enforced", "enforced", "enforced"]),
    ("landlock", ["enforced", "enforced", "enforced", "enforced"]),
    ("seccomp", ["enforced", "enforced", "enforced", "enforced"]),
];

fn expected(way: Way) -> Vec<(String, String)> {
    let column = Way::ALL.iter().position(|other| *other == way).expect("every way has a column");
    let mut layers: Vec<_> =
        LAYERS.iter().map(|(layer, states)| ((*layer).to_owned(), states[column].to_owned())).collect();
    layers.sort();
    layers
}

fn layers(isolation: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let layers = isolation.as_array().expect("isolation is a list of layers");
    let mut layers: Vec<_> = layers.iter().map(|layer| (text(&layer["layer"]), text(&layer["state"]))).collect();
    layers.sort();
    layers
}

fn health(server: &Server) -> Value {
    server.get("/health").json
}

/// What `eggbox doctor --json` prints, and its exit status, with the options of a server.
fn doctor(setup: &Setup) -> (Value, Option<i32>) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    if let Some(uid) = setup.uid {
        std::os::unix::fs::chown(folder.path(), Some(uid), Some(uid)).expect("root can give a folder away");
    }
    let serve = setup.command(&folder.path().join("state"));
    let mut doctor = Command::new(serve.get_program());
    let listen = serve.get_args().position(|argument| argument == "--listen").expect("it listens");
    for (index, argument) in serve.get_args().enumerate() {
        match argument.to_str() {
            Some("serve") => doctor.args(["doctor", "--json"]),
            _ if index == listen || index == listen + 1 => &mut doctor,
            _ => doctor.arg(argument),
        };
    }
    let output = doctor.current_dir("/").output().expect("doctor can be run");
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (report, output.status.code())
}

#[test]
fn every_layer_that_this_machine_has_stands_and_all_who_ask_hear_the_same() {
    for way in Way::possible() {
        let server = way.setup().start();
        let from_health = layers(&health(&server)["isolation"]);
        assert_eq!(from_health, expected(way), "GET /health, {}", way.name());
        let (report, status) = doctor(&way.setup());
        assert_eq!(layers(&report["isolation"]), expected(way), "doctor, {}", way.name());
        assert_eq!(
            (&report["ok"], status),
            (&Value::Bool(!way.is_reduced()), Some(if way.is_reduced() { 3 } else { 0 }))
        );
        let log = server.log();
        for (layer, state) in expected(way) {
            let named = log.lines().any(|line| {
                line.contains("a layer of the sandbox is absent") && line.contains(&layer.replace('_', " "))
            });
            assert_eq!(named, state == "absent", "{layer} in the log, {}:\n{log}", way.name());
        }
    }
}

#[test]
fn strict_refuses_a_host_that_refuses_namespaces_naming_layer_cause_and_mend() {
    for way in Way::possible().into_iter().filter(|way| !way.is_reduced()) {
        let setup = Setup { binary: refuser(), ..way.setup() };
        let refused = setup.run_to_end();
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let step = if way == Way::Root { "enter_pid_namespace" } else { "enter_all_namespaces" };
        let layer = if way == Way::Root { "the pid namespace cannot" } else { "the user namespace cannot" };
        for part in [layer, step, "Operation not permitted", "this host refuses", "allows unshare, clone and mount"] {
            assert!(refused.log.contains(part), "{part}: {}", refused.log);
        }
        let (report, status) = doctor(&setup);
        let failure = report["failure"].as_str().unwrap_or_default();
        assert!(status == Some(1) && failure.contains(step) && failure.contains("this host refuses"), "{report}");
    }
}
