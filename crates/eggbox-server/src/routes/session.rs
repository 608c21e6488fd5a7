//! A session as clients see it: what `POST /v1/sessions` and `GET /v1/sessions/{id}` answer with.

use std::collections::BTreeMap;

use eggbox_engine::{Engine, SessionFacts, SessionLimits, SessionView, ViewState};
use eggbox_sandbox::status::Status;
use serde::Serialize;

use super::execute::explain;
use super::time;
use crate::error::Error;

#[derive(Debug, Serialize)]
pub(super) struct SessionAnswer<'a> {
    id: String,
    state: &'static str,
    /// Why it has ended, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(flatten)]
    facts: Option<Facts<'a>>,
}

#[derive(Debug, Serialize)]
struct Reason {
    code: &'static str,
    message: String,
}

#[derive(Debug, Serialize)]
struct Facts<'a> {
    limits: Limits,
    idle_seconds: f64,
    ttl_seconds: f64,
    labels: BTreeMap<String, String>,
    executions: u64,
    restarts: u32,
    created: String,
    last_used: String,
    expires: Option<String>,
    memory_bytes: Option<u64>,
    memory_bytes_peak: Option<u64>,
    /// Only where one session is shown: it is long, and the same for most.
    #[serde(skip_serializing_if = "Option::is_none")]
    isolation: Option<Option<&'a Status>>,
}

#[derive(Debug, Serialize)]
struct Limits {
    wall_seconds: f64,
    cpu_seconds: Option<f64>,
    memory_bytes: u64,
    processes: u32,
    output_bytes: usize,
}

impl<'a> SessionAnswer<'a> {
    pub(super) fn new(view: SessionView, engine: &'a Engine) -> Result<Self, Error> {
        let state = state_code(&view.state);
        let reason = match &view.state {
            ViewState::Idle | ViewState::Running => None,
            ViewState::Ended(death) => Some(Reason { code: explain::code(death), message: explain::describe(death) }),
        };
        let facts = view.facts.map(|facts| Facts::new(facts, engine.status())).transpose()?;
        Ok(Self { id: view.id.to_string(), state, reason, facts })
    }

    /// One of many.
    pub(super) fn of_list(view: SessionView, engine: &'a Engine) -> Result<Self, Error> {
        let answer = Self::new(view, engine)?;
        let facts = answer.facts.map(|facts| Facts { isolation: None, ..facts });
        Ok(Self { facts, ..answer })
    }
}

impl<'a> Facts<'a> {
    fn new(facts: SessionFacts, isolation: &'a Status) -> Result<Self, Error> {
        let SessionLimits { wall_max, cpu_max, memory_bytes_max, processes_max, output_bytes_max, idle_max, life_max } =
            facts.limits;
        Ok(Self {
            limits: Limits {
                wall_seconds: wall_max.as_secs_f64(),
                cpu_seconds: cpu_max.map(|cpu_max| cpu_max.as_secs_f64()),
                memory_bytes: memory_bytes_max,
                processes: processes_max,
                output_bytes: output_bytes_max,
            },
            idle_seconds: idle_max.as_secs_f64(),
            ttl_seconds: life_max.as_secs_f64(),
            labels: facts.labels,
            executions: facts.executions,
            restarts: facts.restarts,
            created: time(facts.created)?,
            last_used: time(facts.last_used)?,
            expires: facts.expires.map(time).transpose()?,
            memory_bytes: facts.memory_bytes,
            memory_bytes_peak: facts.memory_bytes_peak,
            isolation: Some(facts.is_behind_this_wall.then_some(isolation)),
        })
    }
}

/// What it is at, for programs.
pub(super) fn state_code(state: &ViewState) -> &'static str {
    match state {
        ViewState::Idle => "idle",
        ViewState::Running => "running",
        ViewState::Ended(_) => "ended",
    }
}
