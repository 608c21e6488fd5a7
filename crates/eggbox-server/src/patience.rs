//! A stream that gives up on a peer which does not take what is written to it, and not at once on one that is gone.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Fails a write that has made no progress for `stall_max`: an answer is held in memory until its client takes it.
#[derive(Debug)]
pub(crate) struct Patience<S> {
    stream: S,
    stall_max: Duration,
    /// There while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
    /// The peer has closed its side, and the next read will say so.
    is_at_end: bool,
}

impl<S> Patience<S> {
    pub(crate) fn new(stream: S, stall_max: Duration) -> Self {
        Self { stream, stall_max, stalled: None, is_at_end: false }
    }

    /// Passes on what a write came to; one that waits too long fails.
    fn judge<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stall_max = self.stall_max;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(stall_max)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() == before && buffer.remaining() > 0 && !self.is_at_end {
            // A request that came with the end of its connection is begun before it is given up: hyper looks at the end
            // first, and would drop it unseen.
            self.is_at_end = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn the_end_comes_one_poll_late_and_nothing_is_lost() {
        let (ours, mut theirs) = duplex(8);
        theirs.write_all(b"all").await.unwrap();
        drop(theirs);
        let mut patient = Patience::new(ours, Duration::from_millis(50));
        let mut read = Vec::new();
        patient.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"all");
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
        let (ours, theirs) = duplex(8);
        let mut patient = Patience::new(ours, Duration::from_millis(50));
        assert_eq!(patient.write_all(&[0; 64]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(theirs);
        let (ours, mut theirs) = duplex(8);
        let mut patient = Patience::new(ours, Duration::from_millis(200));
        let slow = async {
            for _ in 0..16 {
                sleep(Duration::from_millis(20)).await;
                theirs.read_exact(&mut [0; 8]).await.unwrap();
            }
        };
        tokio::join!(async { patient.write_all(&[0; 128]).await.unwrap() }, slow);
    }
}
