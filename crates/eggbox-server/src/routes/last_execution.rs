//! `GET /v1/sessions/{id}/executions/last`: what a session ran last, or is running now, for a client that lost its
//! connection before the answer. It stays until the next execution begins.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use eggbox_engine::{Execution, LastExecution, SessionId, Usage};
use serde::Serialize;
use utoipa::ToSchema;

use super::SessionPath;
use crate::app::App;
use crate::error::{Error, V1Body};
use crate::openapi::{self, Refusals, V1};
use crate::routes::execute::{explain, text};

#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/executions/last",
    tag = "sessions",
    summary = "What a session ran last",
    description = "What the session runs, or ran last, also where the client that asked for it is gone, and after a restart \
                   of the server.",
    params(SessionPath),
    responses(
        (status = 200, description = "The execution", body = Answer),
        Refusals<V1>,
        (status = 400, description = "What is no name of a session", body = V1Body<'_>),
        (status = 404, description = "There is no such session, or its end was told", body = V1Body<'_>),
    ),
)]
pub(crate) async fn last_execution(
    State(app): State<Arc<App>>,
    SessionPath(id): SessionPath,
) -> Result<Response, Error> {
    let engine = app.engine.clone();
    super::large_json(&app, move || {
        let last = engine.last_execution(&id)?.ok_or_else(|| Error::NoSession { id: id.to_string() })?;
        Ok(Answer::new(&id, last))
    })
    .await
}

/// What the client gets.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LastExecution, description = "The last execution of a session.")]
struct Answer {
    /// The session.
    id: String,
    #[schema(schema_with = openapi::execution_state)]
    state: &'static str,
    /// Its number in the session, from 1; 0 where none has been begun.
    execution: u64,
    stdout: String,
    stderr: String,
    /// As `POST /execute` would have answered it.
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    usage: Option<UsageAnswer>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Usage)]
struct UsageAnswer {
    wall_ms: u128,
    /// Of all processes; null where the host does not count it.
    #[schema(required = true)]
    cpu_ms: Option<u128>,
    /// The most that the session has held since it began; null where the host does not count it.
    #[schema(required = true)]
    memory_bytes_peak: Option<u64>,
}

impl Answer {
    fn new(id: &SessionId, last: LastExecution) -> Self {
        let answer = |state, execution, stdout, stderr| Self {
            id: id.to_string(),
            state,
            execution,
            stdout: text(stdout),
            stderr: text(stderr),
            error: String::new(),
            usage: None,
        };
        match last {
            LastExecution::None => answer("none", 0, Vec::new(), Vec::new()),
            LastExecution::Running { sequence, stdout, stderr } => answer("running", sequence, stdout, stderr),
            LastExecution::Finished { sequence, execution } => {
                let error = explain::error(&execution);
                let Execution { stdout, stderr, usage, .. } = execution;
                let usage = Some(UsageAnswer::from(usage));
                Self { error, usage, ..answer("finished", sequence, stdout.bytes, stderr.bytes) }
            }
        }
    }
}

impl From<Usage> for UsageAnswer {
    fn from(Usage { wall, cpu, memory_bytes_peak }: Usage) -> Self {
        Self { wall_ms: wall.as_millis(), cpu_ms: cpu.map(|cpu| cpu.as_millis()), memory_bytes_peak }
    }
}
