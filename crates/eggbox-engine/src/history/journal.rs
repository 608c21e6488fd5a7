//! What is written down of executions as they go: entries one behind the other, each there as a whole or not at all.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::outcome::{Outcome, Usage};
use crate::request::Idempotency;

/// Bytes before an entry's body: its length or, of a piece, how many bytes that has (u32, little endian), and its kind.
const HEADER_BYTES: usize = 5;
const KIND_BEGUN: u8 = 16;
const KIND_FINISHED: u8 = 17;
const KIND_VARIABLES: u8 = 18;

/// What an execution produces, each in a file of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Stdout = 1,
    Stderr,
    /// Displays, results, exceptions, wishes for a line.
    Values,
}

pub(super) const EACH: [Which; 3] = [Which::Stdout, Which::Stderr, Which::Values];

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Begun(Begun),
    /// So many further bytes of that file belong together.
    Piece {
        which: Which,
        bytes: u32,
    },
    Finished(Finished),
    /// Variables that the interpreter was given.
    Variables(BTreeMap<String, String>),
}

/// An execution that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// In its session, from 1.
    pub(crate) number: u64,
    pub(crate) began: Moment,
    /// The same by the time of day.
    pub(crate) began_at: SystemTime,
    pub(crate) code_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stdin_bytes: Option<u64>,
    /// As on the wire.
    pub(crate) options: u64,
    pub(crate) wall_max: Duration,
    pub(crate) cpu_max: Option<Duration>,
    /// CPU time that the session had used before.
    pub(crate) cpu_before: Option<Duration>,
    /// What its control group had counted of out-of-memory kills before.
    pub(crate) kills_before: u64,
    /// How often its session had been given another interpreter.
    #[serde(default)]
    pub(crate) restarts: u32,
    /// What a client knows it by, to ask for it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) idempotency: Option<Idempotency>,
    /// Where in each file its part begins.
    pub(crate) at: [u64; 3],
}

/// How an execution has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finished {
    pub(crate) outcome: Outcome,
    pub(crate) usage: Usage,
    pub(crate) ended: Moment,
    /// The same by the time of day.
    pub(crate) ended_at: SystemTime,
    /// Of each file: what was printed beyond what is kept.
    pub(crate) dropped_bytes: [u64; 3],
}

impl Finished {
    pub(crate) fn now(outcome: Outcome, usage: Usage, dropped_bytes: [u64; 3]) -> Self {
        Self { outcome, usage, ended: Moment::now(), ended_at: SystemTime::now(), dropped_bytes }
    }
}

impl Which {
    pub(crate) fn index(self) -> usize {
        self as usize - 1
    }
}

impl Entry {
    /// Appends it to `bytes`.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let (kind, body) = match self {
            Self::Piece { which, bytes: length } => {
                bytes.extend(length.to_le_bytes());
                bytes.push(*which as u8);
                return Ok(());
            }
            Self::Begun(begun) => (KIND_BEGUN, serde_json::to_vec(begun)?),
            Self::Finished(finished) => (KIND_FINISHED, serde_json::to_vec(finished)?),
            Self::Variables(variables) => (KIND_VARIABLES, serde_json::to_vec(variables)?),
        };
        bytes.extend(u32::try_from(body.len()).map_err(io::Error::other)?.to_le_bytes());
        bytes.push(kind);
        bytes.extend(body);
        Ok(())
    }

    /// The first entry of `bytes` and how many of them it takes; none where it is not whole.
    pub(super) fn decode(bytes: &[u8]) -> io::Result<Option<(Self, usize)>> {
        let Some((&[a, b, c, d, kind], rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let length = u32::from_le_bytes([a, b, c, d]);
        if let Some(which) = EACH.into_iter().find(|which| *which as u8 == kind) {
            return Ok(Some((Self::Piece { which, bytes: length }, HEADER_BYTES)));
        }
        let Some(body) = rest.get(..length as usize) else { return Ok(None) };
        let entry = match kind {
            KIND_BEGUN => Self::Begun(serde_json::from_slice(body)?),
            KIND_FINISHED => Self::Finished(serde_json::from_slice(body)?),
            KIND_VARIABLES => Self::Variables(serde_json::from_slice(body)?),
            _ => return Err(io::Error::other(format!("an entry of unknown kind {kind}"))),
        };
        Ok(Some((entry, HEADER_BYTES + body.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive_in_any_cut() {
        let begun = Begun {
            number: u64::MAX,
            began: Moment::now(),
            began_at: SystemTime::now(),
            code_bytes: 3,
            stdin_bytes: Some(0),
            options: 3,
            wall_max: Duration::from_millis(1500),
            cpu_max: None,
            cpu_before: Some(Duration::from_nanos(1)),
            kills_before: 2,
            restarts: 1,
            idempotency: Some(Idempotency::new("key", "code", None, None)),
            at: [1, 2, u64::MAX],
        };
        let finished = Finished::now(Outcome::Interrupted, Usage::default(), [0, 1, 2]);
        let piece = Entry::Piece { which: Which::Values, bytes: u32::MAX };
        let variables = Entry::Variables(BTreeMap::from([("A".to_owned(), "b".to_owned())]));
        for entry in [Entry::Begun(begun), piece, Entry::Finished(finished), variables] {
            let mut bytes = Vec::new();
            entry.encode(&mut bytes).unwrap();
            for cut in 0..bytes.len() {
                assert!(Entry::decode(&bytes[..cut]).unwrap().is_none(), "cut at {cut}");
            }
            assert_eq!(Entry::decode(&bytes).unwrap(), Some((entry, bytes.len())));
        }
        assert!(Entry::decode(&[0, 0, 0, 0, 9]).is_err());
    }
}
