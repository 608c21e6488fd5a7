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
use crate::config::WAIT_SECONDS_MAX;
use crate::error::{Error, V1Body};
use crate::openapi::{Refusals, V1};
use crate::query::Query;
use crate::routes::json_of_size;

/// How long to wait, as clients are told of it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a query is read name by name, so that a refusal can name the one at fault")]
struct Wait {
    /// Until it has ended, or so much time is over.
    #[param(required = false, minimum = 0, maximum = 300)]
    wait_seconds: f64,
}

#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/executions/{n}",
    operation_id = "get_execution",
    tag = "executions",
    summary = "Look at an execution",
    description = "An execution as it is now, or as it is when it has ended.",
    params(ExecutionPath, Wait),
    responses(
        (status = 200, description = "The execution", body = ExecutionAnswer),
        Refusals<V1>,
        (status = 400, description = "What is no name of a session, or a parameter that cannot be taken", body = V1Body<'_>),
        (status = 404, description = "There is no such session, or no such execution in it", body = V1Body<'_>),
        (status = 410, description = "It is not kept any more", body = V1Body<'_>),
    ),
)]
pub(crate) async fn get(State(app): State<Arc<App>>, path: ExecutionPath, uri: Uri) -> Result<Response, Error> {
    let query = Query::of(&uri, &["wait_seconds"])?;
    let wait = query.seconds("wait_seconds", [0.0, WAIT_SECONDS_MAX])?.unwrap_or(Duration::ZERO);
    let (executions, number) = path.find(&app).await?;
    if !wait.is_zero() {
        executions.wait(number, wait).await;
    }
    json_of_size(&app, executions.bytes(number), move || ExecutionAnswer::new(&executions, number)).await
}

#[cfg(test)]
mod tests {
    use utoipa::IntoParams;

    use super::*;

    #[test]
    fn clients_are_told_how_long_they_may_wait() {
        let wait = &serde_json::to_value(Wait::into_params(|| None)).unwrap()[0];
        assert_eq!(wait["name"], "wait_seconds");
        assert_eq!(wait["schema"]["maximum"].as_f64(), Some(WAIT_SECONDS_MAX));
    }
}
