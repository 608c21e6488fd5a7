//! A session as clients see it: what `POST /v1/sessions` and `GET /v1/sessions/{id}` answer with.

use std::time::SystemTime;

use eggbox_engine::{Engine, SessionFacts, SessionLimits, SessionView, ViewState};
use eggbox_sandbox::status::Status;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::execute::explain;
use crate::error::Error;
use crate::openapi;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session, description = "A session as it is now.")]
pub(super) struct SessionAnswer<'a> {
    id: String,
    #[schema(schema_with = openapi::session_state)]
    state: &'static str,
    /// Why it has ended, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<Reason>,
    #[serde(flatten)]
    #[schema(value_type = Facts<'_>)]
    facts: Option<Facts<'a>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EndReason)]
struct Reason {
    #[schema(schema_with = openapi::death)]
    code: &'static str,
    message: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SessionFacts, description = "Of a session that ended long ago, with many others after it, nothing of this is there.")]
struct Facts<'a> {
    #[schema(required = false)]
    limits: Limits,
    /// How long it is kept while nobody uses it.
    #[schema(required = false)]
    idle_seconds: f64,
    /// How old it may get.
    #[schema(required = false)]
    ttl_seconds: f64,
    /// How many were begun.
    #[schema(required = false)]
    executions: u64,
    #[schema(format = DateTime, required = false)]
    created: String,
    #[schema(format = DateTime, required = false)]
    last_used: String,
    /// Null of one that has ended.
    #[schema(format = DateTime, required = false)]
    expires: Option<String>,
    /// Null where that is not known.
    #[schema(required = false)]
    memory_bytes: Option<u64>,
    /// Null where that is not known.
    #[schema(required = false)]
    memory_bytes_peak: Option<u64>,
    /// Null of one that has ended, or was begun by a server with other settings.
    #[schema(value_type = Option<Vec<openapi::LayerSchema>>, required = false)]
    isolation: Option<&'a Status>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SessionLimits)]
struct Limits {
    wall_seconds: f64,
    /// Null where there is none beside wall time.
    #[schema(required = true)]
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
