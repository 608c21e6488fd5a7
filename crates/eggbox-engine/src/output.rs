//! Takes a session's output from its pipes as it comes, so that a writer is never held up for long, and keeps the head of
//! it. From pipe to file it never passes through this process: what has left the one is in the other, whoever is killed
//! in between.

use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;

use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{SpliceFlags, splice};
use tokio::io::unix::AsyncFd;

use crate::history::{History, Which};

/// Bytes asked of a pipe at once: what one holds unless a program has changed that (pipe(7)).
const PORTION_BYTES: usize = 64 * 1024;
/// The most that is taken from a pipe when its writer has come to an end of its own: what an unprivileged process can
/// have made the pipe hold (`/proc/sys/fs/pipe-max-size`). A writer that goes on cannot hold the server up.
const DRAIN_BYTES_MAX: usize = 1024 * 1024;

/// The output of one stream of one execution.
#[derive(Debug)]
pub(crate) struct Collector<'a> {
    history: &'a History,
    which: Which,
    /// Where in the file the next portion goes.
    end: u64,
    dropped_bytes: u64,
    /// Where no more of it is kept.
    end_max: u64,
    /// No writer is left.
    closed: bool,
}

impl<'a> Collector<'a> {
    /// For an execution that begins, whose output goes to that place in the file.
    pub(crate) fn of_new(history: &'a History, which: Which, at: u64, bytes_max: usize) -> Self {
        Self { history, which, end: at, dropped_bytes: 0, end_max: at + bytes_max as u64, closed: false }
    }

    /// For one that another server has begun: goes on after what is in the file already.
    pub(crate) fn of_begun(history: &'a History, which: Which, at: u64, bytes_max: usize) -> io::Result<Self> {
        let end = history.file(which).metadata()?.len().max(at);
        // Once something was dropped, nothing after it is kept.
        let dropped_bytes = history.read_dropped(which)?;
        let end_max = if dropped_bytes > 0 { end } else { (at + bytes_max as u64).max(end) };
        Ok(Self { history, which, end, dropped_bytes, end_max, closed: false })
    }

    pub(crate) fn dropped_bytes(&self) -> u64 {
        self.dropped_bytes
    }

    /// How far the file goes.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Waits for output and takes one portion of it; never returns once every writer is gone. Cancellation loses
    /// nothing.
    pub(crate) async fn read(&mut self, pipe: &AsyncFd<OwnedFd>) {
        if self.closed {
            pending::<()>().await;
        }
        let Ok(mut ready) = pipe.readable().await else { return pending().await };
        if let Ok(Ok(0) | Err(_)) = ready.try_io(|pipe| Ok(self.take_portion(pipe)?)) {
            self.closed = true;
        }
    }

    /// Takes what is in the pipe, without waiting. Asks the kernel itself: what the runtime remembers of the pipe may be
    /// older than what the session wrote before it said that it is done.
    pub(crate) fn drain(&mut self, pipe: &AsyncFd<OwnedFd>) {
        let mut drained = 0;
        while drained < DRAIN_BYTES_MAX {
            match self.take_portion(pipe) {
                Ok(0) | Err(_) => break,
                Ok(count) => drained += count,
            }
        }
    }

    fn take_portion(&mut self, pipe: &AsyncFd<OwnedFd>) -> Result<usize, Errno> {
        let room = usize::try_from(self.end_max - self.end).unwrap_or(usize::MAX);
        if room == 0 {
            let count = drop_portion(pipe)?;
            if count > 0 {
                self.dropped_bytes += count as u64;
                // Where this fails a server after this one counts less.
                let _ = self.history.write_dropped(self.which, self.dropped_bytes);
            }
            return Ok(count);
        }
        let mut offset = self.end;
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let portion = room.min(PORTION_BYTES);
        let file = self.history.file(self.which);
        let count = retry_on_intr(|| splice(pipe, None, file, Some(&mut offset), portion, flags))?;
        self.end += count as u64;
        Ok(count)
    }
}

/// Drops what is in the pipe: output that came after the execution that it belongs to was over.
pub(crate) fn discard(pipe: &AsyncFd<OwnedFd>) {
    let mut dropped = 0;
    while dropped < DRAIN_BYTES_MAX {
        match drop_portion(pipe) {
            Ok(0) | Err(_) => break,
            Ok(count) => dropped += count,
        }
    }
}

/// Reads what there is, as much as a pipe holds, and drops it.
pub(crate) fn drop_portion(pipe: &AsyncFd<OwnedFd>) -> Result<usize, Errno> {
    // Not zeroed first: this is done for every execution, mostly for nothing.
    let mut portion = [const { std::mem::MaybeUninit::uninit() }; PORTION_BYTES];
    retry_on_intr(|| rustix::io::read(pipe, &mut portion).map(|(taken, _)| taken.len()))
}
