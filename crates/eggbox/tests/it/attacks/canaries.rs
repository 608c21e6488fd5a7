//! The canaries that `canaries.py` keeps, from here.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::way::{Way, script};

#[derive(Debug)]
pub(super) struct Canaries {
    child: Child,
    answers: BufReader<ChildStdout>,
    folder: TempDir,
    /// Part of each of their contents; in no answer of a session.
    pub(super) marker: String,
    /// Their names, for the places that attacks leave.
    pub(super) names: BTreeMap<String, String>,
}

impl Canaries {
    pub(super) fn start(way: Way) -> Self {
        let folder = tempfile::Builder::new().prefix("eggbox-canaries-").tempdir().expect("a folder can be made");
        let marker = super::random();
        let program = script("canaries", include_str!("canaries.py"));
        let mut command = match way.uid() {
            None => Command::new(&program),
            Some(uid) => {
                std::os::unix::fs::chown(folder.path(), Some(uid), Some(uid)).expect("root can give a folder away");
                let mut command = Command::new("setpriv");
                command.args(["--reuid", &uid.to_string(), "--regid", &uid.to_string(), "--clear-groups"]);
                command.arg(&program);
                command
            }
        };
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
        command.arg(folder.path()).arg(&marker).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the canaries can be started");
        let mut answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let names: BTreeMap<String, Value> = serde_json::from_str(&line(&mut answers)).expect("the canaries start");
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let names = names.into_iter().map(|(name, value)| (name, text(value))).collect();
        Self { child, answers, folder, marker, names }
    }

    /// Which of them were touched.
    pub(super) fn touched(mut self) -> Vec<String> {
        drop(self.child.stdin.take());
        let touched = serde_json::from_str(&line(&mut self.answers)).expect("the canaries are looked at");
        assert!(self.child.wait().expect("the canaries end").success());
        drop(self.folder);
        touched
    }
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("a pipe can be read");
    line
}
