//! `GET /openapi.json` and `GET /docs`: what this interface is, for programs and for people.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::openapi::{Flat, Refusals};

/// The page has everything it needs and runs nothing.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");

#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operations",
    summary = "This document",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value), Refusals<Flat>),
)]
pub(crate) async fn openapi(State(app): State<Arc<App>>) -> Response {
    ([(CONTENT_TYPE, JSON)], app.reference.json.clone()).into_response()
}

#[utoipa::path(
    get,
    path = "/docs",
    tag = "operations",
    summary = "This document, for people",
    description = "One page without scripts and without anything from elsewhere.",
    responses((status = 200, description = "HTML", body = String, content_type = "text/html; charset=utf-8"), Refusals<Flat>),
)]
pub(crate) async fn docs(State(app): State<Arc<App>>) -> Response {
    let headers = [(CONTENT_TYPE, HTML), (CONTENT_SECURITY_POLICY, POLICY), (X_CONTENT_TYPE_OPTIONS, NO_SNIFF)];
    (headers, app.reference.html.clone()).into_response()
}
