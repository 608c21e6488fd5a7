//! The outermost step of every request: gives it an id, turns an [`Error`] into its answer, counts and logs.
//! The log has methods, statuses, times, causes and the names of keys; never code, output or keys.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;
use uuid::Uuid;

use crate::access_log::Line;
use crate::error::{Error, Form};
use crate::http_counts::HttpCounts;
use crate::span;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a request is known by, as an extension of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestId(pub(crate) Uuid);

pub(crate) async fn stamp(State(counts): State<Arc<HttpCounts>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = Uuid::now_v7();
    request.extensions_mut().insert(RequestId(id));
    let form = Form::of(request.uri().path());
    let line = Line::of(&request);
    let (method, route) = (request.method().clone(), request.extensions().get::<MatchedPath>().cloned());
    let span = span::of(id, &request);
    let own_span = span.clone();
    async move {
        let mut response = next.run(request).await;
        if let Some(error) = response.extensions_mut().remove::<Arc<Error>>() {
            error.log();
            counts.refused(error.code());
            *response.body_mut() = error.body(id, form).into();
        }
        if let Ok(value) = HeaderValue::try_from(id.to_string()) {
            response.headers_mut().insert(X_REQUEST_ID, value);
        }
        let time = started.elapsed();
        span::answered(&own_span, route.as_ref(), response.status());
        counts.answered(&method, route.as_ref().map(MatchedPath::as_str), response.status(), time);
        if let Some(line) = line {
            line.write(&response, id, time);
        }
        response
    }
    .instrument(span)
    .await
}
