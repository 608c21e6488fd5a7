//! `GET /health`: that the server answers, and what stands of the wall.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use eggbox_sandbox::status::Status;
use serde::Serialize;

use crate::app::App;
use crate::error::Error;

#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    version: &'static str,
    isolation: &'a Status,
}

pub(crate) async fn health(State(app): State<Arc<App>>) -> Result<Response, Error> {
    super::json(&Health { status: "ok", version: env!("CARGO_PKG_VERSION"), isolation: app.engine.status() })
}
