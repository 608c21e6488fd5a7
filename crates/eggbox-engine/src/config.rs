//! What the engine runs on: resolved values only. Reading files, flags and variables is the binary's work.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use eggbox_sandbox::cgroup::ControlGroups;
use eggbox_sandbox::limits::SandboxLimits;
use eggbox_sandbox::policy::{Isolation, Policy};
use eggbox_sandbox::steps::FailStep;

use crate::checkpoints::CheckpointLimits;
use crate::environment_name::EnvironmentName;
use crate::owner::{Owner, OwnerLimits};
use crate::wanted::Checkpointing;

/// Everything an [`Engine`](crate::Engine) needs to start.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The server's own folder, made if missing; one server at a time uses it.
    pub state_dir: PathBuf,
    /// The environment that every server has, which is called `default`.
    pub environment: EnvironmentConfig,
    /// Others beside it.
    pub environments: BTreeMap<EnvironmentName, EnvironmentConfig>,
    /// How much of the wall must stand.
    pub isolation: Isolation,
    pub control_groups: ControlGroups,
    /// For tests: a step of the wall that fails.
    pub fail_step: Option<FailStep>,
    pub policy: Policy,
    /// What one session may use, enforced by the kernel.
    pub sandbox_limits: SandboxLimits,
    pub limits: Limits,
    pub checkpoints: CheckpointLimits,
    /// What sessions of which nothing else is said do about checkpoints.
    pub checkpointing: Checkpointing,
    /// When sessions go to sleep by themselves.
    pub hibernation: Hibernation,
    /// Those whose sessions are told apart.
    pub owners: BTreeMap<Owner, OwnerLimits>,
    /// What tells this build of eggbox from others: sessions of another are served to their end, but no new ones are
    /// forked from its nest.
    pub build: String,
}

/// An interpreter and what it has imported before the first session is forked from it.
#[derive(Debug, Clone)]
pub struct EnvironmentConfig {
    /// The interpreter: a path, or a name to look up on `PATH`.
    pub python: PathBuf,
    pub preload: Preload,
    /// Sessions that are kept ready for those who ask for a new one, beside those that are in use: so many where nobody
    /// has asked for long.
    pub parked_min: u32,
    /// At most so many, where many ask; 0 for none, whatever the least is.
    pub parked_max: u32,
}

impl EngineConfig {
    /// Each of them by its name, that first which every server has.
    pub fn each_environment(&self) -> impl Iterator<Item = (EnvironmentName, &EnvironmentConfig)> {
        let others = self.environments.iter().map(|(name, environment)| (name.clone(), environment));
        std::iter::once((EnvironmentName::default(), &self.environment)).chain(others)
    }

    /// Sessions that are kept ready at most, of all environments together.
    #[must_use]
    pub fn parked_max(&self) -> u32 {
        self.each_environment().fold(0, |sum, (_, environment)| sum.saturating_add(environment.parked_max))
    }
}

/// The modules that a nest imports before it forks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Preload {
    /// The data packages that the interpreter happens to have.
    Available,
    /// Exactly these; one that cannot be imported stops the start.
    Named(Vec<String>),
}

/// When sessions that nobody uses go to sleep without being asked; never where both are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hibernation {
    /// Once nobody has used one for so long.
    pub idle: Option<Duration>,
    /// Those that were used longest ago, when the host has fewer bytes of memory to give than this.
    pub available_bytes_min: Option<u64>,
}

/// Every number that bounds a session, a queue or a wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Sessions alive at once.
    pub sessions_max: u32,
    /// Executions that run at once; further ones wait for their turn.
    pub executions_max: usize,
    /// Executions that wait for one session, beside the one that runs.
    pub queue_max: usize,
    /// Bytes of the code of one execution.
    pub code_bytes_max: usize,
    /// Wall time of an execution.
    pub wall_max: Duration,
    /// CPU time of an execution, of all its processes together; none for no limit beside wall time.
    pub cpu_max: Option<Duration>,
    /// How long code may go on after its KeyboardInterrupt before the session is killed.
    pub interrupt_grace: Duration,
    /// Bytes kept of each of stdout and stderr of an execution.
    pub output_bytes_max: usize,
    /// A session that nobody has used for this long ends.
    pub idle_max: Duration,
    /// A session that is this old ends as soon as nothing runs in it.
    pub life_max: Duration,
    /// How long the interpreter may take to start, import and exercise its preload list.
    pub nest_start_max: Duration,
    /// How long sessions outlive a server that was killed, for another one to take them over.
    pub abandoned_max: Duration,
}
