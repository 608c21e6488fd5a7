//! A session's end of its channel, in blocking calls.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use super::streams::Streams;
use crate::layers::rlimits;
use crate::sys;
use crate::wire::{
    EXECUTE_BYTES, Ending, FromSession, HEADER_BYTES, KIND_EXECUTE, KIND_LOWER, KIND_RESUME, KIND_WARM_UP, LOWER_BYTES,
    RESUME_BYTES, parse_header,
};

/// The channel, and how far its executions have come.
#[derive(Debug)]
pub(super) struct Channel {
    requests: File,
    answers: File,
    code: File,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    /// The execution that is still to be answered.
    unanswered: Option<u64>,
    /// The last one that was.
    answered: (u64, Ending),
    streams: Streams,
}

/// What the server wants.
pub(super) enum Request {
    /// This code run.
    Execute(Vec<u8>),
    /// To be told by [`Channel::say_how_far`] of this number when the session is warm.
    WarmUp(u64),
    /// Nothing more: it is gone.
    End,
}

impl Channel {
    pub(super) fn new(requests: OwnedFd, answers: OwnedFd, code: OwnedFd) -> Self {
        let progress = Progress { unanswered: None, answered: (0, Ending::Ok), streams: Streams::default() };
        Self { requests: requests.into(), answers: answers.into(), code: code.into(), progress: Mutex::new(progress) }
    }

    pub(super) fn send(&self, frame: &FromSession) -> io::Result<()> {
        let bytes = frame.encode().map_err(io::Error::other)?;
        (&self.answers).write_all(&bytes)
    }

    /// Answers the execution that runs, if one does.
    pub(super) fn finish(&self, ending: Ending) -> io::Result<()> {
        let Ok(mut progress) = self.progress.lock() else { return Ok(()) };
        let Some(sequence) = progress.unanswered.take() else { return Ok(()) };
        progress.answered = (sequence, ending);
        progress.streams.renew_if_shared();
        self.send_with_news(&progress.streams, &FromSession::Done { sequence, ending })
    }

    /// The next request. Interrupted by a signal before it has begun, it has read nothing.
    pub(super) fn receive(&self) -> io::Result<Request> {
        loop {
            let mut header = [0; HEADER_BYTES];
            // One call, so that a signal is reported and nothing is lost to it.
            match rustix::io::read(self.requests.as_fd(), &mut header)? {
                0 => return Ok(Request::End),
                count => (&self.requests).read_exact(&mut header[count..])?,
            }
            match parse_header(header) {
                (EXECUTE_BYTES, KIND_EXECUTE) => return self.receive_execution().map(Request::Execute),
                (RESUME_BYTES, kind @ (KIND_RESUME | KIND_WARM_UP)) => {
                    let mut asked = [0; RESUME_BYTES];
                    (&self.requests).read_exact(&mut asked)?;
                    let asked = u64::from_le_bytes(asked);
                    if kind == KIND_WARM_UP {
                        return Ok(Request::WarmUp(asked));
                    }
                    self.say_how_far(asked)?;
                }
                (LOWER_BYTES, KIND_LOWER) => self.lower_limits()?,
                _ => return Err(io::Error::other("the server sent what is no request")),
            }
        }
    }

    fn lower_limits(&self) -> io::Result<()> {
        let mut numbers = [[0; size_of::<u64>()]; 3];
        (&self.requests).read_exact(numbers.as_flattened_mut())?;
        let [asked, data_bytes_less, processes_max] = numbers.map(u64::from_le_bytes);
        let processes_max = u32::try_from(processes_max).map_err(io::Error::other)?;
        match rlimits::lower(data_bytes_less, (processes_max > 0).then_some(processes_max)) {
            Ok(()) => self.say_how_far(asked),
            Err(error) => self.send(&FromSession::Refused(error.to_string())),
        }
    }

    fn receive_execution(&self) -> io::Result<Vec<u8>> {
        let [mut sequence, mut length] = [[0; size_of::<u64>()]; 2];
        (&self.requests).read_exact(&mut sequence)?;
        (&self.requests).read_exact(&mut length)?;
        let length = usize::try_from(u64::from_le_bytes(length)).map_err(io::Error::other)?;
        let mut code = vec![0; length];
        self.code.read_exact_at(&mut code, 0)?;
        if let Ok(mut progress) = self.progress.lock() {
            progress.unanswered = Some(u64::from_le_bytes(sequence));
            progress.streams.are_claimed();
        }
        Ok(code)
    }

    pub(super) fn say_how_far(&self, asked: u64) -> io::Result<()> {
        let Ok(progress) = self.progress.lock() else { return Ok(()) };
        let (sequence, ending) = progress.answered;
        self.send_with_news(&progress.streams, &FromSession::Idle { asked, sequence, ending })
    }

    fn send_with_news(&self, streams: &Streams, frame: &FromSession) -> io::Result<()> {
        streams.news().map_or(Ok(()), |news| self.send(&news))?;
        self.send(frame)
    }
}

/// Ends a process that user code forked off and that has come to the end of that code.
pub(super) fn end_if_forked(status: i32) {
    if !sys::inside::is_session_process() {
        sys::inside::flush_c_streams();
        sys::exit_now(status);
    }
}
