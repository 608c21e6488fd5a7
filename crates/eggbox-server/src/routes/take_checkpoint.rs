//! `POST /v1/sessions/{id}/checkpoints`: writes down what a session is.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use eggbox_engine::SessionId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::SessionPath;
use super::checkpoints::{CheckpointAnswer, named, refusal};
use crate::app::App;
use crate::auth::Caller;
use crate::body;
use crate::error::{Error, V1Body};
use crate::fields::Fields;
use crate::openapi::{BodyRefusals, V1};

const FIELDS: [&str; 1] = ["name"];

#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/checkpoints",
    tag = "checkpoints",
    summary = "Take a checkpoint",
    description = "Writes down what a session is at its next rest between two executions, before what waits for it. Other \
                   sessions can be made from it, and this one can go back to it, until it expires or is deleted.",
    request_body = TakeCheckpoint,
    params(SessionPath),
    responses(
        (status = 201, description = "The checkpoint", body = CheckpointAnswer,
            headers(("location" = String, description = "Its path"))),
        BodyRefusals<V1>,
        (status = 404, description = "There is no session of that name", body = V1Body<'_>),
        (status = 409, description = "It has what no image can carry, or there is a checkpoint of that name", body = V1Body<'_>),
        (status = 503, description = "There is no room, or the server is ending", body = V1Body<'_>),
        (status = 507, description = "Checkpoints have taken all the space that they may", body = V1Body<'_>),
    ),
)]
pub(crate) async fn take_checkpoint(
    State(app): State<Arc<App>>,
    SessionPath(id): SessionPath,
    caller: Caller,
    request: Request,
) -> Result<Response, Error> {
    let (body, _room) = body::read_json(request, &app.config, &app.room).await?;
    let name = Fields::of_body(&body, &FIELDS)?.string("name")?.unwrap_or_else(|| SessionId::unique().to_string());
    drop(body);
    let checkpoint = named(&caller, "name", name)?;
    let shown = checkpoint.to_string();
    let view = app.engine.checkpoint(&id, checkpoint).await.map_err(|error| refusal(error, &id, &shown))?;
    let location = HeaderValue::try_from(format!("/v1/checkpoints/{}", view.id));
    let location = location.map_err(|cause| Error::Internal(cause.into()))?;
    let answer = super::json(&CheckpointAnswer::new(view)?)?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], answer).into_response())
}

/// A request as clients are told of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a request is read field by field, so that a refusal can name the one at fault")]
struct TakeCheckpoint {
    /// What no other checkpoint is called; without it one is made up.
    #[schema(required = false, pattern = "^[A-Za-z0-9._-]{1,128}$")]
    name: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::properties;

    #[test]
    fn clients_are_told_of_the_fields_that_are_read() {
        assert_eq!(properties::<TakeCheckpoint>(), FIELDS);
    }
}
