//! `DELETE /v1/sessions/{id}/executions/{n}` and `POST /v1/sessions/{id}/interrupt`: an execution is given up while it
//! waits, or has KeyboardInterrupt raised in it while it runs. Its session stays.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::ExecutionPath;
use crate::app::App;
use crate::error::{Error, V1Body};
use crate::openapi::{Refusals, V1};
use crate::routes::{SessionPath, json};

#[derive(Debug, Serialize, ToSchema)]
struct Interrupted {
    session: String,
    /// The execution; none where nothing ran.
    #[schema(required = true)]
    execution: Option<u64>,
}

#[utoipa::path(
    delete,
    path = "/v1/sessions/{id}/executions/{n}",
    operation_id = "interrupt_execution",
    tag = "executions",
    summary = "End an execution",
    description = "Gives it up where it waits, and raises KeyboardInterrupt in it where it runs.",
    params(ExecutionPath),
    responses(
        (status = 202, description = "It is being ended", body = Interrupted),
        Refusals<V1>,
        (status = 400, description = "What is no name of a session", body = V1Body<'_>),
        (status = 404, description = "There is no such session, or no such execution in it", body = V1Body<'_>),
        (status = 409, description = "It has ended", body = V1Body<'_>),
    ),
)]
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

#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/interrupt",
    operation_id = "interrupt_session",
    tag = "executions",
    summary = "Interrupt what runs in a session",
    description = "Raises KeyboardInterrupt in the execution that runs. Those that wait go on afterwards.",
    params(SessionPath),
    responses(
        (status = 202, description = "It is being interrupted, if there is one", body = Interrupted),
        Refusals<V1>,
        (status = 400, description = "What is no name of a session", body = V1Body<'_>),
        (status = 404, description = "There is none of that name", body = V1Body<'_>),
    ),
)]
pub(crate) async fn interrupt(State(app): State<Arc<App>>, SessionPath(id): SessionPath) -> Result<Response, Error> {
    let executions = super::find_session(&app, &id).await?;
    let execution = executions.running().filter(|number| executions.interrupt(*number));
    let answer = json(&Interrupted { session: id.to_string(), execution })?;
    Ok((StatusCode::ACCEPTED, answer).into_response())
}
