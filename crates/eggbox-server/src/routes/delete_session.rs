//! `DELETE /v1/sessions/{id}`: ends a session with all that runs in it. Its name is free then.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use eggbox_engine::SessionId;

use crate::app::App;
use crate::error::Error;

pub(crate) async fn delete_session(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<StatusCode, Error> {
    let id = SessionId::try_from(id).map_err(|cause| Error::SessionId { field: "id", cause })?;
    if app.engine.delete(&id).await { Ok(StatusCode::NO_CONTENT) } else { Err(Error::NoSession { id: id.to_string() }) }
}
