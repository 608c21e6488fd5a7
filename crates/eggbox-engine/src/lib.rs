//! Sessions and executions. Owns the nest's process, each session's channel and output, queues and deadlines.
//! Knows nothing of HTTP and has no unsafe code.

#![forbid(unsafe_code)]

mod engine;
mod config;
mod session_id;
mod outcome;
mod registry;
mod session;
mod output;
mod environment;
mod nest;
mod state_dir;

pub use config::{EngineConfig, EnvironmentConfig, Limits, Preload};
pub use engine::{Engine, ExecuteError, StartError};
pub use environment::EnvironmentError;
pub use nest::{NestError, SpawnError};
pub use outcome::{Death, Execution, Outcome, Output, SessionState};
pub use session::SessionError;
pub use session_id::{SESSION_ID_BYTES_MAX, SessionId, SessionIdError};
pub use state_dir::StateDirError;
