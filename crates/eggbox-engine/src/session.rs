//! One session: a task that owns its process and runs its executions one at a time, in order of arrival.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use eggbox_sandbox::status::Status;
use eggbox_sandbox::wire::{
    CHANNEL_LOST_STATUS, Exit, FrameError, FromSession, HEADER_BYTES, KIND_EXECUTE, SESSION_FRAME_BYTES_MAX, header,
};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep_until, timeout};

use crate::config::Limits;
use crate::nest::{Nest, NestError, SessionProcess, SpawnError};
use crate::outcome::{Death, Outcome, Output, SessionState};
use crate::output::{Collector, discard};

/// How long a session may take from its fork to its being ready.
const READY_MAX: Duration = Duration::from_secs(10);

/// How long after its channel was closed a session may take to be gone.
const CLOSING_MAX: Duration = Duration::from_secs(1);

/// Why a session could not be had; the message names the step that failed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error("the session could not be locked down: {0}")]
    LockDown(String),
    #[error("the session was not ready after {} s", READY_MAX.as_secs())]
    Slow,
    #[error("the session closed its channel before it was ready")]
    Closed,
    #[error("the session ended before it was ready: {0:?}")]
    Ended(Option<Exit>),
    #[error("the session's first word was wrong")]
    Frame(#[from] FrameError),
    #[error("the server is shutting down")]
    ShuttingDown,
    #[error("failed to start another nest")]
    Nest(#[from] NestError),
    #[error("the session's channel broke")]
    Channel(#[from] io::Error),
}

/// What an execution came to, from the session's point of view.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
    pub(crate) outcome: Outcome,
}

/// A session that is locked down and waits for code.
#[derive(Debug)]
pub(crate) struct Session {
    process: SessionProcess,
    limits: Arc<Limits>,
    /// Bytes of a frame that is not whole yet.
    received: Vec<u8>,
    sequence: u64,
    pub(crate) status: Status,
}

/// What is ahead of an execution that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Interrupted,
    Killed,
}

impl Session {
    /// Forks a session from `nest` and waits until it stands behind its wall.
    pub(crate) async fn start(nest: &Nest, limits: Arc<Limits>) -> Result<Self, SessionError> {
        let process = timeout(READY_MAX, nest.spawn()).await.map_err(|_| SessionError::Slow)??;
        let mut session = Self { process, limits, received: Vec::new(), sequence: 0, status: Status::default() };
        let first = timeout(READY_MAX, session.first_frame()).await;
        match first.unwrap_or(Err(SessionError::Slow)) {
            Ok(status) => {
                session.status = status;
                Ok(session)
            }
            Err(error) => {
                session.process.kill();
                let exit = (&mut session.process.ended).await;
                Err(match error {
                    SessionError::Closed => SessionError::Ended(exit.ok()),
                    other => other,
                })
            }
        }
    }

    async fn first_frame(&mut self) -> Result<Status, SessionError> {
        loop {
            match self.take_frame()? {
                Some(FromSession::Ready(status)) => return Ok(status),
                Some(FromSession::Refused(why)) => return Err(SessionError::LockDown(why)),
                Some(FromSession::Done { .. }) => return Err(FrameError::Kind { kind: KIND_EXECUTE }.into()),
                None => {}
            }
            if read_some(&mut self.process.answers, &mut self.received).await? == 0 {
                return Err(SessionError::Closed);
            }
        }
    }

    fn take_frame(&mut self) -> Result<Option<FromSession>, FrameError> {
        let Some((frame, taken)) = FromSession::decode(&self.received)? else { return Ok(None) };
        self.received.drain(..taken);
        Ok(Some(frame))
    }

    /// Waits until the session ends by itself and says why it ended. What it prints meanwhile stays in the pipes, which
    /// hold up a writer that nobody listens to. Can be dropped at any point.
    pub(crate) async fn watch_idle(&mut self) -> Death {
        let process = &mut self.process;
        loop {
            tokio::select! {
                biased;
                exit = &mut process.ended => return death(exit),
                _ = process.answers.readable() => match process.answers.try_read(&mut [0]) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // Between executions it has nothing to say.
                    Ok(1..) => return self.end(Death::Protocol).await,
                    Ok(0) | Err(_) => return self.end_after_close().await,
                },
            }
        }
    }

    /// Kills the session for the reason `cause`, and returns that, or what it had died of already.
    pub(crate) async fn end(&mut self, cause: Death) -> Death {
        self.process.kill();
        match (&mut self.process.ended).await {
            Ok(Exit::Signal(number)) if number == Signal::KILL.as_raw() => cause,
            exit => death(exit),
        }
    }

    /// The channel was closed: by a process that is ending, or by code that lives on, which is foul play.
    async fn end_after_close(&mut self) -> Death {
        match timeout(CLOSING_MAX, &mut self.process.ended).await {
            Ok(exit) => death(exit),
            Err(_) => self.end(Death::Protocol).await,
        }
    }

    /// Runs `code` to its end, whatever that is. The session can be used again if the outcome's state is `Kept`.
    pub(crate) async fn execute(&mut self, code: &str) -> Ran {
        discard(&self.process.stdout);
        discard(&self.process.stderr);
        self.sequence += 1;
        let mut stdout = Collector::new(self.limits.output_bytes_max);
        let mut stderr = Collector::new(self.limits.output_bytes_max);
        let outcome = self.run_to_outcome(code, &mut stdout, &mut stderr).await;
        // What was written before the end is in the pipes by now.
        stdout.drain(&self.process.stdout);
        stderr.drain(&self.process.stderr);
        Ran { stdout: stdout.into_output(), stderr: stderr.into_output(), outcome }
    }

    async fn run_to_outcome(&mut self, code: &str, stdout: &mut Collector, stderr: &mut Collector) -> Outcome {
        let Ok(request) = request(self.sequence, code) else { return Outcome::Died(self.end(Death::Protocol).await) };
        let mut unsent = &request[..];
        // A channel that the code has closed, as by executing another program, leaves the process to be waited for.
        let mut is_open = true;
        let mut phase = Phase::Running;
        let wall_max = self.limits.wall_max;
        let mut deadline = Instant::now() + wall_max;
        let timed_out = |state| Outcome::Timeout { wall_max, state };
        loop {
            let process = &mut self.process;
            tokio::select! {
                biased;
                // An answer before the end that may follow it.
                read = read_some(&mut process.answers, &mut self.received), if is_open && phase != Phase::Killed => {
                    if !matches!(read, Ok(1..)) {
                        is_open = false;
                        continue;
                    }
                    match self.take_frame() {
                        Ok(None) => {}
                        Ok(Some(FromSession::Done { sequence, ending }))
                            if sequence == self.sequence && self.received.is_empty() && unsent.is_empty() =>
                        {
                            return match phase {
                                Phase::Running => ending.into(),
                                Phase::Interrupted | Phase::Killed => timed_out(SessionState::Kept),
                            };
                        }
                        Ok(Some(_)) | Err(_) => return Outcome::Died(self.end(Death::Protocol).await),
                    }
                }
                exit = &mut process.ended => {
                    return match phase {
                        Phase::Killed => timed_out(SessionState::Lost),
                        Phase::Running | Phase::Interrupted => Outcome::Died(match exit {
                            Ok(Exit::Status(CHANNEL_LOST_STATUS)) if !is_open => Death::Protocol,
                            exit => death(exit),
                        }),
                    };
                }
                () = sleep_until(deadline), if phase != Phase::Killed => {
                    if phase == Phase::Running {
                        phase = Phase::Interrupted;
                        deadline = Instant::now() + self.limits.interrupt_grace;
                        process.interrupt();
                    } else {
                        phase = Phase::Killed;
                        process.kill();
                    }
                }
                sent = process.requests.write(unsent), if is_open && !unsent.is_empty() => match sent {
                    Ok(count) => unsent = &unsent[count..],
                    Err(_) => is_open = false,
                },
                // A flood must not keep this thread from everybody else.
                () = stdout.read(&process.stdout) => consume_budget().await,
                () = stderr.read(&process.stderr) => consume_budget().await,
            }
        }
    }
}

fn death(exit: Result<Exit, oneshot::error::RecvError>) -> Death {
    match exit {
        Ok(Exit::Status(status)) => Death::Exited { status },
        Ok(Exit::Signal(number)) => Death::Signal { number },
        Err(_) => Death::Nest,
    }
}

fn request(sequence: u64, code: &str) -> Result<Vec<u8>, FrameError> {
    let sequence = sequence.to_le_bytes();
    let header = header(KIND_EXECUTE, sequence.len() + code.len())?;
    let mut frame = Vec::with_capacity(HEADER_BYTES + sequence.len() + code.len());
    frame.extend(header);
    frame.extend(sequence);
    frame.extend(code.as_bytes());
    Ok(frame)
}

/// Reads what there is, at most as much as a whole frame. Cancellation loses nothing.
async fn read_some(channel: &mut (impl AsyncReadExt + Unpin), received: &mut Vec<u8>) -> io::Result<usize> {
    let room = (HEADER_BYTES + SESSION_FRAME_BYTES_MAX).saturating_sub(received.len());
    let mut limited = channel.take(room as u64);
    limited.read_buf(received).await
}
