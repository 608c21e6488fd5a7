//! `POST /v1/sessions`: makes a session, with less of the operator's limits where that is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use eggbox_engine::{
    AskedLimits, CreateError, LABELS_BYTES_MAX, LABELS_MAX, SessionId, SessionLimits, WantedSession, ranges,
};

use super::session::SessionAnswer;
use crate::app::App;
use crate::body;
use crate::error::Error;
use crate::fields::{Bound, Fields};

pub(super) const FIELDS: [&str; 6] = ["id", "limits", "labels", "env", "idle_seconds", "ttl_seconds"];
/// Of the variables that a session is to have, names and values together: they go by way of the file with its code.
const ENVIRONMENT_BYTES_MAX: usize = 64 * 1024;
const LIMITS: [&str; 5] = ["wall_seconds", "cpu_seconds", "memory_bytes", "processes", "output_bytes"];

pub(crate) async fn create_session(State(app): State<Arc<App>>, request: Request) -> Result<Response, Error> {
    let (body, _room) = body::read_json(request, &app.config, &app.room).await?;
    let fields = Fields::of_body(&body, &FIELDS)?;
    let (id, wanted) = (session_id(&fields)?, wanted(&fields, app.engine.limits())?);
    let view = app.engine.create(id.clone(), wanted).await.map_err(|error| match error {
        CreateError::Exists => Error::SessionExists { id: id.map(String::from).unwrap_or_default() },
        CreateError::Refused(error) => error.into(),
    })?;
    let location = HeaderValue::try_from(format!("/v1/sessions/{}", view.id));
    let location = location.map_err(|cause| Error::Internal(cause.into()))?;
    let answer = super::json(&SessionAnswer::new(view, &app.engine)?)?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], answer).into_response())
}

fn session_id(fields: &Fields<'_>) -> Result<Option<SessionId>, Error> {
    let id = fields.string("id")?.map(SessionId::try_from).transpose();
    id.map_err(|cause| Error::SessionId { field: "id", cause })
}

/// What is asked for, within what the operator lets a session have.
pub(super) fn wanted(fields: &Fields<'_>, operators: SessionLimits) -> Result<WantedSession, Error> {
    let (limits, labels) = (limits(fields, operators)?, labels(fields)?.unwrap_or_default());
    Ok(WantedSession { limits, labels, environment: environment(fields)? })
}

/// None where nothing is said of them.
pub(super) fn labels(fields: &Fields<'_>) -> Result<Option<BTreeMap<String, String>>, Error> {
    let Some(labels) = fields.strings("labels")? else { return Ok(None) };
    let bytes: usize = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
    let is_plain = |text: &String| !text.contains(char::is_control);
    let are_plain = labels.iter().all(|(name, value)| !name.is_empty() && is_plain(name) && is_plain(value));
    if labels.len() > LABELS_MAX || bytes > LABELS_BYTES_MAX || !are_plain {
        let wanted = format!(
            "at most {LABELS_MAX} labels of {LABELS_BYTES_MAX} bytes together, with names and without control characters"
        );
        return Err(Error::OutOfRange { field: "labels".to_owned(), wanted });
    }
    Ok(Some(labels))
}

fn environment(fields: &Fields<'_>) -> Result<BTreeMap<String, String>, Error> {
    let variables = fields.strings("env")?.unwrap_or_default();
    let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
    let is_valid =
        |(name, value): (&String, &String)| !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
    if bytes > ENVIRONMENT_BYTES_MAX || !variables.iter().all(is_valid) {
        let wanted = format!(
            "variables of at most {ENVIRONMENT_BYTES_MAX} bytes together, with names without `=`, and no NUL in them"
        );
        return Err(Error::OutOfRange { field: "env".to_owned(), wanted });
    }
    Ok(variables)
}

/// How long it may stay unused, and in all.
pub(super) fn idle_and_life(
    fields: &Fields<'_>,
    SessionLimits { idle_max, life_max, .. }: SessionLimits,
) -> Result<(Option<Duration>, Option<Duration>), Error> {
    let seconds = |field, [least, _]: [f64; 2], most: Duration, setting| {
        fields.seconds(field, Bound { least, most: most.as_secs_f64(), setting: Some(setting) })
    };
    Ok((
        seconds("idle_seconds", ranges::IDLE_SECONDS, idle_max, "idle_seconds_max")?,
        seconds("ttl_seconds", ranges::LIFE_SECONDS, life_max, "life_seconds_max")?,
    ))
}

fn limits(fields: &Fields<'_>, operators: SessionLimits) -> Result<AskedLimits, Error> {
    let limits = fields.object("limits", &LIMITS)?;
    let count = |field, [least, _]: [u64; 2], most: u64, setting| {
        limits.count(field, Bound { least, most, setting: Some(setting) })
    };
    let SessionLimits { wall_max, cpu_max, memory_bytes_max, processes_max, output_bytes_max, .. } = operators;
    let (idle_max, life_max) = idle_and_life(fields, operators)?;
    let wall_bound =
        Bound { least: ranges::WALL_SECONDS[0], most: wall_max.as_secs_f64(), setting: Some("wall_seconds_max") };
    let cpu_bound = Bound {
        least: ranges::CPU_SECONDS[0],
        most: cpu_max.map_or(ranges::CPU_SECONDS[1], |cpu_max| cpu_max.as_secs_f64()),
        setting: cpu_max.map(|_| "cpu_seconds_max"),
    };
    let processes = count("processes", ranges::PROCESSES, processes_max.into(), "processes_max")?;
    let output_bytes = count("output_bytes", ranges::OUTPUT_BYTES, output_bytes_max as u64, "output_bytes_max")?;
    Ok(AskedLimits {
        wall_max: limits.seconds("wall_seconds", wall_bound)?,
        cpu_max: limits.seconds("cpu_seconds", cpu_bound)?,
        memory_bytes_max: count("memory_bytes", ranges::MEMORY_BYTES, memory_bytes_max, "memory_bytes_max")?,
        // Neither is more than the operator's, which has the same type.
        processes_max: processes.map(|count| u32::try_from(count).unwrap_or(processes_max)),
        output_bytes_max: output_bytes.map(|count| usize::try_from(count).unwrap_or(output_bytes_max)),
        idle_max,
        life_max,
    })
}
