//! The session's output, from the end of one execution to the beginning of the next.
//!
//! A process that an execution has left behind goes on writing to the streams that it was born with. So that this never
//! looks like the output of what comes next, a session that is not alone at the end of an execution leaves its streams to
//! those, and writes to new ones.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use crate::sys;
use crate::wire::FromSession;

/// Which streams the session writes to.
#[derive(Debug)]
pub(super) struct Streams {
    generation: u32,
    /// Of what 0, 1 and 2 were when they were given to it.
    inodes: [u64; 3],
    /// The server's ends of streams that it may not have opened yet.
    unclaimed: Option<[OwnedFd; 2]>,
}

impl Default for Streams {
    fn default() -> Self {
        Self { generation: 0, inodes: inodes(), unclaimed: None }
    }
}

/// Of what 0, 1 and 2 are now; 0 where there is nothing.
fn inodes() -> [u64; 3] {
    [0, 1, 2].map(|number| rustix::fs::fstat(sys::inside::borrowed(number)).map_or(0, |stat| stat.st_ino))
}

impl Streams {
    pub(super) fn inodes(&self) -> [u64; 3] {
        self.inodes
    }

    /// New ones, where others may still write to the present ones. A session that has no descriptors left keeps what it
    /// has.
    pub(super) fn renew_if_shared(&mut self) {
        if sys::inside::has_children()
            && let Ok(unclaimed) = renew()
        {
            self.generation += 1;
            self.inodes = inodes();
            self.unclaimed = Some(unclaimed);
        }
    }

    /// What the server has to hear, if anything.
    pub(super) fn news(&self) -> Option<FromSession> {
        let [stdout, stderr] = self.unclaimed.as_ref()?.each_ref().map(AsRawFd::as_raw_fd);
        Some(FromSession::Renewed { generation: self.generation, stdout, stderr })
    }

    /// The server has them.
    pub(super) fn are_claimed(&mut self) {
        self.unclaimed = None;
    }
}

fn renew() -> io::Result<[OwnedFd; 2]> {
    let ((stdout, inner_stdout), (stderr, inner_stderr)) = (io::pipe()?, io::pipe()?);
    sys::place_at(inner_stdout.as_fd(), 1, true)?;
    sys::place_at(inner_stderr.as_fd(), 2, true)?;
    Ok([stdout.into(), stderr.into()])
}
