//! `GET /metrics`: what the server counts, for Prometheus, and for keys that may read it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::prometheus_text;

use crate::app::App;
use crate::auth::MetricsReader;
use crate::error::{Error, FlatBody};
use crate::metrics;
use crate::openapi::{Flat, Refusals};

#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    summary = "What the server counts",
    description = "In the text format of Prometheus, version 0.0.4.",
    responses(
        (status = 200, description = "Every metric", body = String, content_type = prometheus_text::CONTENT_TYPE),
        Refusals<Flat>,
        (status = 404, description = "The key may not read them", body = FlatBody<'_>),
    ),
)]
pub(crate) async fn metrics(State(app): State<Arc<App>>, _: MetricsReader) -> Result<Response, Error> {
    // The memory of many sessions takes as many looks: others are served meanwhile.
    let text = tokio::task::spawn_blocking(move || metrics::render(&app)).await;
    let text = text.map_err(|cause| Error::Internal(cause.into()))?;
    let text = text.map_err(|cause| Error::Internal(cause.into()))?;
    Ok(([(CONTENT_TYPE, HeaderValue::from_static(prometheus_text::CONTENT_TYPE))], text).into_response())
}
