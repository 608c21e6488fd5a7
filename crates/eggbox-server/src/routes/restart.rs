//! `POST /v1/sessions/{id}/restart`: a fresh interpreter, with the files, the name and the past of the one before.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::SessionPath;
use super::session::SessionAnswer;
use crate::app::App;
use crate::error::{Error, V1Body};
use crate::openapi::{Refusals, V1};

#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/restart",
    tag = "sessions",
    summary = "Give a session a fresh interpreter",
    description = "Its variables are gone; its files, limits, labels, environment and executions stay. What runs is ended, what \
                   waits runs in the new one.",
    params(SessionPath),
    responses(
        (status = 200, description = "The session", body = SessionAnswer<'_>),
        Refusals<V1>,
        (status = 400, description = "What is no name of a session", body = V1Body<'_>),
        (status = 404, description = "There is none of that name", body = V1Body<'_>),
        (status = 409, description = "Its files cannot be brought along", body = V1Body<'_>),
        (status = 503, description = "The server is ending", body = V1Body<'_>),
    ),
)]
pub(crate) async fn restart(State(app): State<Arc<App>>, SessionPath(id): SessionPath) -> Result<Response, Error> {
    let view = app.engine.restart(&id).await?.ok_or_else(|| Error::NoSession { id: id.to_string() })?;
    super::json(&SessionAnswer::new(view, &app.engine)?)
}
