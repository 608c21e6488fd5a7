//! `DELETE /v1/sessions/{id}`: ends a session with all that runs in it. Its name is free then.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;

use super::SessionPath;
use crate::app::App;
use crate::error::{Error, V1Body};
use crate::openapi::{Refusals, V1};

#[utoipa::path(
    delete,
    path = "/v1/sessions/{id}",
    tag = "sessions",
    summary = "End a session",
    description = "Ends a session with all that it has started, and frees its name.",
    params(SessionPath),
    responses(
        (status = 204, description = "Its processes are gone"),
        Refusals<V1>,
        (status = 400, description = "What is no name of a session", body = V1Body<'_>),
        (status = 404, description = "There is none of that name", body = V1Body<'_>),
    ),
)]
pub(crate) async fn delete_session(
    State(app): State<Arc<App>>,
    SessionPath(id): SessionPath,
) -> Result<StatusCode, Error> {
    if app.engine.delete(&id).await { Ok(StatusCode::NO_CONTENT) } else { Err(Error::NoSession { id: id.to_string() }) }
}
