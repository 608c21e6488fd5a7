//! What keeps sessions alive while there is no server: a small process that holds every descriptor by which a server
//! reaches nests and sessions, and hands them to the server that comes back.
//!
//! It understands nothing of what it holds, but for one thing: how to clear away what is left when no server comes.

mod messages;
mod process;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use eggbox_sandbox::control;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socket_with, socketpair};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::state_dir::{StateDir, StateDirError};
use messages::{FromKeeper, ToKeeper};
pub use process::run;

/// How long a keeper may take to say what it holds.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long the lock on the state directory is tried for, before it is taken for another server's.
const LOCK_MAX: Duration = Duration::from_secs(1);
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// Between two tries to start one in the place of one that has died.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The server's line to its keeper, and to the one that takes its place where that dies.
#[derive(Debug)]
pub(crate) struct Keeper {
    state_dir: PathBuf,
    abandoned_max: Duration,
    line: Mutex<Arc<UnixStream>>,
    /// How many keepers there were before this one, which knows nothing of what those were given.
    generation: watch::Sender<u64>,
    /// Told to end: nothing is kept any more, and nothing has to be.
    is_ended: AtomicBool,
}

/// Something that is kept: descriptors and a word on them.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) note: String,
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// Why nothing can be kept; readable after "failed to start: ".
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    #[error("cannot start the process that keeps sessions over a restart")]
    Start(#[source] io::Error),
    #[error("cannot talk to the process that keeps sessions over a restart")]
    Talk(#[from] io::Error),
    #[error("the process that keeps sessions over a restart gave no answer in {} s; end it, and its sessions with it", ANSWER_MAX.as_secs())]
    Silent,
}

impl Keeper {
    /// The keeper that an earlier server of this folder has left, with what it holds, or a new one.
    pub(crate) async fn find_or_start(
        state_dir: &Path,
        abandoned_max: Duration,
    ) -> Result<(Self, Vec<Entry>), KeeperError> {
        let with_line = |line| Self {
            state_dir: state_dir.to_owned(),
            abandoned_max,
            line: Mutex::new(Arc::new(line)),
            generation: watch::Sender::new(0),
            is_ended: AtomicBool::new(false),
        };
        match connect(state_dir).and_then(into_stream) {
            Ok(line) => match timeout(ANSWER_MAX, take(&line, abandoned_max)).await.map_err(|_| KeeperError::Silent)? {
                Ok(entries) => return Ok((with_line(line), entries)),
                // It was about to end.
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error.into()),
            },
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error.into()),
        }
        let line = start(state_dir, abandoned_max).and_then(into_stream).map_err(KeeperError::Start)?;
        Ok((with_line(line), Vec::new()))
    }

    fn line(&self) -> Arc<UnixStream> {
        Arc::clone(&self.line.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Starts another keeper in the place of each that dies, at which everybody has to give it what they gave the one
    /// before. Returns when it was told to end.
    pub(crate) async fn guard(&self) {
        loop {
            let line = self.line();
            // It says nothing unasked: what comes is its end.
            let _ = line.async_io(Interest::READABLE, || control::receive::<FromKeeper>(line.as_fd())).await;
            if self.is_ended.load(Ordering::Relaxed) {
                return;
            }
            tracing::error!("the process that keeps sessions over a restart is gone; starting another");
            match start(&self.state_dir, self.abandoned_max).and_then(into_stream) {
                Ok(line) => {
                    *self.line.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(line);
                    self.generation.send_modify(|generation| *generation += 1);
                }
                Err(error) => tracing::error!(%error, "it cannot be started"),
            }
            tokio::time::sleep(RESTART_PAUSE).await;
        }
    }

    /// Which keeper this is.
    pub(crate) fn generation(&self) -> u64 {
        *self.generation.borrow()
    }

    /// Returns when there is one after that.
    pub(crate) async fn later_than(&self, generation: u64) {
        // The sender lives as long as this.
        let _ = self.generation.subscribe().wait_for(|now| *now > generation).await;
    }

    /// Keeps this under `key`, in place of what was there. When it returns, it is kept whatever becomes of this server.
    pub(crate) async fn put(&self, key: &str, note: String, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.tell(&ToKeeper::Put { key: key.to_owned(), note }, descriptors).await
    }

    /// Keeps it no longer.
    pub(crate) async fn remove(&self, key: &str) {
        if let Err(error) = self.tell(&ToKeeper::Remove { key: key.to_owned() }, &[]).await {
            tracing::error!(%error, key, "the keeper cannot be told what is over");
        }
    }

    async fn tell(&self, message: &ToKeeper, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let line = self.line();
        let sent = timeout(ANSWER_MAX, send(&line, message, descriptors)).await;
        match sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            // Sessions end at the same time, and what they want is done.
            Err(error) if is_gone(&error) && self.is_ended.load(Ordering::Relaxed) => Ok(()),
            sent => sent,
        }
    }

    /// Ends it, and with it whatever it alone still holds.
    pub(crate) async fn end(&self) {
        self.is_ended.store(true, Ordering::Relaxed);
        let line = self.line();
        // One that is gone is what is wanted.
        let _ = send(&line, &ToKeeper::End, &[]).await;
        wait_for_end(&line).await;
    }
}

/// Asks a keeper for what it holds, and has it wait so long for the server after this one.
async fn take(line: &UnixStream, abandoned_max: Duration) -> io::Result<Vec<Entry>> {
    send(line, &ToKeeper::Take, &[]).await?;
    let mut entries = Vec::new();
    loop {
        match line.async_io(Interest::READABLE, || control::receive(line.as_fd())).await? {
            None => return Err(io::ErrorKind::ConnectionReset.into()),
            Some((FromKeeper::Entry { key, note }, descriptors)) => entries.push(Entry { key, note, descriptors }),
            Some((FromKeeper::All, _)) => break,
        }
    }
    let millis = u64::try_from(abandoned_max.as_millis()).unwrap_or(u64::MAX);
    send(line, &ToKeeper::Wait { millis }, &[]).await?;
    Ok(entries)
}

async fn send(line: &UnixStream, message: &ToKeeper, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    line.async_io(Interest::WRITABLE, || control::send(line.as_fd(), message, descriptors)).await
}

async fn wait_for_end(line: &UnixStream) {
    let _ = shutdown(line, Shutdown::Write);
    let gone = line.async_io(Interest::READABLE, || control::receive::<FromKeeper>(line.as_fd()));
    let _ = timeout(ANSWER_MAX, gone).await;
}

/// Has what an earlier server of this folder has left ended, if anything, as soon as this process has let go of it.
pub async fn abandon(state_dir: &Path) {
    let end = Instant::now() + LOCK_MAX;
    let _alone = loop {
        match StateDir::lock(state_dir) {
            Ok(alone) => break alone,
            // A program that this process was about to start may still hold our own lock, until it is executed.
            Err(StateDirError::InUse { .. }) if Instant::now() < end => tokio::time::sleep(LOCK_PAUSE).await,
            // Another server's: what it holds is none of ours.
            Err(_) => return,
        }
    };
    let Ok(line) = connect(state_dir).and_then(into_stream) else { return };
    // One that is gone is what is wanted.
    let _ = send(&line, &ToKeeper::Abandon, &[]).await;
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound};
    matches!(error.kind(), NotFound | ConnectionRefused | ConnectionReset | BrokenPipe)
}

/// Tokio's stream only waits on it.
fn into_stream(socket: OwnedFd) -> io::Result<UnixStream> {
    rustix::io::ioctl_fionbio(&socket, true)?;
    UnixStream::from_std(socket.into())
}

fn connect(state_dir: &Path) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    process::with_address(state_dir, |address| Ok(rustix::net::connect(&socket, address)?))?;
    Ok(socket)
}

fn start(state_dir: &Path, abandoned_max: Duration) -> io::Result<OwnedFd> {
    let (socket, inner) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    // The link to the program that runs, even where its file has since been replaced.
    let mut keeper = tokio::process::Command::new("/proc/self/exe")
        .arg("keeper")
        .arg(state_dir)
        .arg(abandoned_max.as_millis().to_string())
        .stdin(Stdio::from(inner))
        .stdout(Stdio::null())
        .spawn()?;
    // It outlives this server; while it does not, somebody has to reap it.
    tokio::spawn(async move { keeper.wait().await });
    Ok(socket)
}
