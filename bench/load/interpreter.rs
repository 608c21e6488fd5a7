//! CPython by itself: started anew for each piece of code, and as a child on a socketpair.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::process::{Child, Command};

use crate::code::Code;

/// How long a round trip may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// What `PYTHON -c CODE` prints, and how long that took from start to end.
pub(crate) async fn run(python: &Path, code: &str) -> Result<(Vec<u8>, Duration)> {
    let begun = Instant::now();
    let output = Command::new(python)
        .args(["-c", code])
        // It has no screen.
        .env("MPLBACKEND", "Agg")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("failed to run {}", python.display()))?;
    let took = begun.elapsed();
    let failed = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed: {failed}", python.display());
    Ok((output.stdout, took))
}

/// How long that took for code that prints as it should.
pub(crate) async fn run_checked(python: &Path, code: &Code) -> Result<Duration> {
    let (printed, took) = run(python, code.source).await?;
    code.check(&String::from_utf8_lossy(&printed)).with_context(|| format!("with {}", python.display()))?;
    Ok(took)
}

/// A child that runs the code it is sent. In blocking calls: nothing else runs then.
#[derive(Debug)]
pub(crate) struct PingPong {
    socket: UnixStream,
    _child: Child,
}

impl PingPong {
    pub(crate) fn start(python: &Path, bench: &Path) -> Result<Self> {
        let (socket, inner) = UnixStream::pair()?;
        socket.set_read_timeout(Some(ANSWER_MAX))?;
        let child = Command::new(python)
            .arg(bench.join("ping_pong.py"))
            .stdin(OwnedFd::from(inner))
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to run {}", python.display()))?;
        Ok(Self { socket, _child: child })
    }

    /// What the code printed: something, and no more than one message holds.
    pub(crate) fn execute(&mut self, code: &str) -> Result<(String, Duration)> {
        let begun = Instant::now();
        self.socket.write_all(code.as_bytes())?;
        let mut printed = vec![0; 4096];
        let count = self.socket.read(&mut printed).context("the child on the socketpair gave no answer")?;
        let took = begun.elapsed();
        printed.truncate(count);
        Ok((String::from_utf8(printed)?, took))
    }
}
