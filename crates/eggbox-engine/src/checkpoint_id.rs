//! The name of a checkpoint: as a session's, among those of the same owner.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::owner::Owner;
use crate::session_id::SessionId;

/// A valid name, by the rules for sessions' names, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckpointId(SessionId);

impl CheckpointId {
    /// One that no other has, of the owner of that session.
    pub(crate) fn unique_beside(session: &SessionId) -> Self {
        Self(SessionId::unique().of(session.owner().cloned()))
    }

    #[must_use]
    pub fn owner(&self) -> Option<&Owner> {
        self.0.owner()
    }
}

impl From<SessionId> for CheckpointId {
    /// That which is called as the session is, and is its owner's.
    fn from(name: SessionId) -> Self {
        Self(name)
    }
}

impl fmt::Display for CheckpointId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
