//! `POST /v1/sessions/{id}/file-moves`: gives a file or a folder another path.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::response::Response;
use eggbox_engine::WorkspacePath;

use super::entry::EntryAnswer;
use super::{parse_path, refused, workspace};
use crate::app::App;
use crate::body;
use crate::error::Error;
use crate::fields::Fields;
use crate::routes::{self, SessionPath};

const FIELDS: [&str; 3] = ["from", "to", "replace"];

pub(crate) async fn move_file(State(app): State<Arc<App>>, request: Request) -> Result<Response, Error> {
    let (mut parts, body) = request.into_parts();
    let SessionPath(session) = SessionPath::from_request_parts(&mut parts, &app).await?;
    let (body, _room) = body::read_json(Request::from_parts(parts, body), &app.config, &app.room).await?;
    let fields = Fields::of_body(&body, &FIELDS)?;
    let (from, to) = (path(&fields, "from")?, path(&fields, "to")?);
    let replace = fields.flag("replace")?;
    let moved = workspace(&app, &session).await?.rename(from, to, replace).await.map_err(refused(&session))?;
    routes::json(&EntryAnswer::from(moved))
}

/// A path that is not the workspace itself, which stays where it is.
fn path(fields: &Fields<'_>, field: &'static str) -> Result<WorkspacePath, Error> {
    let path = fields.string(field)?.ok_or(Error::MissingField { field, wanted: "a path in the workspace" })?;
    let path = parse_path(field, path)?;
    if path.is_root() {
        return Err(Error::Path { field, cause: eggbox_engine::WorkspacePathError::EmptyName });
    }
    Ok(path)
}
