//! `POST /v1/sessions`: makes a session, with less of the operator's limits where that is asked for.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use eggbox_engine::{AskedLimits, CreateError, SessionId, SessionLimits, ranges};

use super::session::SessionAnswer;
use crate::app::App;
use crate::auth::Caller;
use crate::body;
use crate::error::Error;
use crate::fields::{Bound, Fields};

const FIELDS: [&str; 4] = ["id", "limits", "idle_seconds", "ttl_seconds"];
const LIMITS: [&str; 5] = ["wall_seconds", "cpu_seconds", "memory_bytes", "processes", "output_bytes"];

pub(crate) async fn create_session(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Error> {
    let (body, _room) = body::read_json(request, &app.config, &app.room).await?;
    let most = Most { operators: app.engine.limits(), callers: app.engine.limits_of(caller.0.as_ref()) };
    let (id, asked) = parse(&body, &most)?;
    let named = caller.name(id.clone().unwrap_or_else(SessionId::unique));
    let view = app.engine.create(Some(named), asked).await.map_err(|error| match error {
        CreateError::Exists => Error::SessionExists { id: id.map(|id| id.to_string()).unwrap_or_default() },
        CreateError::Refused(error) => error.into(),
    })?;
    let location = HeaderValue::try_from(format!("/v1/sessions/{}", view.id));
    let location = location.map_err(|cause| Error::Internal(cause.into()))?;
    let answer = super::json(&SessionAnswer::new(view, &app.engine)?)?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], answer).into_response())
}

/// What a session may have, whoever makes it, and what those of this caller may.
#[derive(Debug, Clone, Copy)]
struct Most {
    operators: SessionLimits,
    callers: SessionLimits,
}

impl Most {
    /// The bound of one of the limits, which is called `setting` where it is the operator's.
    fn bound<T: PartialOrd>(&self, least: T, limit: impl Fn(&SessionLimits) -> T, setting: &'static str) -> Bound<T> {
        let most = limit(&self.callers);
        let setting = if most < limit(&self.operators) { "of your key" } else { setting };
        Bound { least, most, setting: Some(setting) }
    }

    /// There may be none but the range.
    fn cpu_bound(&self) -> Bound<f64> {
        let [least, most] = ranges::CPU_SECONDS;
        let limit = |limits: &SessionLimits| limits.cpu_max.map_or(most, |cpu_max| cpu_max.as_secs_f64());
        let bound = self.bound(least, limit, "cpu_seconds_max");
        Bound { setting: self.callers.cpu_max.and(bound.setting), ..bound }
    }
}

/// What is asked for, within what the caller's sessions may have.
fn parse(body: &[u8], most: &Most) -> Result<(Option<SessionId>, AskedLimits), Error> {
    let fields = Fields::of_body(body, &FIELDS)?;
    let id = fields.string("id")?.map(SessionId::try_from).transpose();
    let id = id.map_err(|cause| Error::SessionId { field: "id", cause })?;
    let limits = fields.object("limits", &LIMITS)?;
    let count = |field, [least, _]: [u64; 2], limit: fn(&SessionLimits) -> u64, setting| {
        limits.count(field, most.bound(least, limit, setting))
    };
    let seconds = |fields: &Fields<'_>, field, [least, _]: [f64; 2], limit: fn(&SessionLimits) -> Duration, setting| {
        fields.seconds(field, most.bound(least, |limits| limit(limits).as_secs_f64(), setting))
    };
    let processes = count("processes", ranges::PROCESSES, |limits| limits.processes_max.into(), "processes_max")?;
    let output_bytes =
        count("output_bytes", ranges::OUTPUT_BYTES, |limits| limits.output_bytes_max as u64, "output_bytes_max")?;
    let asked = AskedLimits {
        wall_max: seconds(&limits, "wall_seconds", ranges::WALL_SECONDS, |limits| limits.wall_max, "wall_seconds_max")?,
        cpu_max: limits.seconds("cpu_seconds", most.cpu_bound())?,
        memory_bytes_max: count(
            "memory_bytes",
            ranges::MEMORY_BYTES,
            |limits| limits.memory_bytes_max,
            "memory_bytes_max",
        )?,
        // Neither is more than the operator's, which has the same type.
        processes_max: processes.map(|count| u32::try_from(count).unwrap_or(most.callers.processes_max)),
        output_bytes_max: output_bytes.map(|count| usize::try_from(count).unwrap_or(most.callers.output_bytes_max)),
        idle_max: seconds(&fields, "idle_seconds", ranges::IDLE_SECONDS, |limits| limits.idle_max, "idle_seconds_max")?,
        life_max: seconds(&fields, "ttl_seconds", ranges::LIFE_SECONDS, |limits| limits.life_max, "life_seconds_max")?,
    };
    Ok((id, asked))
}
