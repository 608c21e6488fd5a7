//! One file per route, with its request, its answer and what it does.

pub(crate) mod execute;
pub(crate) mod health;
pub(crate) mod last_execution;

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::error::Error;

/// A 200 with `value` as JSON.
fn json(value: &impl Serialize) -> Result<Response, Error> {
    let bytes = serde_json::to_vec(value).map_err(|cause| Error::Internal(cause.into()))?;
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes).into_response())
}
