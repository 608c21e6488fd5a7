//! `POST /v1/sessions/{id}/fork`: sessions that go on as another does.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use eggbox_engine::{CreateError, ForkError, SessionId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::SessionPath;
use super::session::SessionAnswer;
use crate::app::App;
use crate::auth::Caller;
use crate::body;
use crate::error::{Error, V1Body};
use crate::fields::{Bound, Fields};
use crate::openapi::{BodyRefusals, V1};

const FIELDS: [&str; 2] = ["count", "ids"];
/// How many sessions one request makes at most.
const COUNT_MAX: u64 = 64;

#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/fork",
    tag = "sessions",
    summary = "Fork a session",
    description = "Makes sessions that go on as this one does, each with copies of its memory and its files: at its next rest \
                   between two executions, before what waits for it. All of them are there when it is answered, or none.",
    request_body = ForkSession,
    params(SessionPath),
    responses(
        (status = 201, description = "The new sessions", body = Forks<'_>),
        BodyRefusals<V1>,
        (status = 404, description = "There is no session of that name", body = V1Body<'_>),
        (status = 409, description = "It has what no copy can have, or a session of one of the names lives", body = V1Body<'_>),
        (status = 503, description = "There is no room, or the server is ending", body = V1Body<'_>),
        (status = 507, description = "Checkpoints leave no room for the image of a large session", body = V1Body<'_>),
    ),
)]
pub(crate) async fn fork(
    State(app): State<Arc<App>>,
    SessionPath(id): SessionPath,
    caller: Caller,
    request: Request,
) -> Result<Response, Error> {
    let (body, _room) = body::read_json(request, &app.config, &app.room).await?;
    let names = names(&Fields::of_body(&body, &FIELDS)?)?;
    drop(body);
    let shown = names.clone();
    let named = names.into_iter().map(|name| caller.name(name)).collect();
    let views = app.engine.fork(&id, named).await.map_err(|error| match error {
        ForkError::NoSession | ForkError::Refused(CreateError::NoCheckpoint) => Error::NoSession { id: id.to_string() },
        ForkError::Refused(CreateError::Exists) => {
            Error::SessionExists { id: shown.iter().map(ToString::to_string).collect::<Vec<_>>().join("` or `") }
        }
        ForkError::Refused(CreateError::Refused(error)) => error.into(),
    })?;
    let sessions = views.into_iter().map(|view| SessionAnswer::of_list(view, &app.engine)).collect::<Result<_, _>>()?;
    Ok((StatusCode::CREATED, super::json(&Forks { sessions })?).into_response())
}

/// What they are to be called, each of them another.
fn names(fields: &Fields<'_>) -> Result<Vec<SessionId>, Error> {
    let wanted = || Error::OutOfRange {
        field: "ids".to_owned(),
        wanted: format!("a list of 1 to {COUNT_MAX} names, none twice"),
    };
    let count = fields.count("count", Bound { least: 1, most: COUNT_MAX, setting: None })?;
    let Some(ids) = fields.json::<Vec<String>>("ids", &format!("a list of 1 to {COUNT_MAX} names"))? else {
        return Ok((0..count.unwrap_or(1)).map(|_| SessionId::unique()).collect());
    };
    let is_count = count.is_none_or(|count| count == ids.len() as u64);
    if ids.is_empty() || ids.len() as u64 > COUNT_MAX || !is_count {
        return Err(wanted());
    }
    let names = ids.into_iter().map(SessionId::try_from).collect::<Result<Vec<_>, _>>();
    let names = names.map_err(|cause| Error::SessionId { field: "ids", cause })?;
    let is_twice = names.iter().enumerate().any(|(index, name)| names[..index].contains(name));
    if is_twice { Err(wanted()) } else { Ok(names) }
}

#[derive(Debug, Serialize, ToSchema)]
struct Forks<'a> {
    sessions: Vec<SessionAnswer<'a>>,
}

/// A request as clients are told of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a request is read field by field, so that a refusal can name the one at fault")]
struct ForkSession {
    /// How many; 1 where neither this nor `ids` is there.
    #[schema(required = false, minimum = 1, maximum = 64)]
    count: u64,
    /// What they are to be called, as many as `count` where that is there too; without it each is given a name.
    #[schema(required = false, min_items = 1, max_items = 64)]
    ids: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::properties;

    #[test]
    fn clients_are_told_of_the_fields_that_are_read() {
        assert_eq!(properties::<ForkSession>(), FIELDS);
    }

    #[test]
    fn names_are_as_many_as_are_wanted_and_none_is_there_twice() {
        let read = |body: &str| Fields::of_body(body.as_bytes(), &FIELDS).and_then(|fields| names(&fields));
        assert_eq!([read("{}"), read(r#"{"count": 3}"#)].map(|names| names.unwrap().len()), [1, 3]);
        for body in [r#"{"ids": ["a", "b"]}"#, r#"{"ids": ["a", "b"], "count": 2}"#] {
            assert_eq!(read(body).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>(), ["a", "b"]);
        }
        for body in [
            r#"{"ids": []}"#,
            r#"{"ids": ["a", "a"]}"#,
            r#"{"ids": ["a/b"]}"#,
            r#"{"ids": "a"}"#,
            r#"{"ids": ["a"], "count": 2}"#,
            r#"{"count": 0}"#,
            r#"{"count": 65}"#,
            r#"{"counts": 1}"#,
        ] {
            assert!(read(body).is_err(), "{body}");
        }
    }
}
