//! `DELETE /v1/sessions/{id}/files/{path}`: removes a file, a link or a folder, whatever the session's own code may do.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;

use super::query::Query;
use super::{FilePath, refused, workspace};
use crate::app::App;
use crate::error::Error;

pub(crate) async fn delete_file(
    State(app): State<Arc<App>>,
    FilePath { session, path }: FilePath,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, Error> {
    let recursive = Query::parse(query.as_deref(), &["recursive"])?.flag("recursive")?;
    workspace(&app, &session).await?.remove(path, recursive).await.map_err(refused(&session))?;
    Ok(StatusCode::NO_CONTENT)
}
