//! The name of a session, as clients give it and as the server makes it.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest name a client may give, in bytes.
pub const SESSION_ID_BYTES_MAX: usize = 128;

/// A valid session name: 1 to [`SESSION_ID_BYTES_MAX`] characters of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(String);

/// Why a name is not a session id. The text is fit for the client who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionIdError {
    #[error(
        "it is empty: leave it out for a new session, or give 1 to {SESSION_ID_BYTES_MAX} characters of A-Z a-z 0-9 . _ -"
    )]
    Empty,
    #[error("it has {bytes} bytes, more than the {SESSION_ID_BYTES_MAX} allowed")]
    TooLong { bytes: usize },
    #[error("it has a character other than A-Z a-z 0-9 . _ - at byte {at}")]
    Character { at: usize },
}

impl SessionId {
    /// A name nobody has used: a UUID of version 7.
    #[must_use]
    pub fn unique() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SessionId {
    type Error = SessionIdError;

    fn try_from(name: String) -> Result<Self, SessionIdError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if name.is_empty() {
            return Err(SessionIdError::Empty);
        }
        if name.len() > SESSION_ID_BYTES_MAX {
            return Err(SessionIdError::TooLong { bytes: name.len() });
        }
        match name.bytes().position(|byte| !allowed(byte)) {
            Some(at) => Err(SessionIdError::Character { at }),
            None => Ok(Self(name)),
        }
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Result<SessionId, SessionIdError> {
        SessionId::try_from(name.to_owned())
    }

    #[test]
    fn accepts_the_whole_alphabet_up_to_the_limit() {
        assert!(parse("A-z_0.9").is_ok());
        assert!(parse(&"x".repeat(SESSION_ID_BYTES_MAX)).is_ok());
        assert!(parse(SessionId::unique().as_str()).is_ok());
    }

    #[test]
    fn refuses_what_is_empty_long_or_strange() {
        assert_eq!(parse(""), Err(SessionIdError::Empty));
        assert_eq!(parse(&"x".repeat(129)), Err(SessionIdError::TooLong { bytes: 129 }));
        for (name, at) in [("a/b", 1), ("é", 0), ("a b", 1), ("ab\n", 2), ("\0", 0)] {
            assert_eq!(parse(name), Err(SessionIdError::Character { at }));
        }
    }
}
