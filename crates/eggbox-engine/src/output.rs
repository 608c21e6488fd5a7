//! What a session writes: kept up to a limit, drained without end.

use std::io;
use std::mem::MaybeUninit;

use bytes::BufMut;
use rustix::io::Errno;
use tokio::net::unix::pipe;

use crate::outcome::Output;

/// Bytes asked of a pipe at once: a page at first, and what a pipe holds (pipe(7)) where there is much.
const READ_BYTES_MIN: usize = 4 * 1024;
const READ_BYTES_MAX: usize = 64 * 1024;
/// The most that is taken from a pipe when its writer has come to an end of its own: what an unprivileged process can
/// have made the pipe hold (`/proc/sys/fs/pipe-max-size`). A writer that goes on cannot hold the server up.
const DRAIN_BYTES_MAX: usize = 1024 * 1024;

/// The output of one stream of one execution.
#[derive(Debug)]
pub(crate) struct Collector {
    output: Output,
    bytes_max: usize,
    /// No writer is left.
    closed: bool,
}

impl Collector {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { output: Output::default(), bytes_max, closed: false }
    }

    /// Waits for output and takes one portion of it; never returns once every writer is gone. Cancellation loses
    /// nothing.
    pub(crate) async fn read(&mut self, pipe: &pipe::Receiver) {
        if self.closed || pipe.readable().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.take_portion(pipe);
    }

    /// Takes what is in the pipe, without waiting. Asks the kernel itself: what the runtime remembers of the pipe may be
    /// older than what the session wrote before it said that it is done.
    pub(crate) fn drain(&mut self, pipe: &pipe::Receiver) {
        // Not zeroed first: this is done four times for every execution, mostly for nothing.
        let mut portion = [const { MaybeUninit::uninit() }; READ_BYTES_MAX];
        let mut drained = 0;
        while drained < DRAIN_BYTES_MAX {
            match rustix::io::read(pipe, &mut portion) {
                Err(Errno::INTR) => {}
                Ok(([], _)) | Err(_) => break,
                Ok((taken, _)) => {
                    drained += taken.len();
                    let room = taken.len().min(self.bytes_max - self.output.bytes.len());
                    self.output.bytes.extend_from_slice(&taken[..room]);
                    self.output.dropped_bytes += (taken.len() - room) as u64;
                }
            }
        }
    }

    fn take_portion(&mut self, pipe: &pipe::Receiver) {
        let kept = self.output.bytes.len();
        let room = self.bytes_max - kept;
        let read = if room == 0 {
            let read = pipe.try_read(&mut [0; READ_BYTES_MAX]);
            self.output.dropped_bytes += *read.as_ref().unwrap_or(&0) as u64;
            read
        } else {
            // Most executions print little, some print much.
            let portion = kept.clamp(READ_BYTES_MIN, READ_BYTES_MAX).min(room);
            self.output.bytes.reserve(portion);
            pipe.try_read_buf(&mut (&mut self.output.bytes).limit(portion))
        };
        self.closed |= match read {
            Ok(count) => count == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        };
    }

    pub(crate) fn into_output(self) -> Output {
        self.output
    }
}

/// Drops what is in the pipe: output that came after the execution that it belongs to was over.
pub(crate) fn discard(pipe: &pipe::Receiver) {
    Collector::new(0).drain(pipe);
}
