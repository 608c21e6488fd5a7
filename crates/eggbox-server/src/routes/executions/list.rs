//! `GET /v1/sessions/{id}/executions`: those that are remembered and those that wait, from the oldest.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Summary;
use crate::app::App;
use crate::error::{Error, V1Body};
use crate::openapi::{Refusals, V1};
use crate::routes::{SessionPath, json};

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExecutionList)]
struct List {
    executions: Vec<Summary>,
}

#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/executions",
    operation_id = "list_executions",
    tag = "executions",
    summary = "List executions",
    description = "Those of a session that are kept and those that wait, from the oldest, each without what it printed and showed.",
    params(SessionPath),
    responses(
        (status = 200, description = "All of them", body = List),
        Refusals<V1>,
        (status = 400, description = "What is no name of a session", body = V1Body<'_>),
        (status = 404, description = "There is none of that name", body = V1Body<'_>),
    ),
)]
pub(crate) async fn list(State(app): State<Arc<App>>, SessionPath(id): SessionPath) -> Result<Response, Error> {
    let executions = super::find_session(&app, &id).await?;
    let name = id.to_string();
    let summaries = executions.list().iter().map(|progress| Summary::new(&name, progress)).collect::<Result<_, _>>()?;
    json(&List { executions: summaries })
}
