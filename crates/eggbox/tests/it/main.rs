//! Black-box tests of the eggbox binary: each starts the real server, or shares one that is only read, with the policy
//! that ships.

#![expect(clippy::print_stdout, reason = "a test says what of the host it found and what it could not use")]

mod server;
mod client;
mod files_client;
mod python;
mod process;
mod sse;

mod seed;
mod execute;
mod rich_results;
mod state;
mod streams;
mod output;
mod tracebacks;
mod deletion;
mod ending;
mod create_session;
mod session_limits;
mod get_session;
mod delete_session;
mod v1_refusals;
mod environments;
mod executions;
mod events;
mod input;
mod restart;
mod keys;
mod timeouts;
mod late_output;
mod limits;
mod control_groups;
mod queueing;
mod pool;
mod operations;
mod exposition;
mod top;
mod audit_log;
mod openapi;
mod clients;
#[cfg(feature = "otel")]
mod traces;
mod programs;
mod workspace;
mod forks;
mod checkpoints;
mod stories;
mod numbers;
mod files;
mod bad_request;
mod capacity;
mod isolation;
mod interpreters;
mod real_programs;
mod data;
mod workloads;
mod hostile;
mod files_hostile;
mod shutdown;
mod restarts;
mod attacks;
mod fail_closed;
mod help;
