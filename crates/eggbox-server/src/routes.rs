//! One file per route, with its request, its answer and what it does.

pub(crate) mod execute;
pub(crate) mod create_session;
pub(crate) mod get_session;
pub(crate) mod delete_session;
pub(crate) mod list_sessions;
pub(crate) mod patch_session;
pub(crate) mod executions;
pub(crate) mod files;
pub(crate) mod health;
pub(crate) mod ready;
pub(crate) mod metrics;
pub(crate) mod reference;
pub(crate) mod restart;
pub(crate) mod fork;
pub(crate) mod checkpoints;
pub(crate) mod take_checkpoint;
pub(crate) mod restore;
pub(crate) mod hibernate;
pub(crate) mod run;
mod session;
mod wanted;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequestParts, Path};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use eggbox_engine::SessionId;
use hyper::body::{Frame, SizeHint};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use crate::app::App;
use crate::auth::Caller;
use crate::config::RENDER_INLINE_BYTES_MAX;
use crate::error::Error;
use crate::openapi::parameters;

/// The session that a path names, among those of whoever sends the request.
#[derive(Debug)]
pub(crate) struct SessionPath(pub(crate) SessionId);

impl<S: Send + Sync> FromRequestParts<S> for SessionPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let caller = Caller::from_request_parts(parts, state).await?;
        // One with bytes that are no UTF-8 is no name, as one with the character that stands for those.
        let name =
            Path::<String>::from_request_parts(parts, state).await.map_or("\u{fffd}".to_owned(), |Path(name)| name);
        let id = SessionId::try_from(name).map_err(|cause| Error::SessionId { field: "id", cause })?;
        Ok(Self(caller.name(id)))
    }
}

/// A time as RFC 3339 has it, in UTC, to the millisecond.
fn time(time: SystemTime) -> Result<String, Error> {
    let timestamp = Timestamp::try_from(time).map_err(|cause| Error::Internal(cause.into()))?;
    Ok(format!("{timestamp:.3}"))
}

impl IntoParams for SessionPath {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![parameters::session_id()]
    }
}

/// A 200 with `value` as JSON.
fn json(value: &impl Serialize) -> Result<Response, Error> {
    let bytes = serde_json::to_vec(value).map_err(|cause| Error::Internal(cause.into()))?;
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes).into_response())
}

/// The same for a value that has about so many bytes of output in it.
async fn json_of_size<T: Serialize + Send + 'static>(
    app: &App,
    bytes: u64,
    value: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<Response, Error> {
    if bytes <= RENDER_INLINE_BYTES_MAX as u64 { json(&value()?) } else { large_json(app, value).await }
}

/// The same for a value that may be large, made off the threads that serve the other connections. Only so many are in
/// memory at once, whoever does not read them: `value` is made when there is room.
async fn large_json<T: Serialize + Send + 'static>(
    app: &App,
    value: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<Response, Error> {
    let place = Arc::clone(&app.large_answers).acquire_owned().await.map_err(|cause| Error::Internal(cause.into()))?;
    let made = tokio::task::spawn_blocking(move || json(&value()?)).await;
    let response = made.map_err(|cause| Error::Internal(cause.into()))??;
    Ok(response.map(|body| Body::new(Placed { body, _place: place })))
}

/// A body that keeps its place until the last of it is written, or its client is gone.
#[derive(Debug)]
struct Placed {
    body: Body,
    _place: OwnedSemaphorePermit,
}

impl HttpBody for Placed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_is_in_utc_and_has_three_digits_of_a_second() {
        for (millis, text) in [(0, "1970-01-01T00:00:00.000Z"), (1_700_000_000_120, "2023-11-14T22:13:20.120Z")] {
            assert_eq!(time(SystemTime::UNIX_EPOCH + Duration::from_millis(millis)).unwrap(), text);
        }
    }
}
