//! A session as somebody wants it.

use std::collections::BTreeMap;
use std::time::Duration;

use eggbox_sandbox::policy::WorkspacePolicy;
use serde::{Deserialize, Serialize};

use crate::checkpoint_id::CheckpointId;
use crate::environment_name::EnvironmentName;
use crate::session_limits::AskedLimits;

/// What a new session is to be; by default as every other.
#[derive(Debug, Clone, Default)]
pub struct WantedSession {
    /// One that there is.
    pub environment: EnvironmentName,
    pub limits: AskedLimits,
    /// To find it by: at most [`LABELS_MAX`] of [`LABELS_BYTES_MAX`] bytes together, without control characters.
    pub labels: BTreeMap<String, String>,
    /// Variables beside those that every session has.
    pub variables: BTreeMap<String, String>,
    /// What code may do to the files of its workspace; as the operator has it where that is none.
    pub files: Option<WorkspacePolicy>,
    /// Whether it takes checkpoints by itself.
    pub checkpoints: Checkpointing,
    /// What it goes on from, of the same environment; nothing where that is none.
    pub from: Option<CheckpointId>,
}

/// Whether a session takes checkpoints by itself, and when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checkpointing {
    #[default]
    Off,
    /// When nobody has used it for a moment.
    OnIdle,
    /// Before each execution.
    Each,
}

/// How many labels a session may have.
pub const LABELS_MAX: usize = 32;
/// How many bytes their names and values may have together: they stand in one page with everything else of a session.
pub const LABELS_BYTES_MAX: usize = 1024;

/// What is to change of a session; none where it is to stay.
#[derive(Debug, Clone, Default)]
pub struct SessionChange {
    pub labels: Option<BTreeMap<String, String>>,
    pub checkpoints: Option<Checkpointing>,
    pub idle_max: Option<Duration>,
    pub life_max: Option<Duration>,
}
