//! The wall around untrusted code: a policy becomes a plan, a plan is enforced, and a status says what stands.
//!
//! Owns every privileged step and every unsafe line. Knows nothing of HTTP, of executions or of the server's state.
//! Built twice: into the server's binary, and with the feature `native` as the extension that a nest's Python loads.

pub mod policy;
pub mod limits;
pub mod host;
pub mod interpreter;
pub mod cgroup;
pub mod seccomp;
pub mod plan;
pub mod prepare;
pub mod steps;
pub mod status;
pub mod enforce;
pub mod nest;
pub mod wire;
pub mod control;
pub mod checkpoint;
pub mod leftovers;
pub mod processes;
mod layers;
mod sys;
#[cfg(feature = "native")]
mod native;

pub use sys::{memory_file, reach_files_as};
