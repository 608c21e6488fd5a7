//! `DELETE /v1/sessions/{id}/files/{path}`: removes a file, a link or a folder, whatever the session's own code may do.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;

use super::query::Query;
use super::{FilePath, refused, workspace};
use crate::app::App;
use crate::error::Error;
use crate::openapi::FileRefusals;

/// What may stand behind the question mark, as clients are told of it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a query is read name by name, so that a refusal can name the one at fault")]
struct DeleteFile {
    /// With all that is in it, where it is a folder.
    #[param(required = false)]
    recursive: bool,
}

#[utoipa::path(
    delete,
    path = "/v1/sessions/{id}/files/{*path}",
    tag = "files",
    summary = "Remove a file",
    description = "Removes a file, a link or an empty folder.",
    params(FilePath, DeleteFile),
    responses((status = 204, description = "It is gone"), FileRefusals),
)]
pub(crate) async fn delete_file(
    State(app): State<Arc<App>>,
    FilePath { session, path }: FilePath,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, Error> {
    let recursive = Query::parse(query.as_deref(), &["recursive"])?.flag("recursive")?;
    workspace(&app, &session).await?.remove(path, recursive).await.map_err(refused(&session))?;
    Ok(StatusCode::NO_CONTENT)
}
