//! Who a session belongs to, where the server tells its clients apart, and what all sessions of one owner may use together.
//! How a client shows whose it is, is not known here.

use std::fmt;
use std::sync::Arc;

use crate::environment_name::EnvironmentName;
use crate::session_limits::AskedLimits;
use crate::short_name::{self, NameError};

/// The name of an owner, as [`short_name`](crate::short_name) has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(Arc<str>);

/// What an owner has less of than the operator lets everybody have; none where that is to stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnerLimits {
    /// Sessions alive at once.
    pub sessions_max: Option<u32>,
    /// Executions that run at once, in all its sessions together; further ones wait for their turn.
    pub executions_max: Option<usize>,
    /// What each of its sessions may use.
    pub of_session: AskedLimits,
    /// Those that its sessions may be of, the first of which is what they are of unless they ask for another; all of them
    /// where none is named.
    pub environments: Vec<EnvironmentName>,
}

impl Owner {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for Owner {
    type Error = NameError;

    fn try_from(name: &str) -> Result<Self, NameError> {
        Ok(Self(short_name::check(name)?.into()))
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
