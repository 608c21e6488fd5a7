//! `GET /v1/sessions/{id}`: how a session is. One that has ended untold is shown with the reason, and stays untold.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::SessionPath;
use super::session::SessionAnswer;
use crate::app::App;
use crate::error::{Error, V1Body};
use crate::openapi::{Refusals, V1};

#[utoipa::path(
    get,
    path = "/v1/sessions/{id}",
    tag = "sessions",
    summary = "Look at a session",
    description = "A session as it is now. To look at it is not to use it.",
    params(SessionPath),
    responses(
        (status = 200, description = "The session", body = SessionAnswer<'_>),
        Refusals<V1>,
        (status = 400, description = "What is no name of a session", body = V1Body<'_>),
        (status = 404, description = "There is none of that name, or its end was told", body = V1Body<'_>),
    ),
)]
pub(crate) async fn get_session(State(app): State<Arc<App>>, SessionPath(id): SessionPath) -> Result<Response, Error> {
    let view = app.engine.view(&id).await.ok_or_else(|| Error::NoSession { id: id.to_string() })?;
    super::json(&SessionAnswer::new(view, &app.engine)?)
}
