//! The server's hold on one nest: starts it, asks it for sessions, hears of their ends.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eggbox_sandbox::control;
use eggbox_sandbox::plan::Plan;
use eggbox_sandbox::wire::{Exit, FromNest, NestFailure, ToNest};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Gid, Signal, Uid, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long a nest may take to go once it was told to, before it is killed.
const END_MAX: Duration = Duration::from_secs(2);

/// Why there is no nest; readable after "failed to start the nest: ".
#[derive(Debug, thiserror::Error)]
pub enum NestError {
    #[error("cannot start a process for it")]
    Process(#[source] io::Error),
    #[error(transparent)]
    Failed(#[from] NestFailure),
    #[error("it ended before it was up; what it printed is above")]
    Ended,
    #[error("it was not up after {} s; preload less or raise nest_start_seconds_max", waited.as_secs())]
    Slow { waited: Duration },
    #[error("its control channel broke")]
    Control(#[from] io::Error),
}

/// Why a nest gave no session.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    #[error("the nest is gone")]
    NestGone,
    #[error("every slot is taken: ended sessions are still being cleared away")]
    NoSlot,
    #[error("the nest could not fork: {0}")]
    Fork(String),
    #[error("cannot make a channel for the session")]
    Channel(#[from] io::Error),
}

/// A session's process, as the server holds it.
#[derive(Debug)]
pub(crate) struct SessionProcess {
    pub(crate) requests: pipe::Sender,
    pub(crate) answers: pipe::Receiver,
    pub(crate) stdout: pipe::Receiver,
    pub(crate) stderr: pipe::Receiver,
    /// How it ended, once the nest has reaped it; an error where the nest ended first.
    pub(crate) ended: oneshot::Receiver<Exit>,
    pidfd: OwnedFd,
}

impl SessionProcess {
    /// Raises KeyboardInterrupt in the session. One that has just ended is left alone.
    pub(crate) fn interrupt(&self) {
        // The only failure is that it is gone, which `ended` reports.
        let _ = pidfd_send_signal(&self.pidfd, Signal::INT);
    }

    /// Kills pid 1 of the session, and so its whole tree.
    pub(crate) fn kill(&self) {
        // As above.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

/// What the nest said of itself when it was up.
#[derive(Debug, Clone)]
pub(crate) struct Description {
    pub(crate) python: String,
    pub(crate) preloaded: Vec<String>,
    pub(crate) missing: Vec<String>,
}

/// A handle on a running nest.
#[derive(Debug)]
pub(crate) struct Nest {
    shared: Arc<Shared>,
    pub(crate) description: Description,
}

#[derive(Debug)]
struct Shared {
    plan: Arc<Plan>,
    /// Of whole messages; tokio's stream only waits on it.
    control: UnixStream,
    pidfd: OwnedFd,
    state: Mutex<State>,
}

/// A nest that is not up yet. Dropped with its process, it kills that: an import that hangs would not see the control
/// channel close.
#[derive(Debug)]
struct Starting(Option<OwnedFd>);

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(pidfd) = &self.0 {
            // One that has ended is what we want.
            let _ = pidfd_send_signal(pidfd, Signal::KILL);
        }
    }
}

/// Who waits for what from the nest. None once it is gone.
#[derive(Debug)]
struct Waiting {
    /// For the fork of the session of a slot.
    forks: HashMap<u32, oneshot::Sender<Result<OwnedFd, SpawnError>>>,
    /// For its end.
    ends: HashMap<u32, oneshot::Sender<Exit>>,
    free_slots: Vec<u32>,
}

#[derive(Debug)]
enum State {
    Up(Waiting),
    Gone,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is a single step: after a panic elsewhere it is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks until the process is gone, and kills it where it takes long.
    fn wait_for_end(&self) {
        let limit = Timespec::try_from(END_MAX).ok();
        let gone = |limit: Option<&Timespec>| {
            poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], limit).is_ok_and(|ready| ready > 0)
        };
        if !gone(limit.as_ref()) {
            let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
            gone(None);
        }
        // Where this server is pid 1 of a container, the orphaned nest has become its child.
        let _ = waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
    }

    async fn send(&self, message: &ToNest, descriptors: &[OwnedFd]) -> io::Result<()> {
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        let socket = &self.control;
        socket.async_io(Interest::WRITABLE, || control::send(socket.as_fd(), message, &descriptors)).await
    }
}

async fn receive(socket: &UnixStream) -> io::Result<Option<(FromNest, Vec<OwnedFd>)>> {
    socket.async_io(Interest::READABLE, || control::receive(socket.as_fd())).await
}

impl Nest {
    /// Starts a nest and waits until it is up, at most for `wait_max`.
    pub(crate) async fn start(plan: &Arc<Plan>, sessions_max: u32, wait_max: Duration) -> Result<Self, NestError> {
        match timeout(wait_max, Self::start_unbounded(plan, sessions_max)).await {
            Ok(started) => started,
            Err(_) => Err(NestError::Slow { waited: wait_max }),
        }
    }

    async fn start_unbounded(plan: &Arc<Plan>, sessions_max: u32) -> Result<Self, NestError> {
        let control = start_process(plan).map_err(NestError::Process)?;
        let mut process = Starting(None);
        let description = loop {
            match receive(&control).await? {
                None => return Err(NestError::Ended),
                Some((FromNest::Started, descriptors)) => process = Starting(descriptors.into_iter().next()),
                Some((FromNest::Failed(failure), _)) => return Err(failure.into()),
                Some((FromNest::Up { python, preloaded, missing }, _)) => {
                    break Description { python, preloaded, missing };
                }
                Some((unexpected, _)) => {
                    return Err(io::Error::other(format!("it said {unexpected:?} before it was up")).into());
                }
            }
        };
        let pidfd = process.0.take().ok_or_else(|| io::Error::other("it gave no handle on its process"))?;
        let waiting = Waiting {
            forks: HashMap::new(),
            ends: HashMap::new(),
            // The lowest are taken first.
            free_slots: (0..sessions_max).rev().collect(),
        };
        let shared = Arc::new(Shared { plan: Arc::clone(plan), control, pidfd, state: Mutex::new(State::Up(waiting)) });
        tokio::spawn(hear(Arc::clone(&shared)));
        Ok(Self { shared, description })
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(*self.shared.state(), State::Up(_))
    }

    /// Asks for a session; it is not yet known to be locked down.
    pub(crate) async fn spawn(&self) -> Result<SessionProcess, SpawnError> {
        let (inner_requests, requests) = io::pipe()?;
        let (answers, inner_answers) = io::pipe()?;
        let (stdout, inner_stdout) = io::pipe()?;
        let (stderr, inner_stderr) = io::pipe()?;
        let (fork_sender, fork) = oneshot::channel();
        let (end_sender, ended) = oneshot::channel();
        let slot = match &mut *self.shared.state() {
            State::Gone => return Err(SpawnError::NestGone),
            State::Up(waiting) => {
                let slot = waiting.free_slots.pop().ok_or(SpawnError::NoSlot)?;
                waiting.forks.insert(slot, fork_sender);
                waiting.ends.insert(slot, end_sender);
                slot
            }
        };
        if let Some(id) = self.shared.plan.outside_id(slot) {
            let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
            for pipe in [inner_stdout.as_fd(), inner_stderr.as_fd()] {
                // So that it can be opened by name, as /dev/stdout. Where that fails, it cannot.
                let _ = rustix::fs::fchown(pipe, Some(uid), Some(gid));
            }
        }
        let descriptors = [inner_requests.into(), inner_answers.into(), inner_stdout.into(), inner_stderr.into()];
        // A nest that cannot be written to is gone, and `hear` tells everybody who waits.
        let _ = self.shared.send(&ToNest::Spawn { slot }, &descriptors).await;
        drop(descriptors);
        let pidfd = fork.await.map_err(|_| SpawnError::NestGone)??;
        Ok(SessionProcess {
            requests: pipe::Sender::from_owned_fd(requests.into())?,
            answers: pipe::Receiver::from_owned_fd(answers.into())?,
            stdout: pipe::Receiver::from_owned_fd(stdout.into())?,
            stderr: pipe::Receiver::from_owned_fd(stderr.into())?,
            ended,
            pidfd,
        })
    }

    /// Ends the nest and every session in it; returns when the kernel has cleared them away.
    pub(crate) async fn end(&self) {
        // It ends when its control channel does.
        let _ = rustix::net::shutdown(&self.shared.control, rustix::net::Shutdown::Both);
        let shared = Arc::clone(&self.shared);
        // Where the blocking task cannot run, the runtime is going down, and the closed channel has to do.
        let _ = tokio::task::spawn_blocking(move || shared.wait_for_end()).await;
    }
}

/// Starts our own binary as a nest; returns the server's end of its control channel.
fn start_process(plan: &Plan) -> io::Result<UnixStream> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    let flags = SocketFlags::CLOEXEC;
    let (control, inner_control) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    rustix::io::ioctl_fionbio(&control, true)?;
    let plan = eggbox_sandbox::memory_file(c"plan", &serde_json::to_vec(plan)?)?;
    // The link to the program that runs, even where its file has since been replaced.
    let mut first = tokio::process::Command::new("/proc/self/exe")
        .arg("nest")
        .stdin(Stdio::from(inner_control))
        .stdout(Stdio::from(plan))
        .spawn()?;
    // The process that was started leaves as soon as the nest stands on its own.
    tokio::spawn(async move { first.wait().await });
    UnixStream::from_std(control.into())
}

/// Passes on what the nest says, until it is gone.
async fn hear(shared: Arc<Shared>) {
    loop {
        match receive(&shared.control).await {
            Ok(Some((message, descriptors))) => {
                if let State::Up(waiting) = &mut *shared.state() {
                    waiting.dispatch(message, descriptors);
                }
            }
            ended => {
                if let Err(error) = ended {
                    tracing::error!(%error, "the control channel of the nest broke");
                }
                // Drops every sender: whoever waits hears that the nest is gone.
                *shared.state() = State::Gone;
                // It ends itself and its sessions; nothing of it may outlive this in whatever state.
                tokio::task::spawn_blocking(move || shared.wait_for_end());
                return;
            }
        }
    }
}

impl Waiting {
    fn dispatch(&mut self, message: FromNest, descriptors: Vec<OwnedFd>) {
        match message {
            FromNest::Spawned { slot } => {
                if let (Some(fork), Some(pidfd)) = (self.forks.remove(&slot), descriptors.into_iter().next()) {
                    // Nobody waits any more: the channel is closed, at which the session ends itself.
                    let _ = fork.send(Ok(pidfd));
                }
            }
            FromNest::NotSpawned { slot, cause } => {
                self.ends.remove(&slot);
                self.free_slots.push(slot);
                if let Some(fork) = self.forks.remove(&slot) {
                    let _ = fork.send(Err(SpawnError::Fork(cause)));
                }
            }
            FromNest::Ended { slot, exit } => {
                if let Some(end) = self.ends.remove(&slot) {
                    // A session that nobody holds any more.
                    let _ = end.send(exit);
                }
            }
            FromNest::Cleared { slot } => self.free_slots.push(slot),
            FromNest::NotCleared { slot } => {
                tracing::error!(
                    slot,
                    "the folders of an ended session could not be removed; its slot is not used again"
                );
            }
            FromNest::Started | FromNest::Failed(_) | FromNest::Up { .. } => {
                tracing::warn!(?message, "the nest said something out of turn");
            }
        }
    }
}
