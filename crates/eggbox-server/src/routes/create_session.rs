//! `POST /v1/sessions`: makes a session, as it is wanted.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use eggbox_engine::{CreateError, SessionId};
use serde::Deserialize;
use utoipa::ToSchema;

use super::checkpoints;
use super::session::SessionAnswer;
use super::wanted::{self, Most, PolicySchema};
use crate::access_log;
use crate::app::App;
use crate::auth::Caller;
use crate::body;
use crate::error::{Error, V1Body};
use crate::fields::Fields;
use crate::openapi::{self, BodyRefusals, V1};

const FIELDS: [&str; 10] = [
    "id",
    "environment",
    "checkpoint",
    "checkpoints",
    "limits",
    "labels",
    "env",
    "policy",
    "idle_seconds",
    "ttl_seconds",
];

#[utoipa::path(
    post,
    path = "/v1/sessions",
    tag = "sessions",
    summary = "Make a session",
    description = "Makes a session that may use what is asked of the operator's limits, ready for code when it is answered.",
    request_body = CreateSession,
    responses(
        (status = 201, description = "The session", body = SessionAnswer<'_>,
            headers(("location" = String, description = "Its path"))),
        BodyRefusals<V1>,
        (status = 404, description = "There is no checkpoint of that name", body = V1Body<'_>),
        (status = 409, description = "A session of that name lives, or none can go on from the checkpoint", body = V1Body<'_>),
        (status = 422, description = "There is no such environment", body = V1Body<'_>),
        (status = 503, description = "There is no room, or the server is ending", body = V1Body<'_>),
    ),
)]
pub(crate) async fn create_session(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Error> {
    let (body, _room) = body::read_json(request, &app.config, &app.room).await?;
    let fields = Fields::of_body(&body, &FIELDS)?;
    let id = fields.string("id")?.map(SessionId::try_from).transpose();
    let id = id.map_err(|cause| Error::SessionId { field: "id", cause })?;
    let mut wanted = wanted::session(&fields, &Most::of(&app.engine, &caller))?;
    let checkpoint = fields.string("checkpoint")?;
    if let Some(name) = &checkpoint {
        if !wanted.variables.is_empty() {
            return Err(Error::VariablesOfCheckpoint);
        }
        let from = checkpoints::named(&caller, "checkpoint", name.clone())?;
        let view = app.engine.view_checkpoint(&from).ok_or_else(|| Error::NoCheckpoint { id: name.clone() })?;
        if fields.string("environment")?.is_none() {
            wanted.environment = view.environment;
        }
        wanted.from = Some(from);
    }
    let named = caller.name(id.clone().unwrap_or_else(SessionId::unique));
    let view = app.engine.create(Some(named), wanted).await.map_err(|error| match error {
        CreateError::Exists => Error::SessionExists { id: id.map(|id| id.to_string()).unwrap_or_default() },
        CreateError::NoCheckpoint => Error::NoCheckpoint { id: checkpoint.unwrap_or_default() },
        CreateError::Refused(error) => error.into(),
    })?;
    let location = HeaderValue::try_from(format!("/v1/sessions/{}", view.id));
    let location = location.map_err(|cause| Error::Internal(cause.into()))?;
    let session = access_log::noted(&view.id);
    let mut answer = super::json(&SessionAnswer::new(view, &app.engine)?)?;
    access_log::note(&mut answer, session);
    Ok((StatusCode::CREATED, [(LOCATION, location)], answer).into_response())
}

/// A request as clients are told of it; [`wanted`] reads it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(description = "What a session is to be like. Every field can be left out.")]
#[expect(dead_code, reason = "a request is read field by field, so that a refusal can name the one at fault")]
struct CreateSession {
    /// Its name; without it a new one is made.
    #[schema(required = false, pattern = "^[A-Za-z0-9._-]{1,128}$")]
    id: String,
    /// Of those that the server has for whoever asks; without it the first of them, which is mostly `default`.
    #[schema(required = false, schema_with = openapi::environment)]
    environment: String,
    /// The checkpoint that it goes on from, with its memory and its files; it has its labels, too, where none are given.
    #[schema(required = false, pattern = "^[A-Za-z0-9._-]{1,128}$")]
    checkpoint: String,
    /// Whether it takes checkpoints by itself: when nobody has used it for a moment, or before each execution, which is undone
    /// where it ends the interpreter. As the operator has it where it is left out.
    #[schema(required = false, schema_with = openapi::checkpoints)]
    checkpoints: String,
    #[schema(required = false)]
    limits: CreateLimits,
    /// To find it by.
    #[schema(required = false, schema_with = openapi::labels)]
    labels: BTreeMap<String, String>,
    /// Variables beside those that every session has.
    #[schema(required = false, schema_with = openapi::variables)]
    env: BTreeMap<String, String>,
    #[schema(required = false)]
    policy: PolicySchema,
    /// How long it is kept while nobody uses it.
    #[schema(required = false)]
    idle_seconds: f64,
    /// How old it may get.
    #[schema(required = false)]
    ttl_seconds: f64,
}

/// What it may use: no more than the operator's limits, which are also what holds where a field is left out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "as above")]
pub(super) struct CreateLimits {
    /// Wall time of an execution.
    #[schema(required = false)]
    wall_seconds: f64,
    /// CPU time of an execution, of all its processes together.
    #[schema(required = false)]
    cpu_seconds: f64,
    #[schema(required = false)]
    memory_bytes: u64,
    /// Processes and threads.
    #[schema(required = false)]
    processes: u32,
    /// What is kept of either stream of an execution.
    #[schema(required = false)]
    output_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::properties;

    #[test]
    fn clients_are_told_of_the_fields_that_are_read() {
        for (told, mut read) in
            [(properties::<CreateSession>(), FIELDS.to_vec()), (properties::<CreateLimits>(), wanted::LIMITS.to_vec())]
        {
            read.sort_unstable();
            assert_eq!(told, read);
        }
    }
}
