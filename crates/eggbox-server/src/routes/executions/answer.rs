//! An execution as clients see it.

use eggbox_engine::{ExecutionState, ExecutionView, Executions, Output, Progress, SessionState, Usage};
use serde::Serialize;
use utoipa::ToSchema;

use super::values::Values;
use crate::error::Error;
use crate::openapi;
use crate::routes::execute::{explain, text};
use crate::routes::time;

/// What is said of it wherever it is shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExecutionSummary)]
pub(super) struct Summary {
    session: String,
    /// Its number in the session, from 1.
    execution: u64,
    #[schema(schema_with = openapi::execution_state)]
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    started: Option<String>,
    #[serde(flatten)]
    #[schema(value_type = End)]
    end: Option<End>,
}

/// How it ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExecutionEnd, description = "Nothing of this is there before it has finished.")]
struct End {
    #[schema(format = DateTime, required = false)]
    ended: String,
    #[schema(schema_with = openapi::outcome, required = false)]
    outcome: &'static str,
    /// Whether the session outlived it.
    #[schema(schema_with = openapi::state_after, required = false)]
    session_state: &'static str,
    /// What went wrong that stderr does not say, for people, as `POST /execute` says it.
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
    #[schema(required = false)]
    usage: UsageAnswer,
    #[schema(required = false)]
    dropped_bytes: DroppedBytes,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Usage)]
struct UsageAnswer {
    wall_ms: f64,
    /// Of all its processes together; null where the host does not count it.
    #[schema(required = true)]
    cpu_ms: Option<f64>,
    /// The most that the session has held since it began; null where that is not known.
    #[schema(required = true)]
    memory_bytes_peak: Option<u64>,
}

/// Output beyond what is kept.
#[derive(Debug, Serialize, ToSchema)]
struct DroppedBytes {
    stdout: u64,
    stderr: u64,
    values: u64,
}

/// All of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Execution, description = "An execution as it is now.")]
pub(crate) struct ExecutionAnswer {
    #[serde(flatten)]
    summary: Summary,
    /// Of one that runs: so far.
    stdout: String,
    /// Of one that runs: so far.
    stderr: String,
    #[serde(flatten)]
    values: Values,
}

pub(super) fn number_of(progress: &Progress) -> u64 {
    match progress {
        Progress::Queued { number } => *number,
        Progress::Begun(view) => view.number,
    }
}

impl Summary {
    pub(super) fn new(session: &str, progress: &Progress) -> Result<Self, Error> {
        let (session, execution) = (session.to_owned(), number_of(progress));
        let view = match progress {
            Progress::Queued { .. } => {
                return Ok(Self { session, execution, state: "queued", started: None, end: None });
            }
            Progress::Begun(view) => view,
        };
        let (state, end) = match &view.state {
            ExecutionState::Running => ("running", None),
            ExecutionState::Finished {
                outcome,
                usage,
                ended_at,
                kept_bytes,
                dropped_bytes: [stdout, stderr, values],
            } => {
                let end = End {
                    ended: time(*ended_at)?,
                    outcome: outcome.kind(),
                    session_state: match outcome.state() {
                        SessionState::Kept => "kept",
                        SessionState::Lost => "lost",
                        SessionState::Rewound => "rewound",
                    },
                    error: explain::error(outcome, [(kept_bytes[0], *stdout), (kept_bytes[1], *stderr)]),
                    usage: UsageAnswer::from(*usage),
                    dropped_bytes: DroppedBytes { stdout: *stdout, stderr: *stderr, values: *values },
                };
                ("finished", Some(end))
            }
        };
        Ok(Self { session, execution, state, started: Some(time(view.began_at)?), end })
    }
}

impl ExecutionAnswer {
    /// As it is now.
    pub(super) fn new(executions: &Executions, number: u64) -> Result<Self, Error> {
        let progress = executions.get(number).ok_or_else(|| super::no_execution(executions, number))?;
        let summary = Summary::new(&executions.session().to_string(), &progress)?;
        let Progress::Begun(ExecutionView { state, .. }) = progress else {
            return Ok(Self { summary, stdout: String::new(), stderr: String::new(), values: Values::default() });
        };
        let [stdout, stderr] = executions.output(number)?.map(|Output { bytes, .. }| text(bytes));
        let values = Values::new(executions.values(number)?, state == ExecutionState::Running);
        Ok(Self { summary, stdout, stderr, values })
    }
}

impl From<Usage> for UsageAnswer {
    fn from(Usage { wall, cpu, memory_bytes_peak }: Usage) -> Self {
        let millis = |time: std::time::Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        Self { wall_ms: millis(wall), cpu_ms: cpu.map(millis), memory_bytes_peak }
    }
}
