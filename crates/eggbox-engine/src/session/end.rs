//! A session's end: waited for while nothing runs, brought about, and understood.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use eggbox_sandbox::wire::{Exit, HEADER_BYTES};
use rustix::process::Signal;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Session;
use crate::clock::Moment;
use crate::outcome::Death;
use crate::session_limits::SessionLimits;

/// How long after its channel was closed a session may take to be gone.
const CLOSING_MAX: Duration = Duration::from_secs(1);

/// How long after it was killed a session may take to be gone. One that takes longer is in the kernel's hands, and keeps
/// its slot until those let go.
pub(super) const KILLED_MAX: Duration = Duration::from_secs(5);

/// What a session's end is known by before it is there.
#[derive(Debug)]
pub(crate) enum EndSign {
    /// The process is no more.
    Exit(Result<Exit, oneshot::error::RecvError>),
    /// Its channel was closed.
    Closed,
    /// It is to be killed for this.
    Due(Death),
}

impl Session {
    /// Waits until the session ends or has to, by itself or for its age or idleness. Can be dropped at any point.
    pub(crate) async fn watch_idle(&mut self) -> EndSign {
        let history = Arc::clone(&self.history);
        loop {
            let changed = history.changed();
            let (created, asked) = history.age();
            let SessionLimits { idle_max, life_max, .. } = self.limits.lowered(&asked);
            let idle_since = history.idle_since().unwrap_or_else(Moment::now);
            tokio::select! {
                biased;
                sign = self.watch_end() => return sign,
                () = idle_since.after(idle_max).reached() => return EndSign::Due(Death::Idle { idle_max }),
                () = created.after(life_max).reached() => return EndSign::Due(Death::Life { life_max }),
                // How long it may stay was changed.
                () = changed => {}
            }
        }
    }

    /// Waits until the session ends by itself. What it prints meanwhile stays in the pipes, which hold up a writer that
    /// nobody listens to. Can be dropped at any point.
    pub(crate) async fn watch_end(&mut self) -> EndSign {
        loop {
            let process = &mut self.process;
            tokio::select! {
                biased;
                exit = &mut process.ended => return EndSign::Exit(exit),
                _ = process.answers.readable() => {
                    let mut bytes = [0; HEADER_BYTES + 32];
                    match process.answers.try_read(&mut bytes) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Ok(count @ 1..) => {
                            self.received.extend(bytes.iter().take(count));
                            let is_awaited = self.given_up.is_some();
                            // Between executions it has nothing else to say.
                            if !is_awaited || !matches!(self.take_frame(), Ok(None)) {
                                return EndSign::Due(Death::Protocol);
                            }
                        }
                        Ok(0) | Err(_) => return EndSign::Closed,
                    }
                },
            }
        }
    }

    /// Waits until what there is a sign of has come, and says why it ended. Nothing may be given to the session meanwhile.
    pub(crate) async fn end_after(&mut self, sign: EndSign) -> Death {
        match sign {
            EndSign::Exit(exit) => self.death(exit),
            EndSign::Closed => self.end_after_close().await,
            EndSign::Due(cause) => self.end(cause).await,
        }
    }

    /// Kills the session for the reason `cause`, and returns that, or what it had died of already.
    pub(crate) async fn end(&mut self, cause: Death) -> Death {
        let was_over = self.process.has_ended();
        self.process.kill();
        if !was_over {
            // Whoever waits for its end may not wait until it is there.
            self.cause.get_or_insert(cause.clone());
        }
        match timeout(KILLED_MAX, &mut self.process.ended).await {
            Err(_) => {
                tracing::error!(session = %self.id, "a session that was killed does not end");
                cause
            }
            Ok(exit) => self.death(exit),
        }
    }

    /// The channel was closed: by a process that is ending, or by code that lives on, which is foul play.
    async fn end_after_close(&mut self) -> Death {
        match timeout(CLOSING_MAX, &mut self.process.ended).await {
            Ok(exit) => self.death(exit),
            Err(_) => self.end(Death::Protocol).await,
        }
    }

    /// What an exit means.
    pub(crate) fn death(&self, exit: Result<Exit, oneshot::error::RecvError>) -> Death {
        match exit {
            Ok(Exit::Signal(number)) if number == Signal::KILL.as_raw() => {
                if self.is_deleted() {
                    return Death::Deleted;
                }
                if let Some(cause) = &self.cause {
                    return cause.clone();
                }
                let cause = self.meter.cause_of_kill(self.history.kills_before(), self.limits.memory_bytes_max);
                cause.unwrap_or(Death::Signal { number })
            }
            Ok(exit) => exit.into(),
            Err(_) => Death::Nest,
        }
    }
}
