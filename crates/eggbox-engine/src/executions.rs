//! The executions of a session, for those who look at them and for those who ask for one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::board::Board;
use crate::engine::ExecuteError;
use crate::history::{EventReader, ExecutionState, ExecutionView, History, HistoryError, Pin, Value};
use crate::outcome::{Death, Outcome, Output, Usage};
use crate::session_id::SessionId;
use crate::session_limits::SessionLimits;
use crate::wish::Wish;

/// An execution that has ended, or that never began as its session had.
#[derive(Debug)]
pub struct Execution {
    pub session: SessionId,
    pub outcome: Outcome,
    pub usage: Usage,
    /// Where the rest is, and its number there.
    pub(crate) past: Option<Past>,
}

/// Where an execution can be read. It is not forgotten as long as this is there.
#[derive(Debug)]
pub(crate) struct Past {
    history: Arc<History>,
    number: u64,
    _pin: Option<Pin>,
}

impl Past {
    pub(crate) fn new(history: &Arc<History>, number: u64) -> Self {
        Self { history: Arc::clone(history), number, _pin: history.pin(number) }
    }
}

impl Execution {
    /// The answer to the first request after the end of its session.
    pub(crate) fn gone(session: SessionId, death: Death) -> Self {
        Self { session, outcome: Outcome::Gone(death), usage: Usage::default(), past: None }
    }

    /// What it has printed to stdout and stderr.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub fn output(&self) -> Result<[Output; 2], HistoryError> {
        self.past.as_ref().map_or_else(|| Ok(<_>::default()), |past| past.history.output(past.number))
    }

    /// How many bytes it has printed that are kept.
    #[must_use]
    pub fn output_bytes(&self) -> u64 {
        self.past.as_ref().map_or(0, |past| past.history.output_bytes(past.number))
    }
}

/// An execution that was asked for.
#[derive(Debug)]
pub struct Asked {
    pub number: u64,
    /// It was asked for before, under the same key.
    pub is_known: bool,
    pub executions: Executions,
    /// The end of one that is new. Dropping it does not cancel the execution.
    pub end: Option<oneshot::Receiver<Result<Execution, ExecuteError>>>,
}

/// A handle on the executions of one session.
#[derive(Debug, Clone)]
pub struct Executions {
    pub(crate) id: SessionId,
    pub(crate) history: Arc<History>,
    /// Of a session that lives.
    pub(crate) live: Option<LiveExecutions>,
}

#[derive(Debug, Clone)]
pub(crate) struct LiveExecutions {
    pub(crate) limits: SessionLimits,
    pub(crate) board: Arc<Board>,
    pub(crate) wish: mpsc::Sender<Wish>,
}

/// How far an execution is that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It waits for others before it.
    Queued {
        number: u64,
    },
    Begun(ExecutionView),
}

impl Progress {
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self, Self::Begun(ExecutionView { state: ExecutionState::Finished { .. }, .. }))
    }
}

impl Executions {
    #[must_use]
    pub fn session(&self) -> &SessionId {
        &self.id
    }

    /// What each may use, of a session that lives.
    #[must_use]
    pub fn limits(&self) -> Option<SessionLimits> {
        self.live.as_ref().map(|live| live.limits)
    }

    /// Whether there was such an execution, which is forgotten now.
    #[must_use]
    pub fn was_forgotten(&self, number: u64) -> bool {
        number > 0 && number <= self.history.last_number() && self.get(number).is_none()
    }

    /// Those that are not forgotten, from the oldest, with those that wait.
    #[must_use]
    pub fn list(&self) -> Vec<Progress> {
        // In this order: one that begins in between is there twice, and the second time is left out.
        let waiting = self.live.as_ref().map(|live| live.board.waiting()).unwrap_or_default();
        let begun = self.history.executions();
        let last = begun.last().map_or(0, |view| view.number);
        let waiting = waiting.into_iter().filter(|number| *number > last);
        let waiting = waiting.map(|number| Progress::Queued { number });
        begun.into_iter().map(Progress::Begun).chain(waiting).collect()
    }

    /// None where it is forgotten, was given up, or never was.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<Progress> {
        let is_waiting = self.live.as_ref().is_some_and(|live| live.board.is_waiting(number));
        match self.history.execution(number) {
            Some(view) => Some(Progress::Begun(view)),
            None => is_waiting.then_some(Progress::Queued { number }),
        }
    }

    /// Returns when it has ended or does not exist, at the latest after `wait_max`.
    pub async fn wait(&self, number: u64, wait_max: Duration) {
        let ended = self.until(|progress| progress.is_none_or(|progress| progress.is_finished()), number);
        // It is looked at again in any case.
        let _ = timeout(wait_max, ended).await;
    }

    /// Returns when it has begun, or does not exist.
    pub async fn begun(&self, number: u64) {
        self.until(|progress| !matches!(progress, Some(Progress::Queued { .. })), number).await;
    }

    async fn until(&self, is_so: impl Fn(Option<Progress>) -> bool, number: u64) {
        loop {
            let changed = self.history.changed();
            let left = self.live.as_ref().map(|live| live.board.changed());
            if is_so(self.get(number)) {
                return;
            }
            match left {
                Some(left) => tokio::select! {
                    () = changed => {}
                    () = left => {}
                },
                None => changed.await,
            }
        }
    }

    /// What it has printed to stdout and stderr so far.
    ///
    /// # Errors
    /// Where it is forgotten, or was never begun.
    pub fn output(&self, number: u64) -> Result<[Output; 2], HistoryError> {
        self.history.output(number)
    }

    /// What it has shown beside that so far, in its order.
    ///
    /// # Errors
    /// As [`Self::output`].
    pub fn values(&self, number: u64) -> Result<Vec<Value>, HistoryError> {
        self.history.values(number)
    }

    /// How many bytes it has printed and shown that are kept.
    #[must_use]
    pub fn bytes(&self, number: u64) -> u64 {
        self.history.output_bytes(number)
    }

    /// Its events, from that one on.
    #[must_use]
    pub fn events(&self, number: u64, from: u64) -> EventReader {
        EventReader::new(Arc::clone(&self.history), number, from)
    }

    /// Gives one up that waits, or raises KeyboardInterrupt in the one that runs. False where it does neither.
    #[must_use]
    pub fn interrupt(&self, number: u64) -> bool {
        let Some(live) = &self.live else { return false };
        if live.board.give_up(number) {
            return true;
        }
        let is_running = self.history.running().is_some_and(|begun| begun.number == number);
        // Where the session has a dozen such wishes before it, it is about to have heard of this one.
        is_running && (live.wish.try_send(Wish::Interrupt { number }).is_ok() || live.wish.capacity() == 0)
    }

    /// The number of the execution that runs.
    #[must_use]
    pub fn running(&self) -> Option<u64> {
        self.history.running().map(|begun| begun.number)
    }

    /// Gives the line that the execution waits for, or the end of its input. False where it waits for none.
    pub async fn give_line(&self, number: u64, text: Option<String>) -> bool {
        let Some(live) = &self.live else { return false };
        if self.running() != Some(number) {
            return false;
        }
        let (reply, given) = oneshot::channel();
        live.wish.send(Wish::Line { number, text, reply }).await.is_ok() && given.await.unwrap_or(false)
    }
}
