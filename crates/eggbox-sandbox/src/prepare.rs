//! From what the operator asked for to a plan for this host: looks at the host and the interpreter's paths, compiles the
//! filter, and hands all of it to [`plan`](crate::plan::plan), which decides.

use std::io;
use std::path::{Path, PathBuf};

use crate::cgroup::{self, ControlGroups};
use crate::host::{Followed, Host, follow};
use crate::interpreter::Interpreter;
use crate::limits::SandboxLimits;
use crate::plan::{Plan, PlanError, PlanInput, fnv, plan};
use crate::policy::{Isolation, Policy};
use crate::seccomp;
use crate::steps::FailStep;

/// What a plan is wanted for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub isolation: Isolation,
    pub policy: &'a Policy,
    pub limits: &'a SandboxLimits,
    pub control_groups: ControlGroups,
    pub interpreter: &'a Interpreter,
    pub sessions_max: u32,
    /// What tells this build of eggbox from others.
    pub build: &'a str,
    /// The server's own folder.
    pub state_dir: &'a Path,
    /// Arguments for the runner after its own path.
    pub runner_arguments: &'a [String],
    pub fail_step: Option<FailStep>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error("cannot look at this host")]
    Host(#[source] io::Error),
    #[error("cannot look at {}, which sessions are to see", path.display())]
    Path { path: PathBuf, source: io::Error },
    #[error(
        "no seccomp policy is shipped for this architecture ({}): x86_64 and aarch64 are supported",
        std::env::consts::ARCH
    )]
    Architecture,
    #[error(transparent)]
    SeccompPolicy(#[from] seccomp::PolicyError),
    #[error(transparent)]
    SeccompProgram(#[from] seccomp::CompileError),
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// Makes the plan.
///
/// # Errors
/// Where the host cannot be looked at, or has not what the plan needs.
pub fn prepare(wanted: Wanted<'_>) -> Result<Plan, PrepareError> {
    let Wanted { isolation, policy, interpreter, sessions_max, state_dir, runner_arguments, fail_step, .. } = wanted;
    let architecture = seccomp::native_arch().ok_or(PrepareError::Architecture)?;
    let filter = seccomp::compile(&seccomp::shipped(architecture, isolation)?)?;
    let interpreter_paths = interpreter.paths();
    let trees = policy.trees.iter().map(|tree| &tree.path).chain(&interpreter_paths);
    let groups_found = cgroup::find(wanted.control_groups);
    Ok(plan(PlanInput {
        isolation,
        policy,
        limits: wanted.limits,
        control_groups: wanted.control_groups,
        groups_found: groups_found.as_ref().map_err(String::as_str),
        groups_name: &groups_name(state_dir),
        host: &Host::probe().map_err(PrepareError::Host)?,
        interpreter,
        trees: &follow_all(trees)?,
        devices: &follow_all(policy.devices.iter().map(|device| &device.path))?,
        proc_files: &follow_all(policy.proc_files.iter().map(|file| &file.path))?,
        seccomp: &filter.instructions,
        sessions_max,
        build: wanted.build,
        state_dir,
        runner_arguments,
        fail_step,
    })?)
}

/// The same for every server that uses this folder, and for no other.
fn groups_name(state_dir: &Path) -> String {
    format!("eggbox-{:016x}", fnv(state_dir.as_os_str().as_encoded_bytes()))
}

/// Those that exist.
fn follow_all<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<Vec<Followed>, PrepareError> {
    let mut followed = Vec::new();
    for path in paths {
        match follow(path) {
            Ok(found) => followed.push(found),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(source) => return Err(PrepareError::Path { path: path.clone(), source }),
        }
    }
    Ok(followed)
}
