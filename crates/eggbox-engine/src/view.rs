//! What can be seen of a session from outside.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use eggbox_sandbox::policy::WorkspacePolicy;
use tokio::sync::mpsc;

use crate::clock::Moment;
use crate::environment_name::EnvironmentName;
use crate::history::{ExecutionState, History, Record};
use crate::meter::Meter;
use crate::outcome::Death;
use crate::session_id::SessionId;
use crate::session_limits::SessionLimits;
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

fn facts(history: &History, limits: SessionLimits, usual_files: WorkspacePolicy) -> SessionFacts {
    let record = history.record();
    SessionFacts {
        limits,
        executions: history.last_number(),
        files: record.files.unwrap_or(usual_files),
        parent: record.parent.clone(),
        restarts: record.restarts,
        created: record.at(record.created),
        last_used: record.at(history.idle_since().unwrap_or_else(Moment::now)),
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
