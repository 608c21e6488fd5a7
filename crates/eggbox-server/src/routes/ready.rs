//! `GET /ready`: whether code that is sent now is run, for whoever spreads requests over servers.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use eggbox_engine::Unready;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::error::Error;
use crate::openapi::{Flat, Refusals};

#[derive(Serialize, ToSchema)]
struct Ready {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<Reason>,
}

/// Why it is not.
#[derive(Serialize, ToSchema)]
#[schema(as = UnreadyReason)]
struct Reason {
    code: &'static str,
    message: String,
}

#[utoipa::path(
    get,
    path = "/ready",
    tag = "operations",
    summary = "Whether code that is sent now is run",
    responses(
        (status = 200, description = "It is", body = Ready),
        Refusals<Flat>,
        (status = 503, description = "It is not, and why", body = Ready),
    ),
)]
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<Response, Error> {
    let Err(unready) = app.engine.ready().await else {
        return super::json(&Ready { status: "ready", reason: None });
    };
    let reason = Reason { code: code(unready), message: unready.to_string() };
    let answer = super::json(&Ready { status: "unready", reason: Some(reason) })?;
    Ok((StatusCode::SERVICE_UNAVAILABLE, answer).into_response())
}

fn code(unready: Unready) -> &'static str {
    match unready {
        Unready::ShuttingDown => "shutting_down",
        Unready::HandingOver => "handing_over",
        Unready::NestDown => "nest_down",
    }
}
