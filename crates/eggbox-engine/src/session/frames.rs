//! What a session says, which is hostile: read in whole frames, and waited for.

use std::io;
use std::time::Duration;

use eggbox_sandbox::status::Status;
use eggbox_sandbox::wire::{FrameError, FromSession, HEADER_BYTES, SESSION_FRAME_BYTES_MAX};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::{Session, SessionError};

/// How long a session may take from its fork to its being ready.
pub(super) const READY_MAX: Duration = Duration::from_secs(10);

impl Session {
    /// Sends a request of that number to a session that has run no code, and waits until it has done what it says.
    pub(super) async fn ask_and_wait(&mut self, request: &[u8], asked: u64) -> Result<(), SessionError> {
        // It may lie otherwise then.
        self.layout = None;
        if !self.process.ask(request) {
            return Err(SessionError::Closed);
        }
        self.idle_again(asked).await
    }

    /// Waits until it says that it has done what that number was of.
    pub(super) async fn idle_again(&mut self, asked: u64) -> Result<(), SessionError> {
        match self.next_frame(READY_MAX).await? {
            FromSession::Idle { asked: of, .. } if of == asked => Ok(()),
            FromSession::Refused(why) => Err(SessionError::Limits(io::Error::other(why))),
            _ => Err(SessionError::Unready),
        }
    }

    /// What it says next, which it does before long.
    pub(super) async fn next_frame(&mut self, wait_max: Duration) -> Result<FromSession, SessionError> {
        let next = async {
            loop {
                if let Some(frame) = self.take_frame()? {
                    return Ok(frame);
                }
                if read_some(&mut self.process.answers, &mut self.received).await? == 0 {
                    return Err(SessionError::Closed);
                }
            }
        };
        timeout(wait_max, next).await.unwrap_or(Err(SessionError::Slow))
    }

    pub(super) async fn first_frame(&mut self) -> Result<Status, SessionError> {
        loop {
            match self.take_frame()? {
                Some(FromSession::Ready(status)) => return Ok(status),
                Some(FromSession::Refused(why)) => return Err(SessionError::LockDown(why)),
                Some(_) => return Err(SessionError::Unready),
                None => {}
            }
            if read_some(&mut self.process.answers, &mut self.received).await? == 0 {
                return Err(SessionError::Closed);
            }
        }
    }

    pub(crate) fn take_frame(&mut self) -> Result<Option<FromSession>, FrameError> {
        loop {
            let Some((frame, taken)) = FromSession::decode(&self.received)? else { return Ok(None) };
            self.received.drain(..taken);
            let (FromSession::StandsStill { asked, .. } | FromSession::Cannot { asked, .. }) = frame else {
                return Ok(Some(frame));
            };
            // The answer to a question that was given up.
            if self.given_up != Some(asked) {
                return Ok(Some(frame));
            }
            self.given_up = None;
        }
    }
}

/// Reads what there is, at most as much as a whole frame. Cancellation loses nothing.
pub(crate) async fn read_some(channel: &mut (impl AsyncReadExt + Unpin), received: &mut Vec<u8>) -> io::Result<usize> {
    let room = (HEADER_BYTES + SESSION_FRAME_BYTES_MAX).saturating_sub(received.len());
    let mut limited = channel.take(room as u64);
    limited.read_buf(received).await
}
