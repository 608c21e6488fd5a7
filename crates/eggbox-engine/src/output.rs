//! Takes a session's output from its pipes as it comes, so that a writer is never held up for long, and keeps the head of
//! it. From pipe to file it never passes through this process: what has left the one is in the other, whoever is killed
//! in between.

use std::fs::File;
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;

use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{SpliceFlags, splice};
use tokio::io::unix::AsyncFd;

use crate::session_files::{SessionFiles, Which};

/// Bytes asked of a pipe at once: what one holds unless a program has changed that (pipe(7)).
const PORTION_BYTES: usize = 64 * 1024;
/// The most that is taken from a pipe when its writer has come to an end of its own: what an unprivileged process can
/// have made the pipe hold (`/proc/sys/fs/pipe-max-size`). A writer that goes on cannot hold the server up.
const DRAIN_BYTES_MAX: usize = 1024 * 1024;

/// The output of one stream of one execution.
#[derive(Debug)]
pub(crate) struct Collector<'a> {
    files: &'a SessionFiles,
    which: Which,
    kept_bytes: u64,
    dropped_bytes: u64,
    bytes_max: u64,
    /// No writer is left.
    closed: bool,
}

impl<'a> Collector<'a> {
    /// For an execution that begins: the file is empty.
    pub(crate) fn of_new(files: &'a SessionFiles, which: Which, bytes_max: usize) -> Self {
        Self { files, which, kept_bytes: 0, dropped_bytes: 0, bytes_max: bytes_max as u64, closed: false }
    }

    /// For one that another server has begun: goes on after what is in the file already.
    pub(crate) fn of_begun(files: &'a SessionFiles, which: Which, bytes_max: usize) -> io::Result<Self> {
        let kept_bytes = file_of(files, which).metadata()?.len();
        // Once something was dropped, nothing after it is kept.
        let dropped_bytes = files.read_dropped(which)?;
        let bytes_max = if dropped_bytes > 0 { kept_bytes } else { (bytes_max as u64).max(kept_bytes) };
        Ok(Self { files, which, kept_bytes, dropped_bytes, bytes_max, closed: false })
    }

    pub(crate) fn dropped_bytes(&self) -> u64 {
        self.dropped_bytes
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
        let room = usize::try_from(self.bytes_max - self.kept_bytes).unwrap_or(usize::MAX);
        if room == 0 {
            let count = drop_portion(pipe)?;
            if count > 0 {
                self.dropped_bytes += count as u64;
                // Where this fails a server after this one counts less.
                let _ = self.files.write_dropped(self.which, self.dropped_bytes);
            }
            return Ok(count);
        }
        let mut offset = self.kept_bytes;
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let portion = room.min(PORTION_BYTES);
        let file = file_of(self.files, self.which);
        let count = retry_on_intr(|| splice(pipe, None, file, Some(&mut offset), portion, flags))?;
        self.kept_bytes += count as u64;
        Ok(count)
    }
}

fn file_of(files: &SessionFiles, which: Which) -> &File {
    match which {
        Which::Stdout => &files.stdout,
        Which::Stderr => &files.stderr,
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
