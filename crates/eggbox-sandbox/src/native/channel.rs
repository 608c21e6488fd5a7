//! A session's end of its channel, in blocking calls.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Mutex;

use crate::sys;
use crate::wire::{Ending, FromSession, HEADER_BYTES, KIND_EXECUTE, parse_header};

/// The channel, and the execution that is still to be answered.
#[derive(Debug)]
pub(super) struct Channel {
    requests: File,
    answers: File,
    unanswered: Mutex<Option<u64>>,
}

impl Channel {
    pub(super) fn new(requests: OwnedFd, answers: OwnedFd) -> Self {
        Self { requests: File::from(requests), answers: File::from(answers), unanswered: Mutex::new(None) }
    }

    pub(super) fn send(&self, frame: &FromSession) -> io::Result<()> {
        let bytes = frame.encode().map_err(io::Error::other)?;
        (&self.answers).write_all(&bytes)
    }

    /// Answers the execution that runs, if one does.
    pub(super) fn finish(&self, ending: Ending) -> io::Result<()> {
        let unanswered = self.unanswered.lock().ok().and_then(|mut sequence| sequence.take());
        match unanswered {
            Some(sequence) => self.send(&FromSession::Done { sequence, ending }),
            None => Ok(()),
        }
    }

    /// The header of the next request: how many bytes of code follow, or none where the server is gone.
    /// Interrupted by a signal, it has read nothing.
    pub(super) fn receive_header(&self) -> io::Result<Option<usize>> {
        let mut header = [0; HEADER_BYTES];
        // One call, so that a signal is reported and nothing is lost to it.
        match rustix::io::read(self.requests.as_fd(), &mut header)? {
            0 => return Ok(None),
            count => (&self.requests).read_exact(&mut header[count..])?,
        }
        let (length, kind) = parse_header(header);
        let mut sequence = [0; size_of::<u64>()];
        let code_bytes = length.checked_sub(sequence.len()).filter(|_| kind == KIND_EXECUTE);
        let code_bytes = code_bytes.ok_or_else(|| io::Error::other("the server sent no execution"))?;
        (&self.requests).read_exact(&mut sequence)?;
        if let Ok(mut unanswered) = self.unanswered.lock() {
            *unanswered = Some(u64::from_le_bytes(sequence));
        }
        Ok(Some(code_bytes))
    }

    pub(super) fn receive_code(&self, code: &mut [u8]) -> io::Result<()> {
        (&self.requests).read_exact(code)
    }
}

/// Ends a process that user code forked off and that has come to the end of that code.
pub(super) fn end_if_forked(status: i32) {
    if !sys::inside::is_session_process() {
        sys::inside::flush_c_streams();
        sys::exit_now(status);
    }
}
