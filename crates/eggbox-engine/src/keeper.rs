//! What keeps sessions alive while there is no server: a small process that holds every descriptor by which a server
//! reaches nests and sessions, and hands them to the server that comes back.
//!
//! It understands nothing of what it holds, but for one thing: how to clear away what is left when no server comes.

mod messages;
mod process;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use eggbox_sandbox::control;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socket_with, socketpair};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::timeout;

use messages::{FromKeeper, ToKeeper};
pub use process::run;

/// How long a keeper may take to say what it holds.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The server's line to its keeper.
#[derive(Debug)]
pub(crate) struct Keeper {
    socket: UnixStream,
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
        match connect(state_dir) {
            Ok(socket) => {
                let keeper = Self { socket: into_stream(socket)? };
                match timeout(ANSWER_MAX, keeper.take()).await.map_err(|_| KeeperError::Silent)? {
                    Ok(entries) => {
                        let millis = u64::try_from(abandoned_max.as_millis()).unwrap_or(u64::MAX);
                        keeper.send(&ToKeeper::Wait { millis }, &[]).await?;
                        return Ok((keeper, entries));
                    }
                    // It was about to end.
                    Err(error) if is_gone(&error) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error.into()),
        }
        let socket = start(state_dir, abandoned_max).map_err(KeeperError::Start)?;
        Ok((Self { socket: into_stream(socket)? }, Vec::new()))
    }

    async fn take(&self) -> io::Result<Vec<Entry>> {
        self.send(&ToKeeper::Take, &[]).await?;
        let mut entries = Vec::new();
        loop {
            let received = self.socket.async_io(Interest::READABLE, || control::receive(self.socket.as_fd())).await?;
            match received {
                None => return Err(io::ErrorKind::ConnectionReset.into()),
                Some((FromKeeper::All, _)) => return Ok(entries),
                Some((FromKeeper::Entry { key, note }, descriptors)) => entries.push(Entry { key, note, descriptors }),
            }
        }
    }

    /// Keeps this under `key`, in place of what was there. When it returns, it is kept whatever becomes of this server.
    pub(crate) async fn put(&self, key: &str, note: String, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send(&ToKeeper::Put { key: key.to_owned(), note }, descriptors).await
    }

    /// Keeps it no longer.
    pub(crate) async fn remove(&self, key: &str) {
        if let Err(error) = self.send(&ToKeeper::Remove { key: key.to_owned() }, &[]).await {
            tracing::error!(%error, key, "the keeper cannot be told what is over");
        }
    }

    /// Ends it, and with it whatever it alone still holds.
    pub(crate) async fn end(&self) {
        // One that is gone is what is wanted.
        let _ = self.send(&ToKeeper::End, &[]).await;
        self.wait_for_end().await;
    }

    async fn wait_for_end(&self) {
        let _ = shutdown(&self.socket, Shutdown::Write);
        let gone = self.socket.async_io(Interest::READABLE, || control::receive::<FromKeeper>(self.socket.as_fd()));
        let _ = timeout(ANSWER_MAX, gone).await;
    }

    async fn send(&self, message: &ToKeeper, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let socket = &self.socket;
        socket.async_io(Interest::WRITABLE, || control::send(socket.as_fd(), message, descriptors)).await
    }
}

/// Ends what an earlier server of this folder has left, if anything, and returns when that is gone.
pub async fn abandon(state_dir: &Path) {
    let Ok(socket) = connect(state_dir).and_then(into_stream) else { return };
    let keeper = Keeper { socket };
    // One that is gone is what is wanted.
    let _ = keeper.send(&ToKeeper::Abandon, &[]).await;
    keeper.wait_for_end().await;
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
