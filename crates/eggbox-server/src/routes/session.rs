//! A session as clients see it: what `POST /v1/sessions` and `GET /v1/sessions/{id}` answer with.

use std::time::SystemTime;

use eggbox_engine::{Engine, SessionFacts, SessionLimits, SessionView, ViewState};
use eggbox_sandbox::status::Status;
use jiff::Timestamp;
use serde::Serialize;

use super::execute::explain;
use crate::error::Error;

#[derive(Debug, Serialize)]
pub(super) struct SessionAnswer<'a> {
    id: String,
    state: &'static str,
    /// Why it has ended, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(flatten)]
    facts: Option<Facts<'a>>,
}

#[derive(Debug, Serialize)]
struct Reason {
    code: &'static str,
    message: String,
}

#[derive(Debug, Serialize)]
struct Facts<'a> {
    limits: Limits,
    idle_seconds: f64,
    ttl_seconds: f64,
    executions: u64,
    created: String,
    last_used: String,
    expires: Option<String>,
    memory_bytes: Option<u64>,
    memory_bytes_peak: Option<u64>,
    isolation: Option<&'a Status>,
}

#[derive(Debug, Serialize)]
struct Limits {
    wall_seconds: f64,
    cpu_seconds: Option<f64>,
    memory_bytes: u64,
    processes: u32,
    output_bytes: usize,
}

impl<'a> SessionAnswer<'a> {
    pub(super) fn new(view: SessionView, engine: &'a Engine) -> Result<Self, Error> {
        let (state, reason) = match &view.state {
            ViewState::Idle => ("idle", None),
            ViewState::Running => ("running", None),
            ViewState::Ended(death) => {
                ("ended", Some(Reason { code: explain::code(death), message: explain::describe(death) }))
            }
        };
        let facts = view.facts.map(|facts| Facts::new(&facts, engine.status())).transpose()?;
        Ok(Self { id: view.id.to_string(), state, reason, facts })
    }
}

impl<'a> Facts<'a> {
    fn new(facts: &SessionFacts, isolation: &'a Status) -> Result<Self, Error> {
        let SessionLimits { wall_max, cpu_max, memory_bytes_max, processes_max, output_bytes_max, idle_max, life_max } =
            facts.limits;
        Ok(Self {
            limits: Limits {
                wall_seconds: wall_max.as_secs_f64(),
                cpu_seconds: cpu_max.map(|cpu_max| cpu_max.as_secs_f64()),
                memory_bytes: memory_bytes_max,
                processes: processes_max,
                output_bytes: output_bytes_max,
            },
            idle_seconds: idle_max.as_secs_f64(),
            ttl_seconds: life_max.as_secs_f64(),
            executions: facts.executions,
            created: time(facts.created)?,
            last_used: time(facts.last_used)?,
            expires: facts.expires.map(time).transpose()?,
            memory_bytes: facts.memory_bytes,
            memory_bytes_peak: facts.memory_bytes_peak,
            isolation: facts.is_behind_this_wall.then_some(isolation),
        })
    }
}

/// A time as RFC 3339 has it, in UTC, to the millisecond.
fn time(time: SystemTime) -> Result<String, Error> {
    let timestamp = Timestamp::try_from(time).map_err(|cause| Error::Internal(cause.into()))?;
    Ok(format!("{timestamp:.3}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_is_in_utc_and_has_three_digits_of_a_second() {
        for (millis, text) in [(0, "1970-01-01T00:00:00.000Z"), (1_700_000_000_120, "2023-11-14T22:13:20.120Z")] {
            assert_eq!(time(SystemTime::UNIX_EPOCH + Duration::from_millis(millis)).unwrap(), text);
        }
    }
}
