//! What became of an execution. A user's program failing is an outcome, never an error of ours.

use std::time::Duration;

use eggbox_sandbox::wire::Ending;

use crate::session_id::SessionId;

/// A finished execution, as the engine saw it from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    pub session: SessionId,
    pub stdout: Output,
    pub stderr: Output,
    pub outcome: Outcome,
}

/// The bytes that one stream carried: the head is kept, the rest is drained, counted and dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    pub bytes: Vec<u8>,
    pub dropped_bytes: u64,
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The code ran to its end, or left by `sys.exit`.
    Ok,
    /// An exception was not caught; its traceback is in `stderr`.
    Exception,
    /// The file policy refused a deletion and the code did not catch the refusal.
    Denied,
    /// The wall time was over. `state` says whether an interrupt was enough or the session had to be killed.
    Timeout { wall_max: Duration, state: SessionState },
    /// The session ended while the code ran; its state is lost.
    Died(Death),
    /// The session had ended before this request, which is the first to hear of it; the code did not run.
    Gone(Death),
}

/// Whether the session's interpreter outlived the execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    Kept,
    Lost,
}

/// Why a session ended, from its wait status or from what the server did to it; never from what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Death {
    /// The interpreter's process exited with this status (0 to 255).
    Exited { status: i32 },
    /// A signal of this number ended the process.
    Signal { number: i32 },
    /// The session sent something that is no valid answer, or closed its channel; it was killed.
    Protocol,
    /// The nest that held the session ended.
    Nest,
    /// The server was shut down and its grace was over.
    Shutdown,
    /// Nobody used the session for this long.
    Idle { idle_max: Duration },
}

impl Outcome {
    /// Whether the session can be used again with its variables in place.
    #[must_use]
    pub fn state(&self) -> SessionState {
        match self {
            Self::Ok | Self::Exception | Self::Denied => SessionState::Kept,
            Self::Timeout { state, .. } => *state,
            Self::Died(_) | Self::Gone(_) => SessionState::Lost,
        }
    }
}

impl From<Ending> for Outcome {
    /// What the runner said, which can be wrong about nothing but the session's own code.
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Ok => Self::Ok,
            // An interrupt that the server did not send is the code's own KeyboardInterrupt.
            Ending::Exception | Ending::Interrupted => Self::Exception,
            Ending::Denied => Self::Denied,
        }
    }
}
