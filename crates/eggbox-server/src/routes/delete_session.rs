//! `DELETE /v1/sessions/{id}`: ends a session with all that runs in it. Its name is free then.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;

use super::SessionPath;
use crate::app::App;
use crate::error::Error;

pub(crate) async fn delete_session(
    State(app): State<Arc<App>>,
    SessionPath(id): SessionPath,
) -> Result<StatusCode, Error> {
    if app.engine.delete(&id).await { Ok(StatusCode::NO_CONTENT) } else { Err(Error::NoSession { id: id.to_string() }) }
}
