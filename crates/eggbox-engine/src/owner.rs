//! Who a session belongs to, where the server tells its clients apart, and what all sessions of one owner may use together.
//! How a client shows whose it is, is not known here.

use std::fmt;
use std::sync::Arc;

use crate::session_limits::AskedLimits;

/// The longest name of an owner, in bytes.
pub const OWNER_BYTES_MAX: usize = 64;

/// The name of an owner: 1 to [`OWNER_BYTES_MAX`] characters of `A-Z a-z 0-9 _ -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(Arc<str>);

/// Text that is no name of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name must be 1 to {OWNER_BYTES_MAX} characters of A-Z a-z 0-9 _ -")]
pub struct OwnerError;

/// What an owner has less of than the operator lets everybody have; none where that is to stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnerLimits {
    /// Sessions alive at once.
    pub sessions_max: Option<u32>,
    /// Executions that run at once, in all its sessions together; further ones wait for their turn.
    pub executions_max: Option<usize>,
    /// What each of its sessions may use.
    pub of_session: AskedLimits,
}

impl Owner {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for Owner {
    type Error = OwnerError;

    fn try_from(name: &str) -> Result<Self, OwnerError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let is_name = (1..=OWNER_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed);
        if is_name { Ok(Self(name.into())) } else { Err(OwnerError) }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_has_no_character_that_parts_it_from_others() {
        for name in ["a", "A-z_09", &"x".repeat(OWNER_BYTES_MAX)] {
            assert_eq!(Owner::try_from(name).unwrap().to_string(), name);
        }
        for name in ["", "a/b", "a.b", "a b", "é", &"x".repeat(OWNER_BYTES_MAX + 1)] {
            assert_eq!(Owner::try_from(name), Err(OwnerError), "{name}");
        }
    }
}
