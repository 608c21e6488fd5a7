//! What can be seen of a session from outside.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use eggbox_sandbox::policy::WorkspacePolicy;
use tokio::sync::mpsc;

use crate::checkpoint_id::CheckpointId;
use crate::checkpoints::Manifest;
use crate::clock::Moment;
use crate::environment_name::EnvironmentName;
use crate::history::{ExecutionState, History, Record};
use crate::meter::Meter;
use crate::obstacle::Obstacle;
use crate::outcome::Death;
use crate::session_id::SessionId;
use crate::session_limits::SessionLimits;
use crate::wanted::Checkpointing;
use crate::wish::Wish;
use crate::workspace::Place;

/// A session as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    pub id: SessionId,
    pub state: ViewState,
    /// None of a session that has ended long ago.
    pub facts: Option<SessionFacts>,
}

/// What a session is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewState {
    Idle,
    Running,
    /// It is on the disk until somebody asks for it.
    Asleep,
    /// It has ended, and nobody was told so yet.
    Ended(Death),
}

/// What is written down of a session and what is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFacts {
    /// Of which it is.
    pub environment: EnvironmentName,
    pub limits: SessionLimits,
    pub labels: BTreeMap<String, String>,
    /// The number of the execution that was begun last.
    pub executions: u64,
    /// What code may do to the files of its workspace.
    pub files: WorkspacePolicy,
    /// That which it was forked from, if it was.
    pub parent: Option<SessionId>,
    /// The checkpoint that it goes on from, if there is one: the last that it was restored from, or that was taken of it.
    pub checkpoint: Option<CheckpointId>,
    /// Whether it takes others by itself.
    pub checkpoints: Checkpointing,
    /// Why it could not be written down, or woken, when that was tried last; none where it could, or nobody has tried.
    pub obstacle: Option<String>,
    /// How often an execution was undone that had ended its interpreter.
    pub rewinds: u32,
    /// How often it was given another interpreter.
    pub restarts: u32,
    pub created: SystemTime,
    /// When its last execution ended, or now where one runs.
    pub last_used: SystemTime,
    /// When it will end unless it is used before; none where it has ended.
    pub expires: Option<SystemTime>,
    /// The memory that it has; none where the host does not count it, or it has ended.
    pub memory_bytes: Option<u64>,
    /// The most memory that it has held at once; none where the host does not count it.
    pub memory_bytes_peak: Option<u64>,
    /// Its wall is what the engine's status describes: it was not begun by an earlier server with other settings.
    pub is_behind_this_wall: bool,
}

/// What others may look at of a session that lives.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) history: Arc<History>,
    pub(crate) wish: mpsc::Sender<Wish>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) limits: SessionLimits,
    pub(crate) is_behind_this_wall: bool,
    pub(crate) workspace: Place,
    pub(crate) obstacle: Obstacle,
    /// What code may do to workspaces where nothing else was asked for.
    pub(crate) usual_files: WorkspacePolicy,
}

impl Held {
    pub(crate) fn view(&self) -> SessionView {
        let record = self.history.record();
        let limits = self.limits.lowered(&record.asked);
        let idle_since = self.history.idle_since();
        let life_end = record.created.after(limits.life_max);
        let expires = idle_since.map_or(life_end, |since| since.after(limits.idle_max).min(life_end));
        let facts = SessionFacts {
            memory_bytes: self.meter.memory_bytes(),
            memory_bytes_peak: self.meter.memory_bytes_peak(),
            expires: Some(record.at(expires)),
            is_behind_this_wall: self.is_behind_this_wall,
            obstacle: self.obstacle.get(),
            ..facts(&self.history, limits, self.usual_files)
        };
        let state = if idle_since.is_none() { ViewState::Running } else { ViewState::Idle };
        SessionView { id: record.id, state, facts: Some(facts) }
    }
}

/// Of one that has ended; `limits` are the operator's, and its history what is left of it.
pub(crate) fn of_ended(
    id: SessionId,
    death: Death,
    history: Option<&History>,
    limits: SessionLimits,
    usual_files: WorkspacePolicy,
) -> SessionView {
    let facts = history.map(|history| {
        let memory_bytes_peak = match history.last().map(|last| last.state) {
            Some(ExecutionState::Finished { usage, .. }) => usage.memory_bytes_peak,
            _ => None,
        };
        SessionFacts { memory_bytes_peak, ..facts(history, limits.lowered(&history.record().asked), usual_files) }
    });
    SessionView { id, state: ViewState::Ended(death), facts }
}

/// Of one that sleeps; `limits` are the operator's.
pub(crate) fn of_asleep(
    manifest: &Manifest,
    obstacle: Option<String>,
    limits: SessionLimits,
    usual_files: WorkspacePolicy,
) -> SessionView {
    let record = &manifest.record;
    let limits = limits.lowered(&record.asked);
    let facts = SessionFacts {
        expires: record.created_at.checked_add(limits.life_max),
        obstacle,
        ..facts_of(record.clone(), (manifest.executions, manifest.created_at), limits, usual_files)
    };
    SessionView { id: manifest.session.clone(), state: ViewState::Asleep, facts: Some(facts) }
}

fn facts(history: &History, limits: SessionLimits, usual_files: WorkspacePolicy) -> SessionFacts {
    let record = history.record();
    let last_used = record.at(history.idle_since().unwrap_or_else(Moment::now));
    facts_of(record, (history.last_number(), last_used), limits, usual_files)
}

fn facts_of(
    record: Record,
    (executions, last_used): (u64, SystemTime),
    limits: SessionLimits,
    usual_files: WorkspacePolicy,
) -> SessionFacts {
    SessionFacts {
        limits,
        executions,
        files: record.files.unwrap_or(usual_files),
        parent: record.parent,
        checkpoint: record.checkpoint,
        checkpoints: record.checkpoints,
        obstacle: None,
        rewinds: record.rewinds,
        restarts: record.restarts,
        created: record.created_at,
        last_used,
        expires: None,
        memory_bytes: None,
        memory_bytes_peak: None,
        is_behind_this_wall: false,
        environment: record.environment,
        labels: record.labels,
    }
}

impl Record {
    /// The time of day of a moment after it was created, the same whenever it is asked for.
    fn at(&self, moment: Moment) -> SystemTime {
        let created = self.created_at;
        // Beyond what a time can say there is none that anybody waits for.
        created.checked_add(moment.since(self.created)).unwrap_or(created + Duration::from_secs(u32::MAX.into()))
    }
}
