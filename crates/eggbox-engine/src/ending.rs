//! The end of a session by request: whoever wants it need not know how far the session is.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::Pid;

use crate::session_process::{kill, pid_of};

/// Shared by a session's name and the session, which may not be there yet.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_wanted: bool,
    process: Option<Arc<OwnedFd>>,
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
    pub(crate) fn is_of(&self, process: Arc<OwnedFd>) {
        let mut state = self.state();
        if state.is_wanted {
            kill(process.as_fd());
        }
        state.process = Some(process);
    }

    /// The number on the host of the session's first process; none where it is gone, or not there yet.
    pub(crate) fn pid(&self) -> Option<Pid> {
        self.state().process.as_ref().and_then(|process| pid_of(process.as_fd()))
    }
}
