//! `DELETE /v1/sessions/{id}/executions/{n}` and `POST /v1/sessions/{id}/interrupt`: an execution is given up while it
//! waits, or has KeyboardInterrupt raised in it while it runs. Its session stays.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::ExecutionPath;
use crate::app::App;
use crate::error::Error;
use crate::routes::{SessionPath, json};

#[derive(Debug, Serialize)]
struct Interrupted {
    session: String,
    /// The execution; none where nothing ran.
    execution: Option<u64>,
}

pub(crate) async fn interrupt_one(State(app): State<Arc<App>>, path: ExecutionPath) -> Result<Response, Error> {
    let (executions, number) = path.find(&app).await?;
    let session = executions.session().to_string();
    if executions.get(number).is_none() {
        return Err(super::no_execution(&executions, number));
    }
    if !executions.interrupt(number) {
        return Err(Error::NotRunning { execution: number });
    }
    let answer = json(&Interrupted { session, execution: Some(number) })?;
    Ok((StatusCode::ACCEPTED, answer).into_response())
}

pub(crate) async fn interrupt(State(app): State<Arc<App>>, SessionPath(id): SessionPath) -> Result<Response, Error> {
    let executions = super::find_session(&app, &id).await?;
    let execution = executions.running().filter(|number| executions.interrupt(*number));
    let answer = json(&Interrupted { session: id.to_string(), execution })?;
    Ok((StatusCode::ACCEPTED, answer).into_response())
}
