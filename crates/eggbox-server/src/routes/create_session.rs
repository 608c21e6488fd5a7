//! `POST /v1/sessions`: makes a session, as it is wanted.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use eggbox_engine::{CreateError, SessionId};

use super::session::SessionAnswer;
use super::wanted::{self, Most};
use crate::app::App;
use crate::auth::Caller;
use crate::body;
use crate::error::Error;
use crate::fields::Fields;

pub(super) const FIELDS: [&str; 6] = ["id", "limits", "labels", "env", "idle_seconds", "ttl_seconds"];

pub(crate) async fn create_session(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Error> {
    let (body, _room) = body::read_json(request, &app.config, &app.room).await?;
    let fields = Fields::of_body(&body, &FIELDS)?;
    let id = fields.string("id")?.map(SessionId::try_from).transpose();
    let id = id.map_err(|cause| Error::SessionId { field: "id", cause })?;
    let wanted = wanted::session(&fields, &Most::of(&app.engine, &caller))?;
    let named = caller.name(id.clone().unwrap_or_else(SessionId::unique));
    let view = app.engine.create(Some(named), wanted).await.map_err(|error| match error {
        CreateError::Exists => Error::SessionExists { id: id.map(|id| id.to_string()).unwrap_or_default() },
        CreateError::Refused(error) => error.into(),
    })?;
    let location = HeaderValue::try_from(format!("/v1/sessions/{}", view.id));
    let location = location.map_err(|cause| Error::Internal(cause.into()))?;
    let answer = super::json(&SessionAnswer::new(view, &app.engine)?)?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], answer).into_response())
}
