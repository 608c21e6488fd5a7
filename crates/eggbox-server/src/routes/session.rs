//! A session as clients see it: what `POST /v1/sessions` and `GET /v1/sessions/{id}` answer with.

use std::collections::BTreeMap;

use eggbox_engine::{Engine, SessionFacts, SessionLimits, SessionView, ViewState};
use eggbox_sandbox::policy::WorkspacePolicy;
use eggbox_sandbox::status::Status;
use serde::Serialize;
use utoipa::ToSchema;

use super::execute::explain;
use super::{time, wanted};
use crate::error::Error;
use crate::openapi;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session, description = "A session as it is now.")]
pub(super) struct SessionAnswer<'a> {
    id: String,
    #[schema(schema_with = openapi::session_state)]
    state: &'static str,
    /// Why it has ended, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<Reason>,
    #[serde(flatten)]
    #[schema(value_type = Facts<'_>)]
    facts: Option<Facts<'a>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EndReason)]
struct Reason {
    #[schema(schema_with = openapi::death)]
    code: &'static str,
    message: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SessionFacts, description = "Of a session that ended long ago, with many others after it, nothing of this is there.")]
struct Facts<'a> {
    /// Of which it is: its interpreter, and what that has imported.
    #[schema(required = false, schema_with = openapi::environment)]
    environment: String,
    #[schema(required = false)]
    limits: Limits,
    /// How long it is kept while nobody uses it.
    #[schema(required = false)]
    idle_seconds: f64,
    /// How old it may get.
    #[schema(required = false)]
    ttl_seconds: f64,
    #[schema(required = false)]
    labels: BTreeMap<String, String>,
    #[schema(required = false)]
    policy: Policy,
    /// The number of the one that was begun last.
    #[schema(required = false)]
    executions: u64,
    /// That which it was forked from; left out where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    parent: Option<String>,
    /// The checkpoint that it goes on from: the last that was taken of it, or that it was restored from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    checkpoint: Option<String>,
    /// Whether it takes checkpoints by itself.
    #[schema(required = false, schema_with = openapi::checkpoints)]
    checkpoints: &'static str,
    /// Why it could not be written down when that was tried last; left out where it could.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    not_checkpointed: Option<String>,
    /// How often an execution that had ended its interpreter was undone.
    #[schema(required = false)]
    rewinds: u32,
    /// How often it was given a fresh interpreter.
    #[schema(required = false)]
    restarts: u32,
    #[schema(format = DateTime, required = false)]
    created: String,
    #[schema(format = DateTime, required = false)]
    last_used: String,
    /// Null of one that has ended.
    #[schema(format = DateTime, required = false)]
    expires: Option<String>,
    /// Null where that is not known.
    #[schema(required = false)]
    memory_bytes: Option<u64>,
    /// Null where that is not known.
    #[schema(required = false)]
    memory_bytes_peak: Option<u64>,
    /// Only where one session is shown: it is long, and the same for most. Null of one that has ended, or was begun by a
    /// server with other settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<openapi::LayerSchema>>, required = false)]
    isolation: Option<Option<&'a Status>>,
}

/// What its code may do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SessionPolicy)]
struct Policy {
    /// To the files of its workspace.
    files: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SessionLimits)]
struct Limits {
    wall_seconds: f64,
    /// Null where there is none beside wall time.
    #[schema(required = true)]
    cpu_seconds: Option<f64>,
    memory_bytes: u64,
    processes: u32,
    output_bytes: usize,
}

impl<'a> SessionAnswer<'a> {
    pub(super) fn new(view: SessionView, engine: &'a Engine) -> Result<Self, Error> {
        let state = state_code(&view.state);
        let reason = match &view.state {
            ViewState::Idle | ViewState::Running | ViewState::Asleep => None,
            ViewState::Ended(death) => Some(Reason { code: death.kind(), message: explain::describe(death) }),
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
            environment: facts.environment.to_string(),
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
            policy: Policy {
                files: match facts.files {
                    WorkspacePolicy::Keep => "keep",
                    WorkspacePolicy::Full => "full",
                },
            },
            executions: facts.executions,
            parent: facts.parent.map(|parent| parent.to_string()),
            checkpoint: facts.checkpoint.map(|checkpoint| checkpoint.to_string()),
            checkpoints: wanted::text(facts.checkpoints),
            not_checkpointed: facts.obstacle,
            rewinds: facts.rewinds,
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
        ViewState::Asleep => "hibernated",
        ViewState::Ended(_) => "ended",
    }
}
