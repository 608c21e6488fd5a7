//! What became of an execution. A user's program failing is an outcome, never an error of ours.

use std::time::Duration;

use eggbox_sandbox::wire::{Ending, Exit};
use serde::{Deserialize, Serialize};

/// The bytes that one stream carried: the head is kept, the rest is drained, counted and dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    pub bytes: Vec<u8>,
    pub dropped_bytes: u64,
}

/// What an execution used, measured from outside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub wall: Duration,
    /// Of all processes of the session together; none where the host does not count it.
    pub cpu: Option<Duration>,
    /// The most memory that the session has held at once since it began, in bytes; none where the host does not keep it.
    pub memory_bytes_peak: Option<u64>,
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The code ran to its end, or left by `sys.exit`.
    Ok,
    /// An exception was not caught; its traceback is in `stderr`.
    Exception,
    /// The file policy refused a deletion and the code did not catch the refusal.
    Denied,
    /// Somebody has asked for an interrupt, and the code let itself be ended by it.
    Interrupted,
    /// A time limit was reached. `state` says whether an interrupt was enough or the session had to be killed.
    Timeout { limit: TimeLimit, state: SessionState },
    /// The session's memory was used up: code did not catch its MemoryError, or the kernel or the server had to end a
    /// process.
    OutOfMemory { memory_bytes_max: u64, state: SessionState },
    /// The session ended while the code ran; its state is lost.
    Died(Death),
    /// The same, but the session is as it was before the code ran.
    Rewound(Death),
    /// The session had ended before this request, which is the first to hear of it; the code did not run.
    Gone(Death),
}

/// Which time an execution had too little of, and how much that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeLimit {
    Wall(Duration),
    Cpu(Duration),
}

/// Whether the session's interpreter outlived the execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    Kept,
    Lost,
    /// It did not, and another is as it was before.
    Rewound,
}

/// Why a session ended, from its wait status or from what the server did to it; never from what it said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Death {
    /// The interpreter's process exited with this status (0 to 255).
    Exited { status: i32 },
    /// A signal of this number ended the process.
    Signal { number: i32 },
    /// Its processes together had more memory than they may.
    OutOfMemory { memory_bytes_max: u64 },
    /// It had more processes and threads than it may.
    TooManyProcesses { processes_max: u32 },
    /// An execution did not end in its time, and nobody has been told so yet.
    Timeout { limit: TimeLimit },
    /// The session sent something that is no valid answer, or closed its channel; it was killed.
    Protocol,
    /// The nest that held the session ended.
    Nest,
    /// It ended while no server was there to see why.
    Unobserved,
    /// The server was shut down and its grace was over.
    Shutdown,
    /// Somebody has asked for its end.
    Deleted,
    /// Somebody has asked for another interpreter in its place.
    Restarted,
    /// Nobody used the session for this long.
    Idle { idle_max: Duration },
    /// The session was this old.
    Life { life_max: Duration },
}

impl Outcome {
    /// Whether the session can be used again with its variables in place.
    #[must_use]
    pub fn state(&self) -> SessionState {
        match self {
            Self::Ok | Self::Exception | Self::Denied | Self::Interrupted => SessionState::Kept,
            Self::Timeout { state, .. } | Self::OutOfMemory { state, .. } => *state,
            Self::Died(_) | Self::Gone(_) => SessionState::Lost,
            Self::Rewound(_) => SessionState::Rewound,
        }
    }

    /// The same of a session that is as it was before.
    pub(crate) fn rewound(self) -> Self {
        let state = SessionState::Rewound;
        match self {
            Self::Timeout { limit, .. } => Self::Timeout { limit, state },
            Self::OutOfMemory { memory_bytes_max, .. } => Self::OutOfMemory { memory_bytes_max, state },
            Self::Died(death) => Self::Rewound(death),
            other => other,
        }
    }

    /// Why the session ended with it; none where it did not.
    pub(crate) fn death(&self) -> Option<Death> {
        match (self, self.state()) {
            (Self::Died(death) | Self::Gone(death), _) => Some(death.clone()),
            (Self::Timeout { limit, .. }, SessionState::Lost) => Some(Death::Timeout { limit: *limit }),
            (Self::OutOfMemory { memory_bytes_max, .. }, SessionState::Lost) => {
                Some(Death::OutOfMemory { memory_bytes_max: *memory_bytes_max })
            }
            _ => None,
        }
    }

    /// What the runner said, which can be wrong about nothing but the session's own code.
    pub(crate) fn of(ending: Ending, memory_bytes_max: u64) -> Self {
        match ending {
            Ending::Ok => Self::Ok,
            // An interrupt that the server did not send is the code's own KeyboardInterrupt.
            Ending::Exception | Ending::Interrupted => Self::Exception,
            Ending::Denied => Self::Denied,
            Ending::OutOfMemory => Self::OutOfMemory { memory_bytes_max, state: SessionState::Kept },
        }
    }
}

impl Death {
    /// It is what code has brought upon its session, or an accident, and not what others wanted.
    pub(crate) fn can_be_undone(&self) -> bool {
        match self {
            Self::Exited { .. }
            | Self::Signal { .. }
            | Self::OutOfMemory { .. }
            | Self::TooManyProcesses { .. }
            | Self::Timeout { .. }
            | Self::Protocol
            | Self::Nest => true,
            Self::Unobserved
            | Self::Shutdown
            | Self::Deleted
            | Self::Restarted
            | Self::Idle { .. }
            | Self::Life { .. } => false,
        }
    }
}

impl From<Exit> for Death {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Status(status) => Self::Exited { status },
            Exit::Signal(number) => Self::Signal { number },
        }
    }
}
