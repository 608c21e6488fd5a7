//! Every answer that is not a 200: what the client may see of it, and what the log keeps.
//! A user's program failing is no error; see [`crate::routes::execute`].

use std::error::Error as StdError;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use eggbox_engine::{
    EXECUTIONS_KEPT_MAX, EnvironmentName, ExecuteError, SessionIdError, WorkspaceError, WorkspacePathError,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::ROUTES;
use crate::config::IDEMPOTENCY_KEY_BYTES_MAX;
use crate::guard::Refusal;
use crate::openapi;

/// The text of a variant is for the client; a `source` is for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the body is not valid JSON: {0}")]
    NotJson(String),
    #[error("the body must be a JSON object such as {example}")]
    NotObject { example: &'static str },
    #[error("`code` is missing: give the Python to run as a string")]
    CodeMissing,
    #[error("`{field}` is missing: give {wanted}")]
    MissingField { field: &'static str, wanted: &'static str },
    #[error("`{field}` must be {wanted}, not {found}")]
    WrongType { field: String, wanted: String, found: &'static str },
    #[error("`{field}` must be {wanted}")]
    OutOfRange { field: String, wanted: String },
    #[error("there is no field `{field}`: the fields here are {known}")]
    UnknownField { field: String, known: String },
    #[error("`{field}` is there more than once: give it once")]
    RepeatedField { field: String },
    #[error("`{field}` is no session id: {cause}")]
    SessionId { field: &'static str, cause: SessionIdError },
    #[error("`{field}` is no name of a checkpoint: {cause}")]
    CheckpointId { field: &'static str, cause: SessionIdError },
    #[error("`id` and `session_id` are two names of one field but differ: give one of them")]
    SessionIdsDiffer,
    #[error("the body ended early: send as many bytes as the request's head says")]
    BodyCut,
    #[error(transparent)]
    Forbidden(#[from] Refusal),
    #[error("no key of this server's came with the request: send yours as `Authorization: Bearer eggbox_...`")]
    Unauthorized,
    #[error("with your key {per_minute} requests a minute may be sent (its rate_per_minute): try again later")]
    TooOften { per_minute: NonZeroU32, wait: Duration },
    #[error("the request's head is over the limit of {head_bytes_max} bytes: send fewer or shorter headers")]
    HeadTooLarge { head_bytes_max: usize },
    #[error("there is no `{path}` here: the routes are {ROUTES}")]
    NotFound { path: String },
    #[error("there is no session `{id}`: it was never begun, or has ended; POST /v1/sessions or /execute begins one")]
    NoSession { id: String },
    #[error("there is a session `{id}` already: use it, end it by DELETE /v1/sessions/{id}, or take another id")]
    SessionExists { id: String },
    #[error("the session `{id}` has ended: {cause}; POST /v1/sessions begins another of that name")]
    SessionEnded { id: String, cause: String },
    #[error(
        "there is no execution `{execution}` in session `{id}`: it never was, was given up, or is not kept any more"
    )]
    NoExecution { id: String, execution: String },
    #[error(
        "execution {execution} is not kept any more: the last {EXECUTIONS_KEPT_MAX} are, as long as they printed little"
    )]
    NotKept { execution: u64 },
    #[error("execution {execution} neither runs nor waits: there is nothing to interrupt")]
    NotRunning { execution: u64 },
    #[error("execution {execution} does not wait for a line: send one after its event `input_request`")]
    NoLineWanted { execution: u64 },
    #[error("give either `text`, a line, or `end`: true, for the end of input")]
    NoInput,
    #[error(
        "the session stays as it is: its environment, {name}, is not there any more for a fresh interpreter; make another"
    )]
    NoEnvironment { name: EnvironmentName },
    #[error("too many sessions are forked at once: try again")]
    NoRoomForFork,
    #[error("the session goes to sleep just now: ask again, which wakes it")]
    FallsAsleep,
    #[error("the session stays as it is: {why}")]
    NotCarried { why: String },
    #[error(
        "there is no checkpoint `{id}`: it was never taken, or is not kept any more; GET /v1/checkpoints lists those that are"
    )]
    NoCheckpoint { id: String },
    #[error("there is a checkpoint `{id}` already: delete it by DELETE /v1/checkpoints/{id}, or take another name")]
    CheckpointExists { id: String },
    #[error(
        "checkpoints have taken all {bytes_max} bytes that they may (checkpoints_bytes_max): delete some by DELETE /v1/checkpoints/{{id}}"
    )]
    NoRoomForCheckpoint { bytes_max: u64 },
    #[error("the disk is full, or checkpoints have all of it that they may have (checkpoints_bytes_max): delete some")]
    NoDiskSpace,
    #[error("it cannot go on from the image: {why}")]
    NotLoaded { why: String },
    #[error(
        "`env` and `checkpoint` exclude each other: a session that goes on from a checkpoint has the variables of that"
    )]
    VariablesOfCheckpoint,
    #[error("the session stays as it is: its files cannot be brought along: {why}")]
    FilesStay { why: String },
    #[error("the execution was given up before it had begun")]
    GivenUp,
    #[error("the Idempotency-Key was used for something else, execution {execution}: take another")]
    IdempotencyKeyTaken { execution: u64 },
    #[error("there is no environment of that name: `environment` can be {known}")]
    UnknownEnvironment { known: String },
    #[error("the Idempotency-Key must be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} printable ASCII characters")]
    IdempotencyKey,
    #[error("Last-Event-ID must be the number of an event")]
    LastEventId,
    #[error(
        "`detach` and `Accept: text/event-stream` exclude each other: leave one out, or GET the events of the execution"
    )]
    DetachedEvents,
    #[error("there is no parameter `{name}`: the parameters here are {known}")]
    UnknownParameter { name: String, known: String },
    #[error("{method} is not a method of `{path}`: the routes are {ROUTES}")]
    MethodNotAllowed { method: Method, path: String },
    #[error("the body took longer than {seconds} s to arrive: send it faster, or less of it")]
    BodySlow { seconds: u64 },
    #[error("the body is over the limit of {body_bytes_max} bytes (body_bytes_max): send less at once")]
    BodyTooLarge { body_bytes_max: usize },
    #[error(
        "the requests that are under way have taken all {bodies_bytes_max} bytes (bodies_bytes_max): try again later"
    )]
    NoRoomForBody { bodies_bytes_max: usize },
    #[error("the Content-Type is {found}: send application/json, in UTF-8")]
    ContentType { found: String },
    #[error(
        "all {sessions_max} sessions (sessions_max) are in use: use one of yours, end one by DELETE /v1/sessions/{{id}}, or try again later"
    )]
    NoRoom { sessions_max: u32 },
    #[error(
        "all {sessions_max} sessions of your key (its sessions_max) are in use: use one of them, end one by DELETE /v1/sessions/{{id}}, or try again later"
    )]
    NoRoomForKey { sessions_max: u32 },
    #[error(
        "{queue_max} executions (queue_max) already wait for this session: wait for their answers, or use another session"
    )]
    QueueFull { queue_max: usize },
    #[error(
        "the code is longer than the {code_bytes_max} bytes that its session was made for: send less at once, or use a new session"
    )]
    CodeTooLong { code_bytes_max: u64 },
    #[error("`{field}` is no path in the workspace: {cause}")]
    Path { field: &'static str, cause: WorkspacePathError },
    #[error("the file has {bytes} bytes, and none of those that the Range names: ask for others")]
    Range { bytes: u64 },
    #[error("there is a `{path}` already, which the request wants not to be there (If-None-Match)")]
    Precondition { path: String },
    /// Neither of its end nor of ours.
    #[error(transparent)]
    Workspace(WorkspaceError),
    #[error("the server is shutting down: try again when it is back")]
    ShuttingDown,
    #[error("Internal server error")]
    Internal(#[source] Box<dyn StdError + Send + Sync>),
    /// The hook of the process has logged where.
    #[error("Internal server error")]
    Panic,
}

/// Every code there is.
pub(crate) const CODES: [&str; 66] = [
    "invalid_json",
    "no_object",
    "missing_field",
    "path_invalid",
    "range_not_satisfiable",
    "precondition_failed",
    "wrong_type",
    "out_of_range",
    "unknown_field",
    "repeated_field",
    "invalid_session_id",
    "invalid_checkpoint_id",
    "unknown_parameter",
    "no_input",
    "invalid_idempotency_key",
    "invalid_last_event_id",
    "detached_events",
    "session_ids_differ",
    "body_cut",
    "unauthorized",
    "rate_limited",
    "foreign_request",
    "head_too_large",
    "no_such_route",
    "no_such_session",
    "no_such_execution",
    "execution_not_kept",
    "session_ended",
    "method_not_allowed",
    "body_too_slow",
    "session_exists",
    "execution_not_running",
    "no_line_wanted",
    "given_up",
    "files_not_copied",
    "environment_gone",
    "not_checkpointable",
    "no_such_checkpoint",
    "checkpoint_exists",
    "checkpoint_not_loadable",
    "variables_of_checkpoint",
    "no_room_for_checkpoint",
    "idempotency_key_taken",
    "unknown_environment",
    "body_too_large",
    "code_too_long",
    "unsupported_content_type",
    "no_room_for_session",
    "too_many_sessions",
    "no_room_for_body",
    "no_room_for_fork",
    "falls_asleep",
    "queue_full",
    "shutting_down",
    "internal_error",
    "file_not_found",
    "not_a_regular_file",
    "not_a_folder",
    "file_exists",
    "folder_not_empty",
    "moved_into_itself",
    "tree_too_large",
    "permission_denied",
    "file_too_large",
    "no_room_for_transfer",
    "no_space",
];

/// How the answer to a request says what is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `error` is a text.
    Flat,
    /// `error` is an object that programs can read too.
    V1,
}

impl Form {
    /// That of every answer under a path.
    pub(crate) fn of(path: &str) -> Self {
        if path == "/v1" || path.starts_with("/v1/") { Self::V1 } else { Self::Flat }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Refusal, description = "Why a request was refused.")]
pub(crate) struct FlatBody<'a> {
    /// For people.
    error: &'a str,
    /// Only an error of ours has it: the cause is in the log under it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = "uuid", required = false)]
    request_id: Option<Uuid>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = V1Refusal, description = "Why a request under /v1 was refused.")]
pub(crate) struct V1Body<'a> {
    error: V1Error<'a>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = V1Error, description = "Codes never change; messages may.")]
struct V1Error<'a> {
    #[schema(schema_with = openapi::code)]
    code: &'static str,
    /// For people.
    message: &'a str,
    #[schema(value_type = String, format = "uuid")]
    request_id: Uuid,
    /// The field of the request that is at fault, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<&'a str>,
}

impl Error {
    fn status(&self) -> StatusCode {
        self.status_and_code().0
    }

    pub(crate) fn code(&self) -> &'static str {
        self.status_and_code().1
    }

    /// The status, and the name that programs know this by under `/v1`: it never changes.
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotJson(_) => (StatusCode::BAD_REQUEST, "invalid_json"),
            Self::NotObject { .. } => (StatusCode::BAD_REQUEST, "no_object"),
            Self::CodeMissing => (StatusCode::BAD_REQUEST, "missing_field"),
            Self::MissingField { .. } => (StatusCode::BAD_REQUEST, "missing_field"),
            Self::Path { .. } => (StatusCode::BAD_REQUEST, "path_invalid"),
            Self::Range { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable"),
            Self::Precondition { .. } => (StatusCode::PRECONDITION_FAILED, "precondition_failed"),
            Self::Workspace(error) => of_workspace(error),
            Self::WrongType { .. } => (StatusCode::BAD_REQUEST, "wrong_type"),
            Self::OutOfRange { .. } => (StatusCode::BAD_REQUEST, "out_of_range"),
            Self::UnknownField { .. } => (StatusCode::BAD_REQUEST, "unknown_field"),
            Self::RepeatedField { .. } => (StatusCode::BAD_REQUEST, "repeated_field"),
            Self::SessionId { .. } => (StatusCode::BAD_REQUEST, "invalid_session_id"),
            Self::CheckpointId { .. } => (StatusCode::BAD_REQUEST, "invalid_checkpoint_id"),
            Self::UnknownParameter { .. } => (StatusCode::BAD_REQUEST, "unknown_parameter"),
            Self::NoInput => (StatusCode::BAD_REQUEST, "no_input"),
            Self::IdempotencyKey => (StatusCode::BAD_REQUEST, "invalid_idempotency_key"),
            Self::LastEventId => (StatusCode::BAD_REQUEST, "invalid_last_event_id"),
            Self::DetachedEvents => (StatusCode::BAD_REQUEST, "detached_events"),
            Self::SessionIdsDiffer => (StatusCode::BAD_REQUEST, "session_ids_differ"),
            Self::BodyCut => (StatusCode::BAD_REQUEST, "body_cut"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::TooOften { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "foreign_request"),
            Self::HeadTooLarge { .. } => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large"),
            Self::NotFound { .. } => (StatusCode::NOT_FOUND, "no_such_route"),
            Self::NoSession { .. } => (StatusCode::NOT_FOUND, "no_such_session"),
            Self::NoExecution { .. } => (StatusCode::NOT_FOUND, "no_such_execution"),
            Self::NotKept { .. } => (StatusCode::GONE, "execution_not_kept"),
            Self::SessionEnded { .. } => (StatusCode::GONE, "session_ended"),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::BodySlow { .. } => (StatusCode::REQUEST_TIMEOUT, "body_too_slow"),
            Self::SessionExists { .. } => (StatusCode::CONFLICT, "session_exists"),
            Self::NotRunning { .. } => (StatusCode::CONFLICT, "execution_not_running"),
            Self::NoLineWanted { .. } => (StatusCode::CONFLICT, "no_line_wanted"),
            Self::GivenUp => (StatusCode::CONFLICT, "given_up"),
            Self::FilesStay { .. } => (StatusCode::CONFLICT, "files_not_copied"),
            Self::NoEnvironment { .. } => (StatusCode::CONFLICT, "environment_gone"),
            Self::NotCarried { .. } => (StatusCode::CONFLICT, "not_checkpointable"),
            Self::NoCheckpoint { .. } => (StatusCode::NOT_FOUND, "no_such_checkpoint"),
            Self::CheckpointExists { .. } => (StatusCode::CONFLICT, "checkpoint_exists"),
            Self::NotLoaded { .. } => (StatusCode::CONFLICT, "checkpoint_not_loadable"),
            Self::VariablesOfCheckpoint => (StatusCode::BAD_REQUEST, "variables_of_checkpoint"),
            Self::NoRoomForCheckpoint { .. } => (StatusCode::INSUFFICIENT_STORAGE, "no_room_for_checkpoint"),
            Self::NoDiskSpace => (StatusCode::INSUFFICIENT_STORAGE, "no_room_for_checkpoint"),
            Self::IdempotencyKeyTaken { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_taken"),
            Self::UnknownEnvironment { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "unknown_environment"),
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::CodeTooLong { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "code_too_long"),
            Self::ContentType { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_content_type"),
            Self::NoRoom { .. } => (StatusCode::SERVICE_UNAVAILABLE, "no_room_for_session"),
            Self::NoRoomForKey { .. } => (StatusCode::SERVICE_UNAVAILABLE, "too_many_sessions"),
            Self::NoRoomForBody { .. } => (StatusCode::SERVICE_UNAVAILABLE, "no_room_for_body"),
            Self::NoRoomForFork => (StatusCode::SERVICE_UNAVAILABLE, "no_room_for_fork"),
            Self::FallsAsleep => (StatusCode::SERVICE_UNAVAILABLE, "falls_asleep"),
            Self::QueueFull { .. } => (StatusCode::SERVICE_UNAVAILABLE, "queue_full"),
            Self::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
            Self::Internal(_) | Self::Panic => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        }
    }

    /// The field of the request that is at fault, if one is.
    fn field(&self) -> Option<&str> {
        match self {
            Self::CodeMissing => Some("code"),
            Self::NoInput => Some("text"),
            Self::DetachedEvents => Some("detach"),
            Self::VariablesOfCheckpoint => Some("env"),
            Self::UnknownEnvironment { .. } => Some("environment"),
            Self::UnknownParameter { name, .. } => Some(name),
            Self::CheckpointId { field, .. } => Some(field),
            Self::SessionId { field, .. } | Self::Path { field, .. } | Self::MissingField { field, .. } => Some(field),
            Self::WrongType { field, .. }
            | Self::OutOfRange { field, .. }
            | Self::UnknownField { field, .. }
            | Self::RepeatedField { field } => Some(field),
            _ => None,
        }
    }

    /// When a client that met this may try again, in seconds.
    fn retry_after_seconds(&self) -> Option<u16> {
        match self {
            Self::QueueFull { .. }
            | Self::NoRoomForFork
            | Self::FallsAsleep
            | Self::NoRoomForBody { .. }
            | Self::Workspace(WorkspaceError::Busy { .. }) => Some(1),
            Self::NoRoom { .. } | Self::NoRoomForKey { .. } | Self::ShuttingDown => Some(5),
            // Rounded up: who comes back then is in time.
            Self::TooOften { wait, .. } => Some(u16::try_from(wait.as_secs() + 1).unwrap_or(u16::MAX)),
            _ => None,
        }
    }

    /// The JSON for the client.
    pub(crate) fn body(&self, request_id: Uuid, form: Form) -> Vec<u8> {
        let message = &self.to_string();
        let body = match form {
            Form::Flat => {
                let request_id = matches!(self, Self::Internal(_) | Self::Panic).then_some(request_id);
                serde_json::to_vec(&FlatBody { error: message, request_id })
            }
            Form::V1 => {
                let code = self.code();
                serde_json::to_vec(&V1Body { error: V1Error { code, message, request_id, field: self.field() } })
            }
        };
        body.unwrap_or_default()
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

/// The same for what was not done in a workspace.
fn of_workspace(error: &WorkspaceError) -> (StatusCode, &'static str) {
    use WorkspaceError as Files;
    match error {
        Files::Gone => (StatusCode::NOT_FOUND, "no_such_session"),
        Files::NotFound { .. } => (StatusCode::NOT_FOUND, "file_not_found"),
        Files::NotRegular { .. } => (StatusCode::CONFLICT, "not_a_regular_file"),
        Files::NotFolder { .. } => (StatusCode::CONFLICT, "not_a_folder"),
        Files::Exists { .. } => (StatusCode::CONFLICT, "file_exists"),
        Files::NotEmpty { .. } => (StatusCode::CONFLICT, "folder_not_empty"),
        Files::IntoItself { .. } => (StatusCode::CONFLICT, "moved_into_itself"),
        Files::TreeTooLarge(_) => (StatusCode::CONFLICT, "tree_too_large"),
        Files::Denied { .. } => (StatusCode::FORBIDDEN, "permission_denied"),
        Files::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "file_too_large"),
        Files::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, "no_room_for_transfer"),
        Files::NoSpace => (StatusCode::INSUFFICIENT_STORAGE, "no_space"),
        Files::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
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
            ExecuteError::NoRoomForOwner { sessions_max } => Self::NoRoomForKey { sessions_max },
            ExecuteError::QueueFull { queue_max } => Self::QueueFull { queue_max },
            ExecuteError::CodeTooLong { code_bytes_max } => Self::CodeTooLong { code_bytes_max },
            ExecuteError::GivenUp => Self::GivenUp,
            ExecuteError::FilesStay { why } => Self::FilesStay { why },
            ExecuteError::NoEnvironment { name } => Self::NoEnvironment { name },
            ExecuteError::NotCarried { why } => Self::NotCarried { why },
            ExecuteError::NotLoaded { why } => Self::NotLoaded { why },
            ExecuteError::ForksBusy => Self::NoRoomForFork,
            ExecuteError::FallsAsleep => Self::FallsAsleep,
            ExecuteError::NoDiskSpace => Self::NoDiskSpace,
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
        if matches!(self, Self::Unauthorized) {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"eggbox\""));
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(error: &Error) -> String {
        String::from_utf8(error.body(Uuid::nil(), Form::Flat)).unwrap()
    }

    #[test]
    fn under_v1_an_error_has_a_code_its_request_and_the_field_at_fault() {
        assert_eq!(["/v1", "/v1/sessions", "/v1/x"].map(Form::of), [Form::V1; 3]);
        assert_eq!(["/", "/execute", "/v1x", "/health"].map(Form::of), [Form::Flat; 4]);
        let body = |error: Error| String::from_utf8(error.body(Uuid::nil(), Form::V1)).unwrap();
        let id = "00000000-0000-0000-0000-000000000000";
        let expected = format!(
            r#"{{"error":{{"code":"repeated_field","message":"`x` is there more than once: give it once","request_id":"{id}","field":"x"}}}}"#
        );
        assert_eq!(body(Error::RepeatedField { field: "x".to_owned() }), expected);
        let expected =
            format!(r#"{{"error":{{"code":"internal_error","message":"Internal server error","request_id":"{id}"}}}}"#);
        assert_eq!(body(Error::Internal("disk on fire".into())), expected);
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
    fn the_reference_has_every_code() {
        let reference = include_str!("../../../docs/http.md");
        let is_status = |line: &&str| ["Self::", "Files::"].iter().any(|start| line.trim_start().starts_with(start));
        let statuses = include_str!("error.rs").lines().filter(is_status);
        let codes: Vec<_> = statuses.filter_map(|line| line.split_once("(StatusCode::")?.1.split('"').nth(1)).collect();
        assert!(codes.len() > 20, "{codes:?}");
        for code in &codes {
            assert!(reference.contains(&format!("`{code}`")), "{code}");
        }
        let mut seen = std::collections::HashSet::new();
        let once: Vec<_> = codes.into_iter().filter(|code| seen.insert(*code)).collect();
        assert_eq!(once, CODES);
    }

    #[test]
    fn what_the_client_can_retry_says_when() {
        for (error, status, seconds) in [
            (Error::from(ExecuteError::NoRoom { sessions_max: 8 }), 503, Some("5")),
            (ExecuteError::NoRoomForOwner { sessions_max: 8 }.into(), 503, Some("5")),
            (ExecuteError::QueueFull { queue_max: 3 }.into(), 503, Some("1")),
            (Error::TooOften { per_minute: NonZeroU32::MIN, wait: Duration::from_millis(2500) }, 429, Some("3")),
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
