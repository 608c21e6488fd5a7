//! `GET` and `HEAD /v1/sessions/{id}/files/{path}`: a file's content, or one range of it, read as it is sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use eggbox_engine::Download;
use hyper::body::{Frame, SizeHint};

use super::range::Wanted;
use super::{FilePath, entry, refused, set_download_headers, workspace};
use crate::app::App;
use crate::error::{Error, V1Body};
use crate::openapi::{Binary, FileRefusals};

/// What is read of a file at once, and so what an answer has in memory.
const PIECE_BYTES: usize = 128 * 1024;

/// What may stand in the head, as clients are told of it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "headers are read by their names")]
struct GetFile {
    /// Which bytes of it, such as `bytes=0-99`. What is no single range is ignored.
    #[param(rename = "Range", required = false)]
    range: String,
    /// An `ETag`: of another state of the file all of it is sent, whatever the range.
    #[param(rename = "If-Range", required = false)]
    if_range: String,
    /// `ETag`s of what the client has.
    #[param(rename = "If-None-Match", required = false)]
    if_none_match: String,
}

#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/files/{*path}",
    tag = "files",
    summary = "Get a file",
    description = "The content of a regular file, or a part of it. A connection that ends early is how it is told that the file \
                   has become shorter meanwhile.",
    params(FilePath, GetFile),
    responses(
        (status = 200, description = "All of it", body = inline(Binary), content_type = "application/octet-stream",
            headers(("etag" = String, description = "Another one after every change"))),
        (status = 206, description = "The bytes that were asked for", body = inline(Binary),
            content_type = "application/octet-stream",
            headers(
                ("etag" = String, description = "As of a 200"),
                ("content-range" = String, description = "Which they are, of how many"),
            )),
        (status = 304, description = "The client has it as it is",
            headers(("etag" = String, description = "As of a 200"))),
        FileRefusals,
        (status = 416, description = "The range is behind the end of the file", body = V1Body<'_>,
            headers(("content-range" = String, description = "How long it is"))),
    ),
)]
pub(crate) async fn get_file(
    State(app): State<Arc<App>>,
    FilePath { session, path }: FilePath,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let name = path.name().to_owned();
    let download = workspace(&app, &session).await?.read(path).await.map_err(refused(&session))?;
    let (bytes, etag) = (download.entry.bytes, entry::etag(&download.entry)?);
    let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if header(IF_NONE_MATCH).is_some_and(|marks| names_mark(marks, &etag)) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response());
    }
    let is_still_this = headers.get(IF_RANGE).is_none_or(|mark| *mark == etag);
    let wanted = if is_still_this { Wanted::of(header(RANGE), bytes) } else { Wanted::All };
    let (status, part) = match wanted {
        Wanted::All => (StatusCode::OK, 0..bytes),
        Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        Wanted::Nothing => {
            let mut refusal = Error::Range { bytes }.into_response();
            refusal.headers_mut().insert(CONTENT_RANGE, value(format!("bytes */{bytes}"))?);
            return Ok(refusal);
        }
    };
    let mut answer = status.into_response();
    let headers = answer.headers_mut();
    set_download_headers(headers, &name)?;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(ETAG, etag);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
    if status == StatusCode::PARTIAL_CONTENT {
        headers.insert(CONTENT_RANGE, value(format!("bytes {}-{}/{bytes}", part.start, part.end - 1))?);
    }
    *answer.body_mut() = Body::new(Content { download, offset: part.start, end: part.end, reading: None });
    Ok(answer)
}

fn value(text: String) -> Result<HeaderValue, Error> {
    HeaderValue::try_from(text).map_err(|cause| Error::Internal(cause.into()))
}

/// Whether a list of marks has this one, or is the star that stands for all.
fn names_mark(marks: &str, etag: &HeaderValue) -> bool {
    // Weak ones are compared as if they were not (RFC 9110, 13.1.2).
    marks.split(',').map(str::trim).any(|mark| mark == "*" || mark.strip_prefix("W/").unwrap_or(mark) == *etag)
}

type Reading = Pin<Box<dyn Future<Output = std::io::Result<Bytes>> + Send>>;

/// A part of a file as a body. It fails where the file has become shorter than it was: its client sees that it is cut.
struct Content {
    download: Download,
    offset: u64,
    end: u64,
    reading: Option<Reading>,
}

impl HttpBody for Content {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let this = &mut *self;
        let left = this.end - this.offset;
        if left == 0 {
            return Poll::Ready(None);
        }
        let reading = this.reading.get_or_insert_with(|| {
            let wanted = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            Box::pin(this.download.read_at(this.offset, wanted))
        });
        let read = ready!(reading.as_mut().poll(context));
        this.reading = None;
        let read = read.and_then(|piece| match piece.len() {
            0 => Err(std::io::Error::other("the file has become shorter while it was sent")),
            _ => Ok(piece),
        });
        this.offset = match &read {
            Ok(piece) => this.offset + piece.len() as u64,
            Err(_) => this.end,
        };
        Poll::Ready(Some(read.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.offset == self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_in_a_list() {
        let etag = HeaderValue::from_static("\"1-2\"");
        for marks in ["\"1-2\"", "*", "W/\"1-2\"", "\"x\", \"1-2\"", " \"1-2\" "] {
            assert!(names_mark(marks, &etag), "{marks}");
        }
        for marks in ["", "1-2", "\"1-\"", "\"1-23\"", "w/\"1-2\""] {
            assert!(!names_mark(marks, &etag), "{marks}");
        }
    }
}
