//! A fresh interpreter for a session, by request.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::engine::ExecuteError;

/// Shared by a session's name and its task.
#[derive(Debug, Default)]
pub(crate) struct Restart {
    wanted: Mutex<Vec<Reply>>,
    wish: Notify,
}

/// Hears when the session has another interpreter, or why it has not.
pub(crate) type Reply = oneshot::Sender<Result<(), ExecuteError>>;

impl Restart {
    fn replies(&self) -> MutexGuard<'_, Vec<Reply>> {
        // Every change is a single step.
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn want(&self, reply: Reply) {
        self.replies().push(reply);
        self.wish.notify_one();
    }

    /// Returns when somebody wants it.
    pub(crate) async fn wanted(&self) {
        while self.replies().is_empty() {
            self.wish.notified().await;
        }
    }

    pub(crate) fn is_wanted(&self) -> bool {
        !self.replies().is_empty()
    }

    /// Whoever wants it: one restart is enough for all of them.
    pub(crate) fn take(&self) -> Vec<Reply> {
        std::mem::take(&mut *self.replies())
    }
}
