//! A session's processes, as the server holds them: its channel, its output, its end.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use eggbox_sandbox::wire::Exit;
use rustix::process::{Pid, Signal, pidfd_send_signal};
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

/// The session that a nest has forked for us.
#[derive(Debug)]
pub(crate) struct SessionProcess {
    pub(crate) slot: u32,
    pub(crate) requests: pipe::Sender,
    pub(crate) answers: pipe::Receiver,
    pub(crate) stdout: AsyncFd<OwnedFd>,
    pub(crate) stderr: AsyncFd<OwnedFd>,
    /// How it ended, once the nest has reaped it; an error where the nest ended first.
    pub(crate) ended: oneshot::Receiver<Exit>,
    pidfd: OwnedFd,
}

/// Its descriptors, of which a successor makes the same again.
#[derive(Debug)]
pub(crate) struct SessionDescriptors {
    pub(crate) requests: OwnedFd,
    pub(crate) answers: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    pub(crate) pidfd: OwnedFd,
}

impl SessionProcess {
    /// # Errors
    /// Where the descriptors are not what they should be.
    pub(crate) fn new(slot: u32, descriptors: SessionDescriptors, ended: oneshot::Receiver<Exit>) -> io::Result<Self> {
        let SessionDescriptors { requests, answers, stdout, stderr, pidfd } = descriptors;
        for output in [&stdout, &stderr] {
            rustix::io::ioctl_fionbio(output, true)?;
        }
        Ok(Self {
            slot,
            requests: pipe::Sender::from_owned_fd(requests)?,
            answers: pipe::Receiver::from_owned_fd(answers)?,
            stdout: watched(stdout)?,
            stderr: watched(stderr)?,
            ended,
            pidfd,
        })
    }

    /// In the order in which they are kept elsewhere.
    pub(crate) fn as_array(&self) -> [BorrowedFd<'_>; 5] {
        let Self { requests, answers, stdout, stderr, pidfd, .. } = self;
        [requests.as_fd(), answers.as_fd(), stdout.get_ref().as_fd(), stderr.get_ref().as_fd(), pidfd.as_fd()]
    }

    /// Raises KeyboardInterrupt in the session. One that has just ended is left alone.
    pub(crate) fn interrupt(&self) {
        // The only failure is that it is gone, which `ended` reports.
        let _ = pidfd_send_signal(&self.pidfd, Signal::INT);
    }

    /// Kills pid 1 of the session, and so its whole tree.
    pub(crate) fn kill(&self) {
        kill(self.pidfd.as_fd());
    }

    /// A second handle on the process.
    pub(crate) fn handle(&self) -> io::Result<OwnedFd> {
        self.pidfd.try_clone()
    }

    /// Its number on the host; none where it is gone.
    pub(crate) fn pid(&self) -> Option<Pid> {
        // pidfd_open(2), "The file descriptor ... /proc/pid/fdinfo": -1 once the process was reaped.
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", self.pidfd.as_raw_fd())).ok()?;
        let number = text.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()?;
        Pid::from_raw(number)
    }
}

#[expect(deprecated, reason = "its successor asks for an unsafe promise, which an OwnedFd keeps by its type")]
fn watched(pipe: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(pipe)
}

/// Ends the process behind a handle. One that has ended is what is wanted.
pub(crate) fn kill(pidfd: BorrowedFd<'_>) {
    let _ = pidfd_send_signal(pidfd, Signal::KILL);
}
