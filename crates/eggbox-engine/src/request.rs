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
    pub idempotency: Option<Idempotency>,
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

/// Digests of the key that a client knows an execution by, and of what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    key: Digest,
    asked: Digest,
}

impl Idempotency {
    #[must_use]
    pub fn new(key: &str, text: &str, stdin: Option<&str>, wall_max: Option<Duration>) -> Self {
        let wall_nanos = wall_max.map_or(u128::MAX, |wall_max| wall_max.as_nanos());
        let (text_bytes, has_stdin) = (text.len() as u64, u8::from(stdin.is_some()));
        // Where each ends and the next begins is told by the first.
        let parts = [&text_bytes.to_le_bytes()[..], &wall_nanos.to_le_bytes(), &[has_stdin], text.as_bytes()];
        let parts = parts.into_iter().chain([stdin.unwrap_or_default().as_bytes()]);
        Self { key: Digest::of([key.as_bytes()]), asked: Digest::of(parts) }
    }

    /// Whether it is known by the same key; then, whether the same was asked for.
    pub(crate) fn matches(self, other: Self) -> Option<bool> {
        (self.key == other.key).then_some(self.asked == other.asked)
    }
}

/// The first 128 bits of a SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Digest(#[serde(with = "hexadecimal")] u128);

impl Digest {
    fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        parts.into_iter().for_each(|part| hash.update(part));
        let hash = hash.finalize();
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
