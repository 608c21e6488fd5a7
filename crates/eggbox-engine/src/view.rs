//! What can be seen of a session from outside.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::clock::Moment;
use crate::meter::Meter;
use crate::outcome::Death;
use crate::session_files::{Phase, Record, SessionFiles};
use crate::session_id::SessionId;
use crate::session_limits::SessionLimits;
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
    pub limits: SessionLimits,
    /// Executions that were begun.
    pub executions: u64,
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
    pub(crate) files: Arc<SessionFiles>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) limits: SessionLimits,
    pub(crate) is_behind_this_wall: bool,
    pub(crate) workspace: Place,
}

impl Held {
    pub(crate) fn view(&self) -> std::io::Result<SessionView> {
        let record = self.files.read_record()?;
        let facts = SessionFacts {
            memory_bytes: self.meter.memory_bytes(),
            memory_bytes_peak: self.meter.memory_bytes_peak(),
            expires: Some(record.at(expiry(&record, &self.limits))),
            is_behind_this_wall: self.is_behind_this_wall,
            ..facts(&record, self.limits)
        };
        let state = if record.is_running() { ViewState::Running } else { ViewState::Idle };
        Ok(SessionView { id: record.id, state, facts: Some(facts) })
    }
}

/// Of one that has ended; `limits` are the operator's, and its files what is left of it.
pub(crate) fn of_ended(
    id: SessionId,
    death: Death,
    files: Option<&SessionFiles>,
    limits: SessionLimits,
) -> std::io::Result<SessionView> {
    let record = files.map(SessionFiles::read_record).transpose()?;
    let facts = record.map(|record| {
        let last = match &record.phase {
            Phase::Idle { last: Some(last), .. } => last.usage.memory_bytes_peak,
            _ => None,
        };
        SessionFacts { memory_bytes_peak: last, ..facts(&record, limits.lowered(&record.asked)) }
    });
    Ok(SessionView { id, state: ViewState::Ended(death), facts })
}

fn facts(record: &Record, limits: SessionLimits) -> SessionFacts {
    SessionFacts {
        limits,
        executions: record.sequence,
        created: record.at(record.created),
        last_used: record.at(record.idle_since()),
        expires: None,
        memory_bytes: None,
        memory_bytes_peak: None,
        is_behind_this_wall: false,
    }
}

fn expiry(record: &Record, limits: &SessionLimits) -> Moment {
    let life_end = record.created.after(limits.life_max);
    if record.is_running() { life_end } else { record.idle_since().after(limits.idle_max).min(life_end) }
}

impl Record {
    /// The time of day of a moment after it was created, the same whenever it is asked for.
    fn at(&self, moment: Moment) -> SystemTime {
        let created = self.created_at.unwrap_or_else(|| SystemTime::now() - Moment::now().since(self.created));
        // Beyond what a time can say there is none that anybody waits for.
        created.checked_add(moment.since(self.created)).unwrap_or(created + Duration::from_secs(u32::MAX.into()))
    }
}
