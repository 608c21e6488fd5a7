//! What the numbers were measured on, and of what.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

use crate::interpreter;
use crate::options::Options;
use crate::proc;

/// Says what an interpreter is, and which of the packages that matter here it has.
const DESCRIBE: &str = "\
import importlib.metadata, json, platform
wanted = ('numpy', 'pandas', 'matplotlib', 'flask', 'werkzeug', 'jupyter-kernel-gateway', 'jupyter-server', \
'ipykernel', 'tornado', 'pyzmq')
found = {}
for name in wanted:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps({'python': platform.python_version(), 'packages': found}))
";

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
    pub(crate) is_root: bool,
    /// Before anything was started: what else the machine was doing.
    pub(crate) load_average: String,
    pub(crate) date: String,
    pub(crate) commit: String,
    /// How driver and, if built alike, server were compiled.
    pub(crate) is_optimised: bool,
    /// By what they are for.
    pub(crate) interpreters: BTreeMap<&'static str, Value>,
}

impl Machine {
    pub(crate) async fn describe(options: &Options) -> Result<Self> {
        let mut interpreters = BTreeMap::new();
        let named =
            [("data", &options.python), ("bare", &options.bare_python), ("yardsticks", &options.yardsticks_python)];
        for (name, python) in named {
            interpreters.insert(name, interpreter_at(python).await?);
        }
        let cpus = std::fs::read_to_string("/proc/cpuinfo").context("failed to read /proc/cpuinfo")?;
        let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let system = rustix::system::uname();
        Ok(Self {
            cpu: cpu.map_or("unknown", |(_, name)| name).to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            memory_bytes: proc::host_memory()?.get("MemTotal").copied().unwrap_or(0),
            kernel: format!("{} {}", system.sysname().to_string_lossy(), system.release().to_string_lossy()),
            is_root: rustix::process::geteuid().is_root(),
            load_average: std::fs::read_to_string("/proc/loadavg")?.split(' ').take(3).collect::<Vec<_>>().join(" "),
            date: said_by("date", &["-u", "+%F"]),
            commit: said_by("git", &["describe", "--always", "--dirty"]),
            is_optimised: !cfg!(debug_assertions),
            interpreters,
        })
    }
}

async fn interpreter_at(python: &Path) -> Result<Value> {
    let (described, _) = interpreter::run(python, DESCRIBE).await?;
    serde_json::from_slice(&described).with_context(|| format!("{} does not say what it is", python.display()))
}

/// What a program of the host prints; one that is not there is no reason to fail.
fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let said = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    said.map_or("unknown".into(), |said| String::from_utf8_lossy(&said).trim().to_owned())
}
