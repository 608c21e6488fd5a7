//! The name of a session, as clients give it and as the server makes it. It is a name among its owner's: two owners may give
//! the same one to a session of each, and neither can name the other's.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::owner::Owner;

/// The longest name a client may give, in bytes.
pub const SESSION_ID_BYTES_MAX: usize = 128;

/// What parts an owner from a name where both are written down; neither can have it.
const BETWEEN: char = '/';

/// A valid session name (1 to [`SESSION_ID_BYTES_MAX`] characters of `A-Z a-z 0-9 . _ -`) and whose it is. Its text is the
/// name alone; written down it is both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct SessionId {
    /// None where the server does not tell its clients apart.
    owner: Option<Owner>,
    name: String,
}

/// `owner/name`, or the name alone where it is nobody's.
#[derive(Serialize, Deserialize)]
struct Written(String);

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
        Self { owner: None, name: Uuid::now_v7().to_string() }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The same name among those of `owner`.
    #[must_use]
    pub fn of(self, owner: Option<Owner>) -> Self {
        Self { owner, name: self.name }
    }

    #[must_use]
    pub fn owner(&self) -> Option<&Owner> {
        self.owner.as_ref()
    }

    /// With its owner, as no other session is called.
    pub(crate) fn written(&self) -> String {
        match &self.owner {
            Some(owner) => format!("{owner}{BETWEEN}{}", self.name),
            None => self.name.clone(),
        }
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
            None => Ok(Self { owner: None, name }),
        }
    }
}

impl TryFrom<Written> for SessionId {
    type Error = String;

    fn try_from(Written(text): Written) -> Result<Self, String> {
        let (owner, name) = match text.split_once(BETWEEN) {
            Some((owner, name)) => (Some(Owner::try_from(owner).map_err(|error| error.to_string())?), name.to_owned()),
            None => (None, text),
        };
        Ok(Self::try_from(name).map_err(|error| error.to_string())?.of(owner))
    }
}

impl From<SessionId> for Written {
    fn from(id: SessionId) -> Self {
        Self(id.written())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
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

    #[test]
    fn it_is_written_down_with_its_owner_and_a_client_cannot_name_one() {
        let owner = |name| Some(Owner::try_from(name).unwrap());
        let ids = [None, owner("ann"), owner("bob")].map(|owner| parse("a").unwrap().of(owner));
        for (id, written) in ids.iter().zip([r#""a""#, r#""ann/a""#, r#""bob/a""#]) {
            assert_eq!((serde_json::to_string(id).unwrap(), id.to_string()), (written.to_owned(), "a".to_owned()));
            assert_eq!(&serde_json::from_str::<SessionId>(written).unwrap(), id);
        }
        assert!(ids[0] != ids[1] && ids[1] != ids[2]);
        assert_eq!(parse("ann/a"), Err(SessionIdError::Character { at: 3 }));
        for written in [r#""/a""#, r#""ann/""#, r#""ann/a/b""#, r#""a.b/a""#] {
            assert!(serde_json::from_str::<SessionId>(written).is_err(), "{written}");
        }
    }
}
