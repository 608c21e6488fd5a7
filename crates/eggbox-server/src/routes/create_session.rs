//! `POST /v1/sessions`: makes a session, with less of the operator's limits where that is asked for.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use eggbox_engine::{AskedLimits, CreateError, SessionId, SessionLimits, ranges};
use serde::Deserialize;
use utoipa::ToSchema;

use super::session::SessionAnswer;
use crate::access_log;
use crate::app::App;
use crate::body;
use crate::error::{Error, V1Body};
use crate::fields::{Bound, Fields};
use crate::openapi::{BodyRefusals, V1};

const FIELDS: [&str; 4] = ["id", "limits", "idle_seconds", "ttl_seconds"];
const LIMITS: [&str; 5] = ["wall_seconds", "cpu_seconds", "memory_bytes", "processes", "output_bytes"];

#[utoipa::path(
    post,
    path = "/v1/sessions",
    tag = "sessions",
    summary = "Make a session",
    description = "Makes a session that may use what is asked of the operator's limits, ready for code when it is answered.",
    request_body = CreateSession,
    responses(
        (status = 201, description = "The session", body = SessionAnswer<'_>,
            headers(("location" = String, description = "Its path"))),
        BodyRefusals<V1>,
        (status = 409, description = "A session of that name lives", body = V1Body<'_>),
        (status = 503, description = "There is no room, or the server is ending", body = V1Body<'_>),
    ),
)]
pub(crate) async fn create_session(State(app): State<Arc<App>>, request: Request) -> Result<Response, Error> {
    let (body, _room) = body::read_json(request, &app.config, &app.room).await?;
    let (id, asked) = parse(&body, app.engine.limits())?;
    let view = app.engine.create(id.clone(), asked).await.map_err(|error| match error {
        CreateError::Exists => Error::SessionExists { id: id.map(String::from).unwrap_or_default() },
        CreateError::Refused(error) => error.into(),
    })?;
    let location = HeaderValue::try_from(format!("/v1/sessions/{}", view.id));
    let location = location.map_err(|cause| Error::Internal(cause.into()))?;
    let session = access_log::noted(&view.id);
    let mut answer = super::json(&SessionAnswer::new(view, &app.engine)?)?;
    access_log::note(&mut answer, session);
    Ok((StatusCode::CREATED, [(LOCATION, location)], answer).into_response())
}

/// A request as clients are told of it; [`parse`] reads it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(description = "What a session is to be like. Every field can be left out.")]
#[expect(dead_code, reason = "a request is read field by field, so that a refusal can name the one at fault")]
struct CreateSession {
    /// Its name; without it a new one is made.
    #[schema(required = false, pattern = "^[A-Za-z0-9._-]{1,128}$")]
    id: String,
    #[schema(required = false)]
    limits: CreateLimits,
    /// How long it is kept while nobody uses it.
    #[schema(required = false)]
    idle_seconds: f64,
    /// How old it may get.
    #[schema(required = false)]
    ttl_seconds: f64,
}

/// What it may use: no more than the operator's limits, which are also what holds where a field is left out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "as above")]
struct CreateLimits {
    /// Wall time of an execution.
    #[schema(required = false)]
    wall_seconds: f64,
    /// CPU time of an execution, of all its processes together.
    #[schema(required = false)]
    cpu_seconds: f64,
    #[schema(required = false)]
    memory_bytes: u64,
    /// Processes and threads.
    #[schema(required = false)]
    processes: u32,
    /// What is kept of either stream of an execution.
    #[schema(required = false)]
    output_bytes: u64,
}

/// What is asked for, within what the operator lets a session have.
fn parse(body: &[u8], operators: SessionLimits) -> Result<(Option<SessionId>, AskedLimits), Error> {
    let fields = Fields::of_body(body, &FIELDS)?;
    let id = fields.string("id")?.map(SessionId::try_from).transpose();
    let id = id.map_err(|cause| Error::SessionId { field: "id", cause })?;
    let limits = fields.object("limits", &LIMITS)?;
    let count = |field, [least, _]: [u64; 2], most: u64, setting| {
        limits.count(field, Bound { least, most, setting: Some(setting) })
    };
    let seconds = |fields: &Fields<'_>, field, [least, _]: [f64; 2], most: f64, setting| {
        fields.seconds(field, Bound { least, most, setting: Some(setting) })
    };
    let SessionLimits { wall_max, cpu_max, memory_bytes_max, processes_max, output_bytes_max, idle_max, life_max } =
        operators;
    let cpu_bound = Bound {
        least: ranges::CPU_SECONDS[0],
        most: cpu_max.map_or(ranges::CPU_SECONDS[1], |cpu_max| cpu_max.as_secs_f64()),
        setting: cpu_max.map(|_| "cpu_seconds_max"),
    };
    let processes = count("processes", ranges::PROCESSES, processes_max.into(), "processes_max")?;
    let output_bytes = count("output_bytes", ranges::OUTPUT_BYTES, output_bytes_max as u64, "output_bytes_max")?;
    let asked = AskedLimits {
        wall_max: seconds(&limits, "wall_seconds", ranges::WALL_SECONDS, wall_max.as_secs_f64(), "wall_seconds_max")?,
        cpu_max: limits.seconds("cpu_seconds", cpu_bound)?,
        memory_bytes_max: count("memory_bytes", ranges::MEMORY_BYTES, memory_bytes_max, "memory_bytes_max")?,
        // Neither is more than the operator's, which has the same type.
        processes_max: processes.map(|count| u32::try_from(count).unwrap_or(processes_max)),
        output_bytes_max: output_bytes.map(|count| usize::try_from(count).unwrap_or(output_bytes_max)),
        idle_max: seconds(&fields, "idle_seconds", ranges::IDLE_SECONDS, idle_max.as_secs_f64(), "idle_seconds_max")?,
        life_max: seconds(&fields, "ttl_seconds", ranges::LIFE_SECONDS, life_max.as_secs_f64(), "life_seconds_max")?,
    };
    Ok((id, asked))
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;

    use super::*;

    /// Names of the properties of a schema.
    fn properties(schema: impl serde::Serialize) -> Vec<String> {
        let schema = serde_json::to_value(schema).unwrap();
        schema["properties"].as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn clients_are_told_of_the_fields_that_are_read() {
        for (told, mut read) in [
            (properties(CreateSession::schema()), FIELDS.map(str::to_owned).to_vec()),
            (properties(CreateLimits::schema()), LIMITS.map(str::to_owned).to_vec()),
        ] {
            read.sort_unstable();
            assert_eq!(told, read);
        }
    }
}
