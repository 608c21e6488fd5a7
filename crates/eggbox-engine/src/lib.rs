//! Sessions and executions. Owns the nest's process, each session's channel and output, queues and deadlines.
//! Knows nothing of HTTP and has no unsafe code.

#![forbid(unsafe_code)]

mod engine;
mod config;
mod session_id;
mod session_limits;
mod view;
mod outcome;
mod counts;
mod histogram;
mod code;
mod registry;
mod names;
mod ending;
mod session;
mod execution;
mod session_process;
mod session_files;
mod output;
mod late;
mod meter;
mod load;
mod watchdog;
mod environment;
mod inheritance;
mod nest;
mod slots;
mod pool;
mod keeper;
mod kept;
mod state_dir;
mod clock;

pub use code::{Code, Witness};
pub use config::{EngineConfig, EnvironmentConfig, Limits, Preload};
pub use counts::{Counts, DEATHS, Gauges};
pub use engine::{CreateError, Engine, ExecuteError, StartError, Unready};
pub use environment::EnvironmentError;
pub use histogram::{Distribution, Histogram};
pub use keeper::{KeeperError, abandon, run as run_keeper};
pub use nest::{NestError, SpawnError};
pub use outcome::{Death, Execution, Outcome, Output, SessionState, TimeLimit, Usage};
pub use pool::PoolStatus;
pub use session::SessionError;
pub use session_files::LastExecution;
pub use session_id::{SESSION_ID_BYTES_MAX, SessionId, SessionIdError};
pub use session_limits::{AskedLimits, SessionLimits, ranges};
pub use state_dir::StateDirError;
pub use view::{SessionFacts, SessionView, ViewState};
