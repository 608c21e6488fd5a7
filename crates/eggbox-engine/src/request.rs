//! What a session is asked to run.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use crate::executions::Execution;
use crate::session_id::SessionId;

/// Python source and how it is to be run.
#[derive(Debug, Default)]
pub struct Code {
    pub text: String,
    /// What it reads from its standard input; nothing where that is none.
    pub stdin: Option<String>,
    /// Its result, what it displays and its exception are wanted as values, and its events one by one.
    pub is_rich: bool,
    /// Somebody may answer when it asks for a line.
    pub is_interactive: bool,
    /// Wall time, where that is to be less than the session's.
    pub wall_max: Option<Duration>,
    /// What its client knows it by: asked for again, it does not run again.
    pub idempotency_key: Option<String>,
    /// The room in memory that it was given, if it was: taken until it has run.
    pub room: Option<OwnedSemaphorePermit>,
    /// Who is to hear when it runs.
    pub witness: Option<Box<dyn Witness>>,
}

/// Hears of one piece of code when it runs and what becomes of it, also where whoever sent it is gone. Of code that is never
/// run it hears nothing. It is called on the way, so it must not take long.
pub trait Witness: fmt::Debug + Send + Sync {
    /// It is given to the session now, as its execution of that number.
    fn begins(&self, session: &SessionId, execution: u64);

    /// It is over; none where the server could not go on with it.
    fn ended(&self, execution: Option<&Execution>);
}

impl From<&str> for Code {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }
}

impl Code {
    /// Of its idempotency key, if it has one, and of what is to be done.
    pub(crate) fn idempotency(&self) -> Option<(Digest, Digest)> {
        let key = self.idempotency_key.as_ref()?;
        let stdin = self.stdin.as_deref();
        let asked = format!("{:?}", (&self.text, stdin, self.wall_max));
        Some((Digest::of(key.as_bytes()), Digest::of(asked.as_bytes())))
    }
}

/// The first 128 bits of a SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Digest(#[serde(with = "hexadecimal")] u128);

impl Digest {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let hash = Sha256::digest(bytes);
        Self(hash[..16].iter().fold(0, |number, byte| number << 8 | u128::from(*byte)))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{number:032x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        u128::from_str_radix(&String::deserialize(deserializer)?, 16).map_err(D::Error::custom)
    }
}
