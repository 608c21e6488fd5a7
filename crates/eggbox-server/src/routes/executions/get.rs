//! `GET /v1/sessions/{id}/executions/{n}`: an execution as it is now, or, with `wait_seconds`, as it is when it has ended
//! or so much time is over.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;

use super::ExecutionPath;
use super::answer::ExecutionAnswer;
use crate::app::App;
use crate::config::{RENDER_INLINE_BYTES_MAX, WAIT_SECONDS_MAX};
use crate::error::Error;
use crate::query::Query;
use crate::routes::{json, large_json};

pub(crate) async fn get(State(app): State<Arc<App>>, path: ExecutionPath, uri: Uri) -> Result<Response, Error> {
    let query = Query::of(&uri, &["wait_seconds"])?;
    let wait = query.seconds("wait_seconds", [0.0, WAIT_SECONDS_MAX])?.unwrap_or(Duration::ZERO);
    let (executions, number) = path.find(&app).await?;
    if !wait.is_zero() {
        executions.wait(number, wait).await;
    }
    if executions.bytes(number) <= RENDER_INLINE_BYTES_MAX as u64 {
        return json(&ExecutionAnswer::new(&executions, number)?);
    }
    large_json(&app, move || ExecutionAnswer::new(&executions, number)).await
}
