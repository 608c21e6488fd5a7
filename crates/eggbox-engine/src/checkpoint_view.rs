//! What can be seen of a checkpoint from outside.

use std::time::SystemTime;

use crate::checkpoint_id::CheckpointId;
use crate::checkpoints::{CheckpointKind, Manifest};
use crate::environment_name::EnvironmentName;
use crate::session_id::SessionId;

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointView {
    pub id: CheckpointId,
    pub kind: CheckpointKind,
    /// That which it is of, whether it is still there or not.
    pub session: SessionId,
    pub environment: EnvironmentName,
    /// The checkpoint that its session went on from before, if there was one.
    pub parent: Option<CheckpointId>,
    /// The number of the last execution before it.
    pub executions: u64,
    /// What it takes of the disk.
    pub bytes: u64,
    pub created: SystemTime,
    /// When it is removed by itself.
    pub expires: SystemTime,
}

impl CheckpointView {
    pub(crate) fn of(manifest: &Manifest, expires: SystemTime) -> Self {
        Self {
            id: manifest.id.clone(),
            kind: manifest.kind,
            session: manifest.session.clone(),
            environment: manifest.record.environment.clone(),
            parent: manifest.record.checkpoint.clone(),
            executions: manifest.executions,
            bytes: manifest.bytes,
            created: manifest.created_at,
            expires,
        }
    }
}
