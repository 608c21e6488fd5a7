//! `POST /v1/sessions/{id}/executions`: has a session run code. The answer is the execution when it has ended, its events
//! as they happen, or at once that it is on its way.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use eggbox_engine::{AskError, Asked, Code, Idempotency, Outcome, ranges};
use serde::Deserialize;
use utoipa::ToSchema;

use super::answer::ExecutionAnswer;
use super::events::{self, SentEvent};
use crate::app::App;
use crate::audit::{self, Asker};
use crate::body;
use crate::config::IDEMPOTENCY_KEY_BYTES_MAX;
use crate::error::{Error, V1Body};
use crate::fields::{Bound, Fields};
use crate::openapi::{BodyRefusals, V1};
use crate::routes::execute::explain;
use crate::routes::{SessionPath, json, json_of_size};

const FIELDS: [&str; 4] = ["code", "timeout_seconds", "stdin", "detach"];

/// How the client wants to hear of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    /// When it has ended.
    Whole,
    Events,
    /// Not now.
    Detached,
}

#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/executions",
    operation_id = "begin_execution",
    tag = "executions",
    summary = "Run code in a session",
    description = "Has a session run Python once what was asked for before is done. The answer is the execution when it has \
                   ended; with `Accept: text/event-stream` its events as they happen; with `detach` the execution as it is, \
                   at once. It goes on to its end whatever becomes of the connection.",
    params(SessionPath, AskHeaders),
    request_body = AskExecution,
    responses(
        (status = 200, description = "The execution, or its events",
            content((ExecutionAnswer = "application/json"), (SentEvent = "text/event-stream")),
            headers(
                ("location" = String, description = "Its path"),
                ("idempotent-replayed" = String, description = "`true` where it was asked for before, under the same key"),
            )),
        (status = 202, description = "It is on its way", body = ExecutionAnswer,
            headers(
                ("location" = String, description = "Its path"),
                ("idempotent-replayed" = String, description = "As of a 200"),
            )),
        BodyRefusals<V1>,
        (status = 404, description = "There is no session of that name", body = V1Body<'_>),
        (status = 409, description = "It was given up before it had begun", body = V1Body<'_>),
        (status = 410, description = "The session has ended", body = V1Body<'_>),
        (status = 413, description = "The body or the code is too large", body = V1Body<'_>),
        (status = 422, description = "Something else was asked for under that key", body = V1Body<'_>),
        (status = 503, description = "Too many wait for the session, or the server is ending", body = V1Body<'_>),
    ),
)]
pub(crate) async fn ask(
    State(app): State<Arc<App>>,
    SessionPath(id): SessionPath,
    request: Request,
) -> Result<Response, Error> {
    let asker = Asker::of(&request);
    let idempotency_key = idempotency_key(request.headers())?;
    let wants_events = wants_events(request.headers());
    let (body, taken) = body::read_json(request, &app.config, &app.room).await?;
    let fields = Fields::of_body(&body, &FIELDS)?;
    let delivery = match (fields.flag("detach")?, wants_events) {
        (true, true) => return Err(Error::DetachedEvents),
        (true, false) => Delivery::Detached,
        (false, true) => Delivery::Events,
        (false, false) => Delivery::Whole,
    };
    let limits = app.engine.executions(&id).await.and_then(|executions| executions.limits());
    // Of one that has ended, what another of that name could have.
    let limits = limits.unwrap_or_else(|| app.engine.limits_of(id.owner()));
    let mut code = parse(&fields, limits.wall_max)?;
    drop(body);
    code.is_interactive = delivery != Delivery::Whole;
    code.idempotency =
        idempotency_key.map(|key| Idempotency::new(&key, &code.text, code.stdin.as_deref(), code.wall_max));
    let code = audit::watched(app.audit.as_ref(), asker, code, taken).await?;
    let asked = app.engine.ask(&id, code).await.map_err(|error| refusal(error, &id.to_string()))?;
    let (number, is_known) = (asked.number, asked.is_known);
    let mut response = match delivery {
        Delivery::Detached => {
            (StatusCode::ACCEPTED, json(&ExecutionAnswer::new(&asked.executions, number)?)?).into_response()
        }
        Delivery::Events => events::response(asked.executions, number, 0),
        Delivery::Whole => whole(&app, asked).await?,
    };
    let location = HeaderValue::try_from(format!("/v1/sessions/{id}/executions/{number}"));
    response.headers_mut().insert(LOCATION, location.map_err(|cause| Error::Internal(cause.into()))?);
    if is_known {
        response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// What a body says of the code, which may take no longer than that.
pub(crate) fn parse(fields: &Fields<'_>, wall_max: Duration) -> Result<Code, Error> {
    let wall_max = wall_max.as_secs_f64().min(ranges::WALL_SECONDS[1]);
    let bound = Bound { least: ranges::WALL_SECONDS[0], most: wall_max, setting: Some("the session's wall_seconds") };
    Ok(Code {
        text: fields.string("code")?.ok_or(Error::CodeMissing)?,
        stdin: fields.string("stdin")?,
        wall_max: fields.seconds("timeout_seconds", bound)?,
        is_rich: true,
        ..Code::default()
    })
}

/// The answer when it has ended.
pub(crate) async fn whole(app: &App, Asked { number, executions, end, .. }: Asked) -> Result<Response, Error> {
    // It is not forgotten while this is there.
    let ended = match end {
        Some(end) => {
            let ended = end.await.map_err(|cause| Error::Internal(cause.into()))??;
            if let Outcome::Gone(death) = &ended.outcome {
                return Err(Error::SessionEnded { id: ended.session.to_string(), cause: explain::describe(death) });
            }
            Some(ended)
        }
        // Somebody has asked for it before.
        None => {
            executions.wait(number, Duration::MAX).await;
            None
        }
    };
    json_of_size(app, executions.bytes(number), move || {
        let _kept = ended;
        ExecutionAnswer::new(&executions, number)
    })
    .await
}

pub(crate) fn refusal(error: AskError, id: &str) -> Error {
    match error {
        AskError::NoSession => Error::NoSession { id: id.to_owned() },
        AskError::Ended(death) => Error::SessionEnded { id: id.to_owned(), cause: explain::describe(&death) },
        AskError::KeyTaken { number } => Error::IdempotencyKeyTaken { execution: number },
        AskError::Refused(error) => error.into(),
    }
}

fn wants_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let media = range.split(';').next().unwrap_or_default().trim();
        media.eq_ignore_ascii_case("text/event-stream")
    })
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let is_key = |key: &&str| (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) && !key.contains('\t');
    let key = value.to_str().ok().filter(is_key);
    key.map(|key| Some(key.to_owned())).ok_or(Error::IdempotencyKey)
}

/// A request as clients are told of it; [`parse`] reads it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(description = "Code to run, and how.")]
#[expect(dead_code, reason = "a request is read field by field, so that a refusal can name the one at fault")]
struct AskExecution {
    /// The Python to run.
    code: String,
    /// Wall time, where that is to be less than the session's `wall_seconds`.
    #[schema(required = false)]
    timeout_seconds: f64,
    /// What it reads from its standard input.
    #[schema(required = false)]
    stdin: String,
    /// Not to wait for it.
    #[schema(required = false)]
    detach: bool,
}

#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "headers are read by their names")]
struct AskHeaders {
    /// A request that is sent again under the same one is answered with the same execution, which does not run again.
    #[param(rename = "Idempotency-Key", required = false, max_length = 255, pattern = "^[ -~]*[!-~][ -~]*$")]
    idempotency_key: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::properties;

    #[test]
    fn clients_are_told_of_the_fields_that_are_read() {
        let mut read = FIELDS.to_vec();
        read.sort_unstable();
        assert_eq!(properties::<AskExecution>(), read);
    }
}
