//! `POST /v1/sessions/{id}/hibernate`: puts a session on the disk until somebody asks for it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::SessionPath;
use super::checkpoints::refusal;
use super::session::SessionAnswer;
use crate::app::App;
use crate::error::{Error, V1Body};
use crate::openapi::{Refusals, V1};

#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/hibernate",
    tag = "checkpoints",
    summary = "Hibernate a session",
    description = "Puts a session on the disk, at its next rest before what waits for it, where it takes no memory. Whatever asks \
                   for it wakes it, but for looking at it.",
    params(SessionPath),
    responses(
        (status = 200, description = "The session", body = SessionAnswer<'_>),
        Refusals<V1>,
        (status = 400, description = "What is no name of a session", body = V1Body<'_>),
        (status = 404, description = "There is no session of that name", body = V1Body<'_>),
        (status = 409, description = "It has what no image can carry, and stays as it was", body = V1Body<'_>),
        (status = 503, description = "There is no room, or the server is ending", body = V1Body<'_>),
        (status = 507, description = "Checkpoints have taken all the space that they may", body = V1Body<'_>),
    ),
)]
pub(crate) async fn hibernate(State(app): State<Arc<App>>, SessionPath(id): SessionPath) -> Result<Response, Error> {
    let view = app.engine.hibernate(&id).await.map_err(|error| refusal(error, &id, ""))?;
    let view = view.ok_or_else(|| Error::NoSession { id: id.to_string() })?;
    super::json(&SessionAnswer::new(view, &app.engine)?)
}
