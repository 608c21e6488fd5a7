//! `PATCH /v1/sessions/{id}`: changes what a session is found by and how long it stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use eggbox_engine::SessionChange;
use serde::Deserialize;
use utoipa::ToSchema;

use super::SessionPath;
use super::session::SessionAnswer;
use super::wanted::{Most, checkpoints, idle_and_life, labels};
use crate::app::App;
use crate::auth::Caller;
use crate::body;
use crate::error::{Error, V1Body};
use crate::fields::Fields;
use crate::openapi::{BodyRefusals, V1};

const FIELDS: [&str; 4] = ["labels", "checkpoints", "idle_seconds", "ttl_seconds"];

#[utoipa::path(
    patch,
    path = "/v1/sessions/{id}",
    tag = "sessions",
    summary = "Change a session",
    description = "Changes what a session is found by and how long it stays. What is left out stays as it is.",
    params(SessionPath),
    request_body = ChangeSession,
    responses(
        (status = 200, description = "The session", body = SessionAnswer<'_>),
        BodyRefusals<V1>,
        (status = 404, description = "No session of that name lives", body = V1Body<'_>),
        (status = 409, description = "It is hibernated and cannot be woken", body = V1Body<'_>),
    ),
)]
pub(crate) async fn patch_session(
    State(app): State<Arc<App>>,
    caller: Caller,
    SessionPath(id): SessionPath,
    request: Request,
) -> Result<Response, Error> {
    let (body, _room) = body::read_json(request, &app.config, &app.room).await?;
    let fields = Fields::of_body(&body, &FIELDS)?;
    let [idle_max, life_max] = idle_and_life(&fields, &Most::of(&app.engine, &caller))?;
    let change = SessionChange { labels: labels(&fields)?, checkpoints: checkpoints(&fields)?, idle_max, life_max };
    let view = app.engine.change(&id, change).await?.ok_or_else(|| Error::NoSession { id: id.to_string() })?;
    super::json(&SessionAnswer::new(view, &app.engine)?)
}

/// A request as clients are told of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(description = "What is to be different. Every field can be left out.")]
#[expect(dead_code, reason = "a request is read field by field, so that a refusal can name the one at fault")]
struct ChangeSession {
    /// Those that it has are replaced by these.
    #[schema(required = false, schema_with = crate::openapi::labels)]
    labels: BTreeMap<String, String>,
    /// Whether it takes checkpoints by itself.
    #[schema(required = false, schema_with = crate::openapi::checkpoints)]
    checkpoints: String,
    /// How long it is kept while nobody uses it.
    #[schema(required = false)]
    idle_seconds: f64,
    /// How old it may get.
    #[schema(required = false)]
    ttl_seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::properties;

    #[test]
    fn clients_are_told_of_the_fields_that_are_read() {
        assert_eq!(properties::<ChangeSession>(), ["checkpoints", "idle_seconds", "labels", "ttl_seconds"]);
        assert!(FIELDS.iter().all(|field| properties::<ChangeSession>().iter().any(|told| told == field)));
    }
}
