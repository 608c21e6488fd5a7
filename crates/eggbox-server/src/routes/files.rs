//! The files of a session's workspace, under `/v1/sessions/{id}/files`: one file per route, and what they share.

pub(crate) mod list_files;
pub(crate) mod get_file;
pub(crate) mod put_file;
pub(crate) mod delete_file;
pub(crate) mod move_file;
pub(crate) mod get_archive;
mod entry;
mod query;
mod range;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use eggbox_engine::{SessionId, Workspace, WorkspaceError, WorkspacePath, WorkspacePathError};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use crate::app::App;
use crate::auth::Caller;
use crate::error::Error;
use crate::openapi::parameters;

/// Which sites' pages may have it among their own parts.
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The session and the file that a path names, the former among those of whoever sends the request.
#[derive(Debug)]
pub(crate) struct FilePath {
    session: SessionId,
    path: WorkspacePath,
}

impl<S: Send + Sync> FromRequestParts<S> for FilePath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let not_utf8 = |_| Error::Path { field: "path", cause: WorkspacePathError::NotUtf8 };
        let found = RawPathParams::from_request_parts(parts, state).await.map_err(not_utf8)?;
        let [mut session, mut path] = [String::new(), String::new()];
        for (name, value) in &found {
            match name {
                "id" => value.clone_into(&mut session),
                _ => value.clone_into(&mut path),
            }
        }
        let session = SessionId::try_from(session).map_err(|cause| Error::SessionId { field: "id", cause })?;
        Ok(Self { session: caller.name(session), path: parse_path("path", path)? })
    }
}

impl IntoParams for FilePath {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![parameters::session_id(), parameters::file()]
    }
}

/// The path in the workspace that a field gives.
fn parse_path(field: &'static str, path: String) -> Result<WorkspacePath, Error> {
    WorkspacePath::try_from(path).map_err(|cause| Error::Path { field, cause })
}

/// The workspace of a session that lives.
async fn workspace(app: &App, session: &SessionId) -> Result<Workspace, Error> {
    app.engine.workspace(session).await?.ok_or_else(|| Error::NoSession { id: session.to_string() })
}

/// What a client gets to hear of an error in that session's workspace.
pub(super) fn refused(session: &SessionId) -> impl Fn(WorkspaceError) -> Error {
    move |error| match error {
        WorkspaceError::Gone => Error::NoSession { id: session.to_string() },
        WorkspaceError::Internal(_) => Error::Internal(error.into()),
        other => Error::Workspace(other),
    }
}

/// For content that code has made: a browser neither shows it nor makes anything of it, and nobody keeps it without asking
/// again.
fn set_download_headers(headers: &mut HeaderMap, name: &str) -> Result<(), Error> {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    let disposition = format!("attachment; filename*=UTF-8''{}", utf8_percent_encode(name, NON_ALPHANUMERIC));
    let disposition = HeaderValue::try_from(disposition).map_err(|cause| Error::Internal(cause.into()))?;
    headers.insert(CONTENT_DISPOSITION, disposition);
    Ok(())
}
