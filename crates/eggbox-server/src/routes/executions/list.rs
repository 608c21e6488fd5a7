//! `GET /v1/sessions/{id}/executions`: those that are remembered and those that wait, from the oldest.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::answer::Summary;
use crate::app::App;
use crate::error::Error;
use crate::routes::{SessionPath, json};

#[derive(Debug, Serialize)]
struct List {
    executions: Vec<Summary>,
}

pub(crate) async fn list(State(app): State<Arc<App>>, SessionPath(id): SessionPath) -> Result<Response, Error> {
    let executions = super::find_session(&app, &id).await?;
    let name = id.to_string();
    let summaries = executions.list().iter().map(|progress| Summary::new(&name, progress)).collect::<Result<_, _>>()?;
    json(&List { executions: summaries })
}
