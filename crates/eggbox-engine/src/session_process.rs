//! A session's processes, as the server holds them: its channel, its output, its end.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use eggbox_sandbox::wire::{BECOME_DESCRIPTORS, BECOME_IMAGES_MAX, Exit, HEADER_BYTES};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, send, sendmsg};
use rustix::process::{Pid, Signal, pidfd_send_signal};
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use crate::nest::End;
use crate::slots::Reading;

/// The file system of pipes that have no name (statfs(2), PIPEFS_MAGIC).
const PIPE_FILE_SYSTEM: rustix::fs::FsWord = 0x5049_5045;

/// The session that a nest has forked for us.
#[derive(Debug)]
pub(crate) struct SessionProcess {
    pub(crate) slot: u32,
    requests: OwnedFd,
    pub(crate) answers: pipe::Receiver,
    pub(crate) stdout: Stream,
    pub(crate) stderr: Stream,
    /// What it shows beside its output.
    pub(crate) values: Stream,
    /// How it ended, once the nest has reaped it; an error where the nest ended first.
    pub(crate) ended: oneshot::Receiver<Exit>,
    pidfd: Arc<OwnedFd>,
    /// Its group stays as it is while this is here.
    _reading: Reading,
}

/// An end of a stream that a session writes to.
pub(crate) type Stream = AsyncFd<OwnedFd>;

/// Its descriptors, of which a successor makes the same again.
#[derive(Debug)]
pub(crate) struct SessionDescriptors {
    pub(crate) requests: OwnedFd,
    pub(crate) answers: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    pub(crate) values: OwnedFd,
    pub(crate) pidfd: OwnedFd,
}

impl SessionProcess {
    /// # Errors
    /// Where the descriptors are not what they should be.
    pub(crate) fn new(slot: u32, descriptors: SessionDescriptors, end: End) -> io::Result<Self> {
        let SessionDescriptors { requests, answers, stdout, stderr, values, pidfd } = descriptors;
        Ok(Self {
            slot,
            requests,
            answers: pipe::Receiver::from_owned_fd(answers)?,
            stdout: stream(stdout)?,
            stderr: stream(stderr)?,
            values: stream(values)?,
            ended: end.ended,
            pidfd: Arc::new(pidfd),
            _reading: end.reading,
        })
    }

    /// In the order in which they are kept elsewhere.
    pub(crate) fn as_array(&self) -> [BorrowedFd<'_>; 6] {
        let [stdout, stderr, values] =
            [&self.stdout, &self.stderr, &self.values].map(|stream| stream.get_ref().as_fd());
        [self.requests.as_fd(), self.answers.as_fd(), stdout, stderr, values, self.pidfd.as_fd()]
    }

    /// Sends a request. Returns whether it was sent: it is not where the session has gone, or reads nothing of what it is sent.
    pub(crate) fn ask(&self, request: &[u8]) -> bool {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        send(&self.requests, request, flags).is_ok_and(|count| count == request.len())
    }

    /// The same, with descriptors beside what comes after its header.
    pub(crate) fn ask_with(&self, request: &[u8], descriptors: &[BorrowedFd<'_>]) -> bool {
        let (header, body) = request.split_at(HEADER_BYTES.min(request.len()));
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BECOME_DESCRIPTORS + BECOME_IMAGES_MAX))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        beside.push(SendAncillaryMessage::ScmRights(descriptors))
            && self.ask(header)
            && sendmsg(&self.requests, &[io::IoSlice::new(body)], &mut beside, flags)
                .is_ok_and(|count| count == body.len())
    }

    /// Raises KeyboardInterrupt in the session. One that has just ended is left alone.
    pub(crate) fn interrupt(&self) {
        // The only failure is that it is gone, which `ended` reports.
        let _ = pidfd_send_signal(&self.pidfd, Signal::INT);
    }

    /// Has its first process stand still, or go on.
    pub(crate) fn halt(&self, stands_still: bool) {
        let signal = if stands_still { Signal::STOP } else { Signal::CONT };
        let _ = pidfd_send_signal(&self.pidfd, signal);
    }

    /// Kills pid 1 of the session, and so its whole tree.
    pub(crate) fn kill(&self) {
        kill(self.pidfd.as_fd());
    }

    /// Whether its first process is gone.
    pub(crate) fn has_ended(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0)
    }

    /// A handle on the process, for others.
    pub(crate) fn handle(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.pidfd)
    }

    /// Takes the streams that the session writes to from now on, by their numbers in it. Returns those before.
    ///
    /// # Errors
    /// Where they are not there, or are no pipes.
    pub(crate) fn renew_streams(&mut self, numbers: [i32; 2]) -> io::Result<[Stream; 2]> {
        let pid = self.pid().ok_or(io::ErrorKind::NotFound)?;
        let [stdout, stderr] = numbers.map(|number| open_pipe_of(pid, number));
        let (stdout, stderr) = (stream(stdout?)?, stream(stderr?)?);
        // Its number may have become another's only once it was gone.
        if self.pid() != Some(pid) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok([std::mem::replace(&mut self.stdout, stdout), std::mem::replace(&mut self.stderr, stderr)])
    }

    /// Its number on the host; none where it is gone.
    pub(crate) fn pid(&self) -> Option<Pid> {
        pid_of(self.pidfd.as_fd())
    }
}

#[expect(deprecated, reason = "its successor asks for an unsafe promise, which an OwnedFd keeps by its type")]
pub(crate) fn stream(pipe: OwnedFd) -> io::Result<Stream> {
    rustix::io::ioctl_fionbio(&pipe, true)?;
    AsyncFd::new(pipe)
}

/// The reading end of a pipe that another process has open: nothing else, whatever that process says it is.
fn open_pipe_of(pid: Pid, number: i32) -> io::Result<OwnedFd> {
    use rustix::fs::{FileType, Mode, OFlags, fstat, fstatfs, open};
    // Looked at by a handle that opens nothing.
    let handle = open(format!("/proc/{pid}/fd/{number}"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let is_fifo = FileType::from_raw_mode(fstat(&handle)?.st_mode) == FileType::Fifo;
    if !is_fifo || fstatfs(&handle)?.f_type != PIPE_FILE_SYSTEM {
        return Err(io::Error::other("a session's stream is no pipe"));
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(open(format!("/proc/self/fd/{}", handle.as_raw_fd()), flags, Mode::empty())?)
}

/// The number on the host of the process behind a handle; none where it is gone.
pub(crate) fn pid_of(pidfd: BorrowedFd<'_>) -> Option<Pid> {
    // pidfd_open(2), "The file descriptor ... /proc/pid/fdinfo": -1 once the process was reaped.
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    let number = text.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()?;
    if number > 0 { Pid::from_raw(number) } else { None }
}

/// Ends the process behind a handle. One that has ended is what is wanted.
pub(crate) fn kill(pidfd: BorrowedFd<'_>) {
    let _ = pidfd_send_signal(pidfd, Signal::KILL);
}
