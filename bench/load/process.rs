//! The servers that a run starts. Each ends with its guard: at the end, at an error and at Ctrl-C alike.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// How long a server may take to say where it listens: imports from a cold disk take longest.
const START_MAX: Duration = Duration::from_secs(120);
/// How long one may take to end when it is asked to: thousands of sessions take longest.
const STOP_MAX: Duration = Duration::from_secs(90);
const STOP_LOOK: Duration = Duration::from_millis(5);

/// A server's process.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
    stdout: Lines<BufReader<ChildStdout>>,
    /// Some end with it.
    _stdin: ChildStdin,
    is_asked_to_end: bool,
}

impl Server {
    /// Its stderr goes to `log` in `folder`. It is in a process group of its own: a Ctrl-C is for us to tell it.
    pub(crate) fn start(name: &'static str, folder: &Path, command: &mut Command) -> Result<Self> {
        let log = folder.join("log");
        let stderr = File::create(&log).with_context(|| format!("failed to make {}", log.display()))?;
        for (variable, _) in std::env::vars_os() {
            if variable.as_encoded_bytes().starts_with(b"EGGBOX_") {
                command.env_remove(variable);
            }
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr).process_group(0).spawn().with_context(
                || format!("failed to start {name}: {:?} cannot be run", command.as_std().get_program()),
            )?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("failed to start {name}: it has no pipes");
        };
        Ok(Self { name, child, log, stdout: BufReader::new(stdout).lines(), _stdin: stdin, is_asked_to_end: false })
    }

    /// Where it listens, from the line that it prints then.
    pub(crate) async fn address(&mut self) -> Result<SocketAddr> {
        let line = timeout(START_MAX, self.stdout.next_line()).await.ok().and_then(Result::ok).flatten();
        let address = line.as_deref().and_then(|line| line.strip_prefix("listening on http://"));
        let Some(address) = address else {
            bail!("{} did not start; it logged last:\n{}", self.name, self.last_logged())
        };
        Ok(address.parse()?)
    }

    pub(crate) fn pid(&self) -> Result<u32> {
        self.child.id().with_context(|| format!("{} has ended; it logged last:\n{}", self.name, self.last_logged()))
    }

    pub(crate) fn last_logged(&self) -> String {
        let logged = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = logged.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// Asks it to end. Once: a second signal would be a wish for haste.
    pub(crate) fn ask_to_end(&mut self) {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        if let Some(pid) = pid.filter(|_| !self.is_asked_to_end) {
            // One that has just ended is what we want.
            let _ = kill_process(pid, Signal::TERM);
        }
        self.is_asked_to_end = true;
    }

    /// Waits until it has ended, and kills it where it takes too long.
    fn wait_for_end(&mut self) {
        let end = Instant::now() + STOP_MAX;
        while Instant::now() < end {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            sleep(STOP_LOOK);
        }
        let _ = self.child.start_kill();
        while matches!(self.child.try_wait(), Ok(None)) {
            sleep(STOP_LOOK);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ask_to_end();
        self.wait_for_end();
    }
}
