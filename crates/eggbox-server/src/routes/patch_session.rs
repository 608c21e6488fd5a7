//! `PATCH /v1/sessions/{id}`: changes what a session is found by and how long it stays.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use eggbox_engine::{SessionChange, SessionLimits};

use super::SessionPath;
use super::create_session::{idle_and_life, labels};
use super::session::SessionAnswer;
use crate::app::App;
use crate::body;
use crate::error::Error;
use crate::fields::Fields;

pub(crate) async fn patch_session(
    State(app): State<Arc<App>>,
    SessionPath(id): SessionPath,
    request: Request,
) -> Result<Response, Error> {
    let (body, _room) = body::read_json(request, &app.config, &app.room).await?;
    let fields = Fields::of_body(&body, &["labels", "idle_seconds", "ttl_seconds"])?;
    let operators: SessionLimits = app.engine.limits();
    let (idle_max, life_max) = idle_and_life(&fields, operators)?;
    let change = SessionChange { labels: labels(&fields)?, idle_max, life_max };
    let view = app.engine.change(&id, change).await?.ok_or_else(|| Error::NoSession { id: id.to_string() })?;
    super::json(&SessionAnswer::new(view, &app.engine)?)
}
