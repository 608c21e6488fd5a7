//! `GET /v1/sessions/{id}/files.tar`: a folder of the workspace as a tar archive, made as it is sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{RawQuery, State};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use eggbox_engine::{Archive, WorkspaceError};
use hyper::body::Frame;

use super::list_files::folder;
use super::query::Query;
use super::{refused, set_download_headers, workspace};
use crate::app::App;
use crate::error::Error;
use crate::openapi::{Binary, FileRefusals, parameters};
use crate::routes::SessionPath;

/// What may stand behind the question mark, as clients are told of it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a query is read name by name, so that a refusal can name the one at fault")]
struct GetArchive {
    /// The folder; all of /workspace where it is left out.
    #[param(required = false, schema_with = parameters::folder_path)]
    path: String,
}

#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/files.tar",
    tag = "files",
    summary = "Get a folder",
    description = "A folder as a tar archive of regular files, folders and links. One that ends without its last piece has failed.",
    params(SessionPath, GetArchive),
    responses((status = 200, description = "The archive", body = inline(Binary), content_type = "application/x-tar"), FileRefusals),
)]
pub(crate) async fn get_archive(
    State(app): State<Arc<App>>,
    SessionPath(session): SessionPath,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let path = folder(&Query::parse(query.as_deref(), &["path"])?)?;
    let name = if path.is_root() { session.as_str() } else { path.name() };
    let name = format!("{name}.tar");
    let archive = workspace(&app, &session).await?.archive(path).await.map_err(refused(&session))?;
    let mut answer = Body::new(Content { archive }).into_response();
    set_download_headers(answer.headers_mut(), &name)?;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    Ok(answer)
}

/// An archive as a body of a length that nobody knows before: where it fails, its client sees that it is cut.
struct Content {
    archive: Archive,
}

impl HttpBody for Content {
    type Data = Bytes;
    type Error = WorkspaceError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WorkspaceError>>> {
        let polled = self.archive.poll_next(context);
        if let Poll::Ready(Some(Err(WorkspaceError::Internal(cause)))) = &polled {
            // It is too late for an answer that says so.
            tracing::error!(%cause, "failed to finish an archive");
        }
        polled.map_ok(Frame::data)
    }
}
