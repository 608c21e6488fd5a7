//! Executions that are asked of a session as one that was made: it is not made anew where it has ended.

use std::io;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Claim, Manner, Registry};
use crate::engine::ExecuteError;
use crate::environments::is_true;
use crate::executions::{Asked, Executions, LiveExecutions};
use crate::history::History;
use crate::names::{Gone, Live};
use crate::outcome::Death;
use crate::request::Code;
use crate::session_id::SessionId;

/// Why there is no such execution.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("there is no session of that name")]
    NoSession,
    #[error("the session has ended")]
    Ended(Death),
    #[error("something else was asked for under that key, as execution {number}")]
    KeyTaken { number: u64 },
    #[error(transparent)]
    Refused(#[from] ExecuteError),
}

impl Registry {
    /// The executions of the session of that name; none where there is none. One that is being started is waited for.
    pub(crate) async fn executions(&self, id: &SessionId) -> Option<Executions> {
        loop {
            let live = self.names().live.get(id).map(|live| (live.held.clone(), Arc::clone(&live.board)));
            let Some((mut held, board)) = live else { break };
            // An error where it could not be started, or has ended just now.
            let Ok(held) = held.wait_for(Option::is_some).await.map(|held| held.clone()) else { break };
            if let Some(held) = held {
                let (limits, wish) = (held.limits, held.wish);
                let live = Some(LiveExecutions { limits, board, wish });
                return Some(Executions { id: id.clone(), history: held.history, live });
            }
        }
        let asleep = self.names().asleep.get(id).map(|sleeper| (Arc::clone(&sleeper.stored), sleeper.history.clone()));
        if let Some((_, Some(history))) = asleep {
            return Some(Executions { id: id.clone(), history, live: None });
        }
        if let Some((stored, None)) = asleep {
            let read = tokio::task::spawn_blocking(move || History::read(&stored.history_folder())).await;
            let history = read.map_err(io::Error::other).flatten();
            let history =
                history.inspect_err(|error| tracing::error!(session = %id, %error, "a history cannot be read"));
            return Some(Executions { id: id.clone(), history: Arc::new(history.ok()?), live: None });
        }
        let names = self.names();
        let Gone { history, .. } = names.gone.get(id)?;
        Some(Executions { id: id.clone(), history: Arc::clone(history.as_ref()?), live: None })
    }

    /// Asks for an execution, or finds the one that was asked for under the same key. It goes on to its end whatever becomes
    /// of what this returns.
    pub(crate) async fn ask(self: &Arc<Self>, id: &SessionId, code: Code) -> Result<Asked, AskError> {
        self.wake_up(id).await?;
        let Some(executions) = self.executions(id).await else {
            let gone = self.names().gone.get(id).map(|gone| gone.death.clone());
            return Err(gone.map_or(AskError::NoSession, AskError::Ended));
        };
        let board = executions.live.as_ref().map(|live| Arc::clone(&live.board));
        let (reply, answer) = oneshot::channel();
        let claim = Claim::default();
        let idempotency = code.idempotency;
        let number = {
            let names = self.names();
            // The one that was looked at, and no other of that name that has come since.
            let is_it = |live: &&Live| board.as_ref().is_some_and(|board| Arc::ptr_eq(board, &live.board));
            let live = names.live.get(id).filter(|live| !live.queue.is_closed()).filter(is_it);
            let known = idempotency.and_then(|idempotency| {
                let waiting = live.and_then(|live| live.board.asked(idempotency));
                executions.history.asked(idempotency).or(waiting)
            });
            match (known, live) {
                (Some((number, true)), _) => {
                    drop(names);
                    return Ok(Asked { number, is_known: true, executions, end: None });
                }
                (Some((number, false)), _) => return Err(AskError::KeyTaken { number }),
                (None, Some(live)) => {
                    let request = self.request(code, claim.clone(), Manner::AsMade, reply);
                    let before = live.board.last();
                    if self.enqueue(live, request)?.is_some() {
                        return Err(AskError::NoSession);
                    }
                    before + 1
                }
                (None, None) => {
                    let gone = names.gone.get(id).map(|gone| gone.death.clone());
                    return Err(gone.map_or(AskError::NoSession, AskError::Ended));
                }
            }
        };
        let (told, end) = oneshot::channel();
        let (registry, handing_over) = (Arc::clone(self), is_true(&self.is_handing_over));
        // In a task of its own: nobody may be waiting.
        tokio::spawn(async move {
            // Whoever asked may have gone.
            let _ = told.send(registry.answered(answer, &claim, handing_over).await);
        });
        Ok(Asked { number, is_known: false, executions, end: Some(end) })
    }
}
