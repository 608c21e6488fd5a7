//! Every answer that is not a 200: what the client may see of it, and what the log keeps.
//! A user's program failing is no error; see [`crate::routes::execute`].

use std::error::Error as StdError;
use std::sync::Arc;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use eggbox_engine::{ExecuteError, SessionIdError};
use serde::Serialize;
use uuid::Uuid;

use crate::app::ROUTES;
use crate::guard::Refusal;

/// The text of a variant is for the client; a `source` is for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the body is not valid JSON: {0}")]
    NotJson(String),
    #[error("the body must be a JSON object such as {{\"code\": \"print(1)\"}}")]
    NotObject,
    #[error("`code` is missing: give the Python to run as a string")]
    CodeMissing,
    #[error("`{field}` must be a string, not {found}")]
    NotString { field: &'static str, found: &'static str },
    #[error("`{field}` is no session id: {cause}")]
    SessionId { field: &'static str, cause: SessionIdError },
    #[error("`id` and `session_id` are two names of one field but differ: give one of them")]
    SessionIdsDiffer,
    #[error("the body ended early: send as many bytes as the request's head says")]
    BodyCut,
    #[error(transparent)]
    Forbidden(#[from] Refusal),
    #[error("there is no `{path}` here: the routes are {ROUTES}")]
    NotFound { path: String },
    #[error("there is no session `{id}`: it was never begun, or has ended")]
    NoSession { id: String },
    #[error("{method} is not a method of `{path}`: the routes are {ROUTES}")]
    MethodNotAllowed { method: Method, path: String },
    #[error("the body took longer than {seconds} s to arrive: send it faster, or less of it")]
    BodySlow { seconds: u64 },
    #[error("the body is over the limit of {body_bytes_max} bytes (body_bytes_max): send less code at once")]
    BodyTooLarge { body_bytes_max: usize },
    #[error(
        "the requests that are under way have taken all {bodies_bytes_max} bytes (bodies_bytes_max): try again later"
    )]
    NoRoomForBody { bodies_bytes_max: usize },
    #[error("the Content-Type is {found}: send application/json, in UTF-8")]
    ContentType { found: String },
    #[error("all {sessions_max} sessions (sessions_max) are in use: use one of yours, or try again later")]
    NoRoom { sessions_max: u32 },
    #[error(
        "{queue_max} executions (queue_max) already wait for this session: wait for their answers, or use another session"
    )]
    QueueFull { queue_max: usize },
    #[error(
        "the code is longer than the {code_bytes_max} bytes that its session was made for: send less at once, or use a new session"
    )]
    CodeTooLong { code_bytes_max: u64 },
    #[error("the server is shutting down: try again when it is back")]
    ShuttingDown,
    #[error("Internal server error")]
    Internal(#[source] Box<dyn StdError + Send + Sync>),
    /// The hook of the process has logged where.
    #[error("Internal server error")]
    Panic,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl Error {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotJson(_)
            | Self::NotObject
            | Self::CodeMissing
            | Self::NotString { .. }
            | Self::SessionId { .. }
            | Self::SessionIdsDiffer
            | Self::BodyCut => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound { .. } | Self::NoSession { .. } => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::CodeTooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodySlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ContentType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NoRoom { .. } | Self::NoRoomForBody { .. } | Self::QueueFull { .. } | Self::ShuttingDown => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Internal(_) | Self::Panic => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// When a client that met this may try again, in seconds.
    fn retry_after_seconds(&self) -> Option<u16> {
        match self {
            Self::QueueFull { .. } | Self::NoRoomForBody { .. } => Some(1),
            Self::NoRoom { .. } | Self::ShuttingDown => Some(5),
            _ => None,
        }
    }

    /// The JSON for the client. Only an error of ours needs its id there: the cause is in the log under it.
    pub(crate) fn body(&self, request_id: Uuid) -> Vec<u8> {
        let request_id = matches!(self, Self::Internal(_) | Self::Panic).then(|| request_id.to_string());
        let message = self.to_string();
        serde_json::to_vec(&Body { error: &message, request_id }).unwrap_or_default()
    }

    pub(crate) fn log(&self) {
        match self {
            Self::Internal(cause) => {
                tracing::error!(cause = chain(cause.as_ref()), "failed to answer")
            }
            Self::Panic => tracing::error!("failed to answer: a handler panicked"),
            // The text may quote what the client sent.
            refused => tracing::debug!(status = refused.status().as_u16(), "refused"),
        }
    }
}

/// An error and its causes on one line.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl From<ExecuteError> for Error {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::NoRoom { sessions_max } => Self::NoRoom { sessions_max },
            ExecuteError::QueueFull { queue_max } => Self::QueueFull { queue_max },
            ExecuteError::CodeTooLong { code_bytes_max } => Self::CodeTooLong { code_bytes_max },
            ExecuteError::ShuttingDown => Self::ShuttingDown,
            internal @ ExecuteError::Internal(_) => Self::Internal(Box::new(internal)),
        }
    }
}

/// The status and headers; the error itself travels along for the step that knows the request's id.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after_seconds() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(error: &Error) -> String {
        String::from_utf8(error.body(Uuid::nil())).unwrap()
    }

    #[test]
    fn only_an_error_of_ours_carries_the_request_id_and_never_its_cause() {
        let internal = Error::Internal("disk on fire".into());
        let expected = r#"{"error":"Internal server error","request_id":"00000000-0000-0000-0000-000000000000"}"#;
        assert_eq!(body(&internal), expected);
        assert_eq!(body(&Error::Panic), expected);
        assert_eq!(body(&Error::SessionIdsDiffer), format!(r#"{{"error":"{}"}}"#, Error::SessionIdsDiffer));
    }

    #[test]
    fn what_the_client_can_retry_says_when() {
        for (error, status, seconds) in [
            (Error::from(ExecuteError::NoRoom { sessions_max: 8 }), 503, Some("5")),
            (ExecuteError::QueueFull { queue_max: 3 }.into(), 503, Some("1")),
            (ExecuteError::ShuttingDown.into(), 503, Some("5")),
            (ExecuteError::Internal("x".into()).into(), 500, None),
        ] {
            let response = error.into_response();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap()), seconds);
        }
    }

    #[test]
    fn the_log_has_every_cause() {
        let error = ExecuteError::Internal("socket closed".into());
        assert_eq!(chain(&error), "failed to run the session: socket closed");
    }
}
