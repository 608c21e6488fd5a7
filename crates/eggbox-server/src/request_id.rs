//! The outermost step of every request: gives it an id, turns an [`Error`] into its answer, and logs.
//! The log has methods, statuses, times, causes and the names of keys; never code, output or keys.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;
use uuid::Uuid;

use crate::error::{Error, Form};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(crate) async fn stamp(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = Uuid::now_v7();
    let form = Form::of(request.uri().path());
    let span = tracing::info_span!("request", id = %id, method = %request.method(), key = tracing::field::Empty);
    async move {
        let mut response = next.run(request).await;
        if let Some(error) = response.extensions_mut().remove::<Arc<Error>>() {
            error.log();
            *response.body_mut() = error.body(id, form).into();
        }
        if let Ok(value) = HeaderValue::try_from(id.to_string()) {
            response.headers_mut().insert(X_REQUEST_ID, value);
        }
        tracing::debug!(status = response.status().as_u16(), elapsed = ?started.elapsed(), "answered");
        response
    }
    .instrument(span)
    .await
}
