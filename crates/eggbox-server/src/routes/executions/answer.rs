//! An execution as clients see it.

use eggbox_engine::{ExecutionState, ExecutionView, Executions, Output, Progress, SessionState, Usage};
use serde::Serialize;

use super::values::Values;
use crate::error::Error;
use crate::routes::execute::{explain, text};
use crate::routes::time;

/// What is said of it wherever it is shown.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    session: String,
    execution: u64,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    #[serde(flatten)]
    end: Option<End>,
}

/// How it ended.
#[derive(Debug, Serialize)]
struct End {
    ended: String,
    outcome: &'static str,
    session_state: &'static str,
    /// What went wrong that stderr does not say, for people, as `POST /execute` says it.
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
    usage: UsageAnswer,
    dropped_bytes: DroppedBytes,
}

#[derive(Debug, Serialize)]
struct UsageAnswer {
    wall_ms: f64,
    cpu_ms: Option<f64>,
    memory_bytes_peak: Option<u64>,
}

/// Output beyond what is kept.
#[derive(Debug, Serialize)]
struct DroppedBytes {
    stdout: u64,
    stderr: u64,
    values: u64,
}

/// All of it.
#[derive(Debug, Serialize)]
pub(crate) struct ExecutionAnswer {
    #[serde(flatten)]
    summary: Summary,
    stdout: String,
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
