//! `PATCH /v1/sessions/{id}`: changes what a session is found by and how long it stays.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use eggbox_engine::SessionChange;

use super::SessionPath;
use super::session::SessionAnswer;
use super::wanted::{Most, idle_and_life, labels};
use crate::app::App;
use crate::auth::Caller;
use crate::body;
use crate::error::Error;
use crate::fields::Fields;

pub(crate) async fn patch_session(
    State(app): State<Arc<App>>,
    caller: Caller,
    SessionPath(id): SessionPath,
    request: Request,
) -> Result<Response, Error> {
    let (body, _room) = body::read_json(request, &app.config, &app.room).await?;
    let fields = Fields::of_body(&body, &["labels", "idle_seconds", "ttl_seconds"])?;
    let [idle_max, life_max] = idle_and_life(&fields, &Most::of(&app.engine, &caller))?;
    let change = SessionChange { labels: labels(&fields)?, idle_max, life_max };
    let view = app.engine.change(&id, change).await?.ok_or_else(|| Error::NoSession { id: id.to_string() })?;
    super::json(&SessionAnswer::new(view, &app.engine)?)
}
