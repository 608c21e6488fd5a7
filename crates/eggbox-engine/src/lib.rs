//! Sessions and executions. Owns the nest's process, each session's channel and output, queues and deadlines.
//! Knows nothing of HTTP and has no unsafe code.

#![forbid(unsafe_code)]

mod engine;
mod config;
mod session_id;
mod owner;
mod owners;
mod session_limits;
mod view;
mod obstacle;
mod outcome;
mod request;
mod wanted;
mod executions;
mod counts;
mod histogram;
mod registry;
mod names;
mod board;
mod ending;
mod restart;
mod session;
mod execution;
mod session_process;
mod code_file;
mod wish;
mod publication;
mod history;
mod workspace;
mod checkpoints;
mod checkpoint_id;
mod checkpoint_view;
mod output;
mod late;
mod meter;
mod load;
mod watchdog;
mod image;
mod environment;
mod environments;
mod environment_name;
mod short_name;
mod inheritance;
mod nest;
mod slots;
mod pool;
mod keeper;
mod kept;
mod state_dir;
mod clock;

pub use checkpoint_id::CheckpointId;
pub use checkpoint_view::CheckpointView;
pub use checkpoints::{CheckpointKind, CheckpointLimits, TransferError, export_checkpoint, import_checkpoint};
pub use config::{EngineConfig, EnvironmentConfig, Hibernation, Limits, Preload};
pub use counts::{Counts, DEATHS, Gauges, OUTCOMES};
pub use eggbox_sandbox::wire::ValueKind;
pub use engine::{CheckpointError, CreateError, Engine, ExecuteError, ForkError, StartError, Unready};
pub use environment::EnvironmentError;
pub use environment_name::EnvironmentName;
pub use executions::{Asked, Execution, Executions, Progress};
pub use histogram::{Distribution, Histogram};
pub use history::{
    EXECUTIONS_KEPT_MAX, Event, EventReader, EventRecord, ExecutionState, ExecutionView, HistoryError, Value,
};
pub use keeper::{KeeperError, abandon, run as run_keeper};
pub use nest::{NestError, SpawnError};
pub use outcome::{Death, Outcome, Output, SessionState, TimeLimit, Usage};
pub use owner::{Owner, OwnerLimits};
pub use pool::PoolStatus;
pub use registry::AskError;
pub use request::{Code, Idempotency, Witness};
pub use session::SessionError;
pub use session_id::{SESSION_ID_BYTES_MAX, SessionId, SessionIdError};
pub use session_limits::{AskedLimits, SessionLimits, ranges};
pub use short_name::{NAME_BYTES_MAX, NameError};
pub use state_dir::StateDirError;
pub use view::{SessionFacts, SessionView, ViewState};
pub use wanted::{Checkpointing, LABELS_BYTES_MAX, LABELS_MAX, SessionChange, WantedSession};
pub use workspace::{
    Archive, Download, Entry, EntryKind, Listing, PATH_BYTES_MAX, PATH_DEPTH_MAX, Page, Upload, Workspace,
    WorkspaceError, WorkspacePath, WorkspacePathError,
};
