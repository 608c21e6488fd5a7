//! A server as it was at one moment.

use std::collections::BTreeMap;
use std::time::Instant;

use jiff::Timestamp;
use serde::Deserialize;

use super::exposition::Exposition;

#[derive(Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) now: Timestamp,
    /// None where the key may not read them.
    pub(super) metrics: Option<Exposition>,
    /// Most memory first.
    pub(super) sessions: Vec<Session>,
}

/// A session in the server's list; what it does not say is not shown.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) executions: u64,
    pub(super) memory_bytes: Option<u64>,
    /// Of all its processes since it began.
    pub(super) cpu_ms: Option<u64>,
    pub(super) created: Option<Timestamp>,
    pub(super) last_used: Option<Timestamp>,
    pub(super) labels: Option<BTreeMap<String, String>>,
}

impl Sample {
    pub(super) fn new(metrics: Option<Exposition>, mut sessions: Vec<Session>) -> Self {
        sessions.sort_by(|a, b| (b.memory_bytes, &a.id).cmp(&(a.memory_bytes, &b.id)));
        Self { at: Instant::now(), now: Timestamp::now(), metrics, sessions }
    }

    /// How fast a counter grows since that sample, a second; none where it began anew meanwhile.
    pub(super) fn rate(&self, before: &Self, name: &str) -> Option<f64> {
        let grown = self.metrics.as_ref()?.sum(name)? - before.metrics.as_ref()?.sum(name)?;
        let seconds = self.at.duration_since(before.at).as_secs_f64();
        (grown >= 0.0 && seconds > 0.0).then(|| grown / seconds)
    }
}
