//! The end of a session by request: whoever wants it need not know how far the session is.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::session_process::kill;

/// Shared by a session's name and the session, which may not be there yet.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_wanted: bool,
    process: Option<OwnedFd>,
}

impl Ending {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the session, as soon as there is a process of it.
    pub(crate) fn want(&self) {
        let mut state = self.state();
        state.is_wanted = true;
        if let Some(process) = &state.process {
            kill(process.as_fd());
        }
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.state().is_wanted
    }

    /// This is the session's first process.
    pub(crate) fn is_of(&self, process: OwnedFd) {
        let mut state = self.state();
        if state.is_wanted {
            kill(process.as_fd());
        }
        state.process = Some(process);
    }
}
