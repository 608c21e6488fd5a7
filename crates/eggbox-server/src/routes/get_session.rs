//! `GET /v1/sessions/{id}`: how a session is. One that has ended untold is shown with the reason, and stays untold.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::SessionPath;
use super::session::SessionAnswer;
use crate::app::App;
use crate::error::Error;

pub(crate) async fn get_session(State(app): State<Arc<App>>, SessionPath(id): SessionPath) -> Result<Response, Error> {
    let view = app.engine.view(&id).await.ok_or_else(|| Error::NoSession { id: id.to_string() })?;
    super::json(&SessionAnswer::new(view, &app.engine)?)
}
