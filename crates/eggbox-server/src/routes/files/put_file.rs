//! `PUT /v1/sessions/{id}/files/{path}`: a file's content, written as it arrives. There is no such file before it is whole.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{ETAG, EXPECT, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use eggbox_engine::{SessionId, Upload, WorkspaceError};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::entry::{EntryAnswer, etag};
use super::{FilePath, refused, workspace};
use crate::app::App;
use crate::body::announced_bytes;
use crate::config::{DISCARD_BYTES_MAX, ServerConfig, UPLOAD_READ_MAX};
use crate::error::{Error, V1Body};
use crate::openapi::{Binary, FileRefusals, parameters};
use crate::routes;

/// What is collected of a body before it is written, and so what an upload has in memory, beside one frame.
const PIECE_BYTES: usize = 128 * 1024;

/// What may stand in the head, as clients are told of it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "headers are read by their names")]
struct PutFile {
    /// Only where there is nothing yet.
    #[param(rename = "If-None-Match", required = false, schema_with = parameters::star)]
    if_none_match: String,
}

#[utoipa::path(
    put,
    path = "/v1/sessions/{id}/files/{*path}",
    tag = "files",
    summary = "Make a file",
    description = "Makes a file of the body, and the folders on the way to it. It takes the place of what is there, but for a \
                   folder. Before it is whole nobody sees any of it.",
    params(FilePath, PutFile),
    request_body(content = inline(Binary), content_type = "application/octet-stream", description = "What is to be in it"),
    responses(
        (status = 200, description = "It took the place of another", body = EntryAnswer,
            headers(("etag" = String, description = "The mark of this state of it"))),
        (status = 201, description = "It is new", body = EntryAnswer,
            headers(("etag" = String, description = "The mark of this state of it"))),
        FileRefusals,
        (status = 408, description = "The body took too long to arrive", body = V1Body<'_>),
        (status = 412, description = "There is something at that path", body = V1Body<'_>),
        (status = 413, description = "The body is larger than a file may be", body = V1Body<'_>),
        (status = 507, description = "There is no space left in the workspace", body = V1Body<'_>),
    ),
)]
pub(crate) async fn put_file(
    State(app): State<Arc<App>>,
    FilePath { session, path }: FilePath,
    request: Request,
) -> Result<Response, Error> {
    let (parts, mut body) = request.into_parts();
    let replace = replaces(&parts.headers)?;
    let received = async {
        let workspace = workspace(&app, &session).await?;
        let file_bytes_max = workspace.file_bytes_max();
        if announced_bytes(&parts.headers) > file_bytes_max {
            return Err(Error::Workspace(WorkspaceError::TooLarge { file_bytes_max }));
        }
        let mut upload = workspace.write(path).await.map_err(refused(&session))?;
        receive(&mut body, &mut upload, &app.config, &session).await?;
        Ok(upload)
    };
    let upload = match received.await {
        Ok(upload) => upload,
        Err(error) => {
            // A client that asks first has not sent the body yet and does not have to.
            if !parts.headers.contains_key(EXPECT) {
                discard(body, &app.config).await;
            }
            return Err(error);
        }
    };
    let (entry, is_new) = upload.finish(replace).await.map_err(|error| match error {
        WorkspaceError::Exists { path } if !replace => Error::Precondition { path },
        other => refused(&session)(other),
    })?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, [(ETAG, etag(&entry)?)], routes::json(&EntryAnswer::from(entry))?).into_response())
}

/// Whether it may take the place of another file: not where there is to be none.
fn replaces(headers: &HeaderMap) -> Result<bool, Error> {
    match headers.get(IF_NONE_MATCH) {
        None => Ok(true),
        Some(mark) if mark == "*" => Ok(false),
        Some(_) => Err(Error::OutOfRange { field: "If-None-Match".to_owned(), wanted: "`*`".to_owned() }),
    }
}

/// Writes the body to the file. A client that sends nothing for `body_read_max` has given up.
async fn receive(
    body: &mut Body,
    upload: &mut Upload,
    config: &ServerConfig,
    session: &SessionId,
) -> Result<(), Error> {
    let end = Instant::now() + UPLOAD_READ_MAX;
    let mut collected = Vec::new();
    loop {
        let deadline = end.min(Instant::now() + config.body_read_max);
        let slow = |_| {
            let seconds = if deadline == end { UPLOAD_READ_MAX } else { config.body_read_max }.as_secs();
            Error::BodySlow { seconds }
        };
        let frame = timeout_at(deadline, body.frame()).await.map_err(slow)?;
        let is_over = frame.is_none();
        if let Some(frame) = frame
            && let Ok(data) = frame.map_err(|_| Error::BodyCut)?.into_data()
        {
            collected.extend_from_slice(&data);
        }
        if collected.len() >= PIECE_BYTES || (is_over && !collected.is_empty()) {
            let piece = Bytes::from(std::mem::take(&mut collected));
            upload.append(piece).await.map_err(refused(session))?;
        }
        if is_over {
            return Ok(());
        }
    }
}

/// Reads on for a while, because a sender that is cut off while it writes may never see the answer.
async fn discard(mut body: Body, config: &ServerConfig) {
    let rest = async {
        let mut discarded_bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            discarded_bytes += frame.data_ref().map_or(0, Bytes::len);
            if discarded_bytes > DISCARD_BYTES_MAX {
                break;
            }
        }
    };
    let _ = timeout(config.body_read_max, rest).await;
}
