//! What is done for a session while it is at rest, before what waits for it.

use std::sync::Arc;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use super::forking::Fork;
use super::{InFlight, Registry};
use crate::checkpoint_id::CheckpointId;
use crate::checkpoints::Stored;
use crate::engine::{CheckpointError, ExecuteError};
use crate::session_id::SessionId;

/// For a session's task.
#[derive(Debug)]
pub(crate) enum Errand {
    Fork(Fork),
    /// To write down how it is, under that name.
    Checkpoint {
        id: CheckpointId,
        reply: Reply<Arc<Stored>>,
    },
    /// To become what it was there, or what another was.
    Restore {
        checkpoint: Arc<Stored>,
        reply: Reply<()>,
    },
    /// To go to sleep until it is asked for. Nobody waits for it where the server wants that by itself.
    Sleep {
        reply: Option<Reply<()>>,
    },
}

/// To whoever waits for an errand, who is counted as long as it is not answered.
#[derive(Debug)]
pub(crate) struct Reply<T> {
    sender: oneshot::Sender<Result<T, CheckpointError>>,
    _in_flight: InFlight,
}

impl<T> Reply<T> {
    pub(super) fn send(self, result: Result<T, CheckpointError>) {
        // Whoever waited may have gone.
        let _ = self.sender.send(result);
    }
}

impl Registry {
    /// Has the session of that name run an errand at its next rest, and waits for what comes of it. One that sleeps is woken.
    pub(super) async fn send_errand<T>(
        self: &Arc<Self>,
        id: &SessionId,
        errand: impl FnOnce(Reply<T>) -> Errand,
    ) -> Result<T, CheckpointError> {
        let (sender, answer) = oneshot::channel();
        let reply = Reply { sender, _in_flight: InFlight::new(self) };
        self.wake_up(id).await?;
        {
            let names = self.names();
            let live = names.live.get(id).filter(|live| !live.queue.is_closed()).ok_or(CheckpointError::NoSession)?;
            live.errands.try_send(errand(reply)).map_err(|refused| match refused {
                TrySendError::Full(_) => ExecuteError::QueueFull { queue_max: self.config.limits.queue_max }.into(),
                TrySendError::Closed(_) => CheckpointError::NoSession,
            })?;
        }
        // It has ended, or could not be woken.
        answer.await.unwrap_or(Err(CheckpointError::NoSession))
    }
}
