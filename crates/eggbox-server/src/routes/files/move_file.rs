//! `POST /v1/sessions/{id}/file-moves`: gives a file or a folder another path.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::response::Response;
use eggbox_engine::WorkspacePath;
use serde::Deserialize;
use utoipa::ToSchema;

use super::entry::EntryAnswer;
use super::{parse_path, refused, workspace};
use crate::app::App;
use crate::body;
use crate::error::{Error, V1Body};
use crate::fields::Fields;
use crate::openapi::{BodyRefusals, V1, parameters};
use crate::routes::{self, SessionPath};

const FIELDS: [&str; 3] = ["from", "to", "replace"];

#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/file-moves",
    tag = "files",
    summary = "Move a file",
    description = "Gives a file, a folder or a link another path, and makes the folders on the way to that.",
    params(SessionPath),
    request_body = MoveFile,
    responses(
        (status = 200, description = "It is there", body = EntryAnswer),
        BodyRefusals<V1>,
        (status = 403, description = "A foreign Host or Origin, or a mode that keeps the session's user out", body = V1Body<'_>),
        (status = 404, description = "No session of that name lives, or there is nothing to move", body = V1Body<'_>),
        (status = 409, description = "Something is there already, or in the way", body = V1Body<'_>),
        (status = 507, description = "There is no space left in the workspace", body = V1Body<'_>),
    ),
)]
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

/// A request as clients are told of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a request is read field by field, so that a refusal can name the one at fault")]
struct MoveFile {
    /// What is moved.
    #[schema(schema_with = parameters::file_path)]
    from: String,
    /// Where to.
    #[schema(schema_with = parameters::file_path)]
    to: String,
    /// Whether it takes the place of what is there.
    #[schema(required = false)]
    replace: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::properties;

    #[test]
    fn clients_are_told_of_the_fields_that_are_read() {
        let mut read = FIELDS.to_vec();
        read.sort_unstable();
        assert_eq!(properties::<MoveFile>(), read);
    }
}
