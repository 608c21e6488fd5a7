//! A session as what others are made of, and as what is made of another.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use eggbox_sandbox::checkpoint::{CaptureError, capture};
use eggbox_sandbox::wire::{FromSession, KIND_STAND_STILL, become_request, numbered_request};

use super::{Session, SessionError};
use crate::clock::Moment;
use crate::image::SessionImage;
use crate::session_id::SessionId;

/// What an image has beside the memory that a session may have: its tables, and what was never its own.
const IMAGE_BYTES_BESIDE: u64 = 64 * 1024 * 1024;

impl Session {
    /// An image of it as it is between two executions. It stands still then, until its next request.
    ///
    /// # Errors
    /// Where it has what no image can carry, which it goes on with; or where it does not say so.
    pub(crate) async fn capture(&mut self, base: OwnedFd, wait_max: Duration) -> Result<OwnedFd, SessionError> {
        let asked = Moment::now().nanos();
        let refused = |why: &str| Err(SessionError::NotCarried { why: why.to_owned() });
        if !self.process.ask(&numbered_request(KIND_STAND_STILL, asked)?) {
            return refused("it has ended, or does not listen");
        }
        let place = match self.next_frame(wait_max).await {
            Ok(FromSession::StandsStill { asked: of, place }) if of == asked => place,
            Ok(FromSession::Cannot { asked: of, why }) if of == asked => return refused(&why),
            Err(SessionError::Slow) => {
                self.given_up = Some(asked);
                return refused("it does not stand still: something runs between its executions");
            }
            _ => return refused("it has ended, or has broken its channel"),
        };
        let pid = self.process.pid().ok_or(SessionError::Closed)?;
        let bytes_max = self.limits.memory_bytes_max.saturating_add(IMAGE_BYTES_BESIDE);
        // Off the threads that serve others: its memory is read by the kernel's hand.
        let captured = tokio::task::spawn_blocking(move || capture(pid, base, place, bytes_max)).await;
        let image = captured.map_err(io::Error::other)?.map_err(|error| match error {
            CaptureError::Read(error) => SessionError::Channel(error),
            refused => SessionError::NotCarried { why: refused.to_string() },
        })?;
        // Its number may have become another's only once it was gone.
        if self.process.pid() == Some(pid) { Ok(image) } else { Err(SessionError::Closed) }
    }

    /// Becomes what the image says, which is of the same base.
    ///
    /// # Errors
    /// Where it does not; it must not be used then.
    pub(crate) async fn become_image(
        &mut self,
        image: &SessionImage,
        base: BorrowedFd<'_>,
        wait_max: Duration,
    ) -> Result<(), SessionError> {
        let asked = Moment::now().nanos();
        self.shown = image.shown();
        let request = become_request(asked, image.shown_bytes_min())?;
        if !self.process.ask_with(&request, &[image.as_fd(), base]) {
            return Err(SessionError::Closed);
        }
        match self.next_frame(wait_max).await {
            Ok(FromSession::Idle { asked: of, .. }) if of == asked => Ok(()),
            Ok(FromSession::Refused(why)) => Err(SessionError::NotCarried { why }),
            Err(SessionError::Closed | SessionError::Slow) => {
                Err(SessionError::NotCarried { why: "its memory could not be laid out again".to_owned() })
            }
            _ => Err(SessionError::Unready),
        }
    }

    /// Makes one that has become the image of another the session of that name.
    pub(crate) async fn begin_as_fork(&mut self, id: SessionId, of: &Self) -> Result<(), SessionError> {
        self.history.set_variables(of.history.variables())?;
        let process = self.note.created;
        self.id = id.clone();
        self.history.update(|record| {
            record.id = id;
            record.process = Some(process);
            record.parent = Some(of.id.clone());
        })?;
        if let Err(error) = self.keep().await {
            tracing::error!(%error, "a session is not kept: it would end with this server");
        }
        Ok(())
    }
}
