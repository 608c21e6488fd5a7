//! The hidden `keeper` entry: a process that a server starts to keep its sessions over a restart.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

/// Its arguments are the state directory and how many milliseconds it waits for a server; its standard input is its first
/// server's end.
pub(crate) fn main() -> ExitCode {
    match run(std::env::args_os().skip(2)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::cli::complain(&error.context("failed to keep sessions"));
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: impl Iterator<Item = OsString>) -> anyhow::Result<()> {
    const USAGE: &str = "a keeper is started by the server alone";
    let state_dir = PathBuf::from(arguments.next().context(USAGE)?);
    let millis = arguments.next().and_then(|millis| millis.to_str()?.parse().ok()).context(USAGE)?;
    let server: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    // The copy alone is its end: the other would keep the line open.
    let nothing = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    Ok(eggbox_engine::run_keeper(&state_dir, Duration::from_millis(millis), server)?)
}
