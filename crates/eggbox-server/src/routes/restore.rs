//! `POST /v1/sessions/{id}/restore`: has a session go on from a checkpoint.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::SessionPath;
use super::checkpoints::{named, refusal};
use super::session::SessionAnswer;
use crate::app::App;
use crate::auth::Caller;
use crate::body;
use crate::error::{Error, V1Body};
use crate::fields::Fields;
use crate::openapi::{BodyRefusals, V1};

const FIELDS: [&str; 1] = ["checkpoint"];

#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/restore",
    tag = "checkpoints",
    summary = "Go back to a checkpoint",
    description = "Has a session go on from a checkpoint, of itself or of another session of its environment: with the memory and \
                   the files of that, and its own name, limits and executions. At its next rest, before what waits for it.",
    request_body = Restore,
    params(SessionPath),
    responses(
        (status = 200, description = "The session", body = SessionAnswer<'_>),
        BodyRefusals<V1>,
        (status = 404, description = "There is no session, or no checkpoint, of that name", body = V1Body<'_>),
        (status = 409, description = "It cannot go on from it, and goes on as it was", body = V1Body<'_>),
        (status = 503, description = "There is no room, or the server is ending", body = V1Body<'_>),
    ),
)]
pub(crate) async fn restore(
    State(app): State<Arc<App>>,
    SessionPath(id): SessionPath,
    caller: Caller,
    request: Request,
) -> Result<Response, Error> {
    let (body, _room) = body::read_json(request, &app.config, &app.room).await?;
    let name = Fields::of_body(&body, &FIELDS)?.string("checkpoint")?;
    drop(body);
    let name = name.ok_or(Error::MissingField { field: "checkpoint", wanted: "the name of one" })?;
    let checkpoint = named(&caller, "checkpoint", name)?;
    let restored = app.engine.restore(&id, &checkpoint).await;
    let view = restored.map_err(|error| refusal(error, &id, &checkpoint.to_string()))?;
    let view = view.ok_or_else(|| Error::NoSession { id: id.to_string() })?;
    super::json(&SessionAnswer::new(view, &app.engine)?)
}

/// A request as clients are told of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a request is read field by field, so that a refusal can name the one at fault")]
struct Restore {
    /// Its name.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,128}$")]
    checkpoint: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::properties;

    #[test]
    fn clients_are_told_of_the_fields_that_are_read() {
        assert_eq!(properties::<Restore>(), FIELDS);
    }
}
