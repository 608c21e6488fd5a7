//! The server's hold on one nest: starts it or takes it over, asks it for sessions, hears of their ends.

mod memory;
mod waiting;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eggbox_sandbox::cgroup::{Group, Share};
use eggbox_sandbox::plan::{GroupsPlan, Plan};
use eggbox_sandbox::policy::WorkspacePolicy;
use eggbox_sandbox::wire::{Exit, FromNest, NestFailure, ToNest, WIRE_VERSION};
use eggbox_sandbox::{control, leftovers};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::{Gid, Signal, Uid, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use self::memory::SessionMemory;
use self::waiting::{Waiting, hear};
use crate::checkpoints::Home;
use crate::kept::{NestDescriptors, NestNote};
use crate::session_limits::SessionLimits;
use crate::session_process::{SessionDescriptors, SessionProcess, pid_of};
use crate::slots::{Reading, Slots};

/// How long a nest may take to go once it was told to, before it is killed: the kernel takes a second or two to clear a
/// thousand sessions away.
const END_MAX: Duration = Duration::from_secs(20);
/// How long after its death what is left of it may take to be gone.
const GONE_MAX: Duration = Duration::from_secs(10);
/// How long a nest that was taken over may take to say what it holds.
const REPORT_MAX: Duration = Duration::from_secs(10);

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
    #[error("cannot make a control group for the session")]
    ControlGroup(#[source] io::Error),
    #[error("cannot make a channel for the session")]
    Channel(#[from] io::Error),
}

/// What a session is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Use,
    /// To be kept ready for somebody: made with a small share of the processors.
    Park,
    /// To see whether the wall can be put up.
    Proof,
}

impl Purpose {
    /// What it gets of the processors while it is made.
    pub(crate) fn share(self) -> Share {
        if let Self::Park = self { Share::Low } else { Share::Full }
    }
}

/// What the nest said of itself when it was up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Description {
    pub(crate) python: String,
    pub(crate) preloaded: Vec<String>,
    pub(crate) missing: Vec<String>,
}

/// The answer to the wish for a session.
type Fork = oneshot::Receiver<Result<OwnedFd, SpawnError>>;

/// How a session hears of its end, and what it holds until it has told that.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) ended: oneshot::Receiver<Exit>,
    pub(crate) reading: Reading,
}

/// A handle on a running nest.
#[derive(Debug)]
pub(crate) struct Nest {
    shared: Arc<Shared>,
    pub(crate) note: NestNote,
}

#[derive(Debug)]
struct Shared {
    plan: Plan,
    /// The plan's file as the nest got it.
    plan_file: File,
    /// Of whole messages; tokio's stream only waits on it.
    control: UnixStream,
    pidfd: OwnedFd,
    /// The memory that its sessions share, where they do.
    base: Option<OwnedFd>,
    memory: SessionMemory,
    slots: Slots,
    state: Mutex<State>,
    life: watch::Sender<Life>,
}

/// How far the end of a nest has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Life {
    Up,
    /// Its channel is closed.
    Gone,
    /// Nothing of it is left.
    Cleared,
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
        let gone = |limit: Duration| {
            let limit = Timespec::try_from(limit).ok();
            poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], limit.as_ref()).is_ok_and(|ready| ready > 0)
        };
        if !gone(END_MAX) {
            let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
            if !gone(GONE_MAX) {
                tracing::error!("a nest cannot be ended: the kernel does not let it go");
                return;
            }
        }
        // Where this server is pid 1 of a container, the orphaned nest has become its child.
        let _ = waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
        if let Err(error) = leftovers::clear_folder(&self.plan) {
            tracing::error!(%error, "failed to remove the folder of a nest that has ended");
        }
    }

    async fn send(&self, message: &ToNest, descriptors: &[OwnedFd]) -> io::Result<()> {
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        let socket = &self.control;
        socket.async_io(Interest::WRITABLE, || control::send(socket.as_fd(), message, &descriptors)).await
    }

    /// At which it ends by itself.
    fn close_control(&self) {
        let _ = rustix::net::shutdown(&self.control, rustix::net::Shutdown::Both);
    }
}

async fn receive(socket: &UnixStream) -> io::Result<Option<(FromNest, Vec<OwnedFd>)>> {
    socket.async_io(Interest::READABLE, || control::receive(socket.as_fd())).await
}

/// What there is in a nest that was taken over.
#[derive(Debug)]
pub(crate) struct Inventory {
    /// Slots with a session that has not ended.
    pub(crate) living: HashMap<u32, End>,
    /// How those have ended that have.
    pub(crate) exits: HashMap<u32, Exit>,
}

/// What it has said while nobody listened, and in answer to the question what it holds.
#[derive(Debug, Default)]
struct Heard {
    living: HashSet<u32>,
    exits: HashMap<u32, Exit>,
    /// Slots in which something was left that could not be cleared.
    not_cleared: HashSet<u32>,
    /// Slots that are free again.
    cleared: HashSet<u32>,
}

impl Nest {
    /// Starts a nest and waits until it is up, at most for `wait_max`.
    pub(crate) async fn start(
        plan: &Plan,
        state_dir: &Path,
        slots: &Slots,
        wait_max: Duration,
    ) -> Result<Self, NestError> {
        match timeout(wait_max, Self::start_unbounded(plan, state_dir, slots)).await {
            Ok(started) => started,
            Err(_) => Err(NestError::Slow { waited: wait_max }),
        }
    }

    async fn start_unbounded(template: &Plan, state_dir: &Path, slots: &Slots) -> Result<Self, NestError> {
        let name = uuid::Uuid::now_v7().to_string();
        let plan = template.for_nest(&state_dir.join("nests").join(&name));
        let (control, plan_file) = start_process(&plan).map_err(NestError::Process)?;
        let mut process = Starting(None);
        let (description, base) = loop {
            match receive(&control).await? {
                None => return Err(NestError::Ended),
                Some((FromNest::Started, descriptors)) => process = Starting(descriptors.into_iter().next()),
                Some((FromNest::Failed(failure), _)) => return Err(failure.into()),
                Some((FromNest::Up { python, preloaded, missing, base_bytes }, descriptors)) => {
                    if let Err(cause) = base_bytes {
                        tracing::warn!(cause, "the nest's memory cannot be shared as a file: new sessions take longer");
                    }
                    break (Description { python, preloaded, missing }, descriptors.into_iter().next());
                }
                Some((unexpected, _)) => {
                    return Err(io::Error::other(format!("it said {unexpected:?} before it was up")).into());
                }
            }
        };
        let pidfd = process.0.take().ok_or_else(|| io::Error::other("it gave no handle on its process"))?;
        let note = NestNote { name, digest: template.digest(), wire_version: WIRE_VERSION, description };
        Ok(Self::hold(plan, plan_file, control, (pidfd, base), slots, Waiting::default(), note))
    }

    /// Takes over a nest that another server has started, with what it holds.
    pub(crate) async fn adopt(
        note: NestNote,
        descriptors: NestDescriptors,
        slots: &Slots,
    ) -> Result<(Self, Inventory), NestError> {
        let plan = descriptors.read_plan()?;
        let NestDescriptors { control, pidfd, plan: plan_file, base } = descriptors;
        let control = UnixStream::from_std(control.into())?;
        let heard = match timeout(REPORT_MAX, take_inventory(&control)).await {
            Ok(heard) => heard?,
            Err(_) => return Err(NestError::Slow { waited: REPORT_MAX }),
        };
        let Heard { living, exits, not_cleared, cleared } = heard;
        let mut waiting = Waiting::default();
        // Before the nest is heard again: an end must find somebody to tell.
        let living: HashMap<u32, End> = living.into_iter().map(|slot| (slot, waiting.expect_end(slot))).collect();
        waiting.held.extend(exits.keys().filter(|slot| !cleared.contains(slot)).map(|slot| (*slot, None)));
        for slot in waiting.held.keys().chain(&not_cleared) {
            slots.occupy(*slot);
        }
        Ok((Self::hold(plan, plan_file, control, (pidfd, base), slots, waiting, note), Inventory { living, exits }))
    }

    fn hold(
        plan: Plan,
        plan_file: File,
        control: UnixStream,
        (pidfd, base): (OwnedFd, Option<OwnedFd>),
        slots: &Slots,
        waiting: Waiting,
        note: NestNote,
    ) -> Self {
        let (slots, state) = (slots.clone(), Mutex::new(State::Up(waiting)));
        let shared = Arc::new(Shared {
            plan,
            plan_file,
            control,
            pidfd,
            base,
            memory: SessionMemory::default(),
            slots,
            state,
            life: watch::Sender::new(Life::Up),
        });
        tokio::spawn(hear(Arc::clone(&shared)));
        Self { shared, note }
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(*self.shared.state(), State::Up(_))
    }

    /// Where images of its sessions are at home, with this build of ours.
    pub(crate) fn home(&self, build: &str) -> io::Result<Home> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let pid = pid_of(self.shared.pidfd.as_fd()).ok_or_else(gone)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, format!("/proc/{pid}/root"), flags, Mode::empty())?;
        // Its number was not another's meanwhile.
        if pid_of(self.shared.pidfd.as_fd()) != Some(pid) {
            return Err(gone());
        }
        let nest = self.note.name.clone();
        Ok(Home { base: nest.clone(), nest, build: build.to_owned(), root })
    }

    /// Returns when it has gone.
    pub(crate) async fn gone(&self) {
        self.reached(Life::Gone).await;
    }

    async fn reached(&self, life: Life) {
        // The sender lives as long as this.
        let _ = self.shared.life.subscribe().wait_for(|now| *now >= life).await;
    }

    /// Lets it end with its last session.
    pub(crate) fn retire(&self) {
        if let State::Up(waiting) = &mut *self.shared.state() {
            waiting.is_retired = true;
            if waiting.held.is_empty() {
                self.shared.close_control();
            }
        }
    }

    /// For the keeper, in its order.
    pub(crate) fn as_kept(&self) -> Vec<BorrowedFd<'_>> {
        let Shared { control, pidfd, plan_file, base, .. } = &*self.shared;
        let always = [control.as_fd(), pidfd.as_fd(), plan_file.as_fd()];
        always.into_iter().chain(base.as_ref().map(AsFd::as_fd)).collect()
    }

    /// The memory that its sessions share, where they do.
    pub(crate) fn base(&self) -> Option<BorrowedFd<'_>> {
        self.shared.base.as_ref().map(AsFd::as_fd)
    }

    /// What its sessions may use: `limits`, but for what its own plan has of them.
    pub(crate) fn limits(&self, limits: SessionLimits) -> SessionLimits {
        match &self.shared.plan.groups {
            GroupsPlan::Own(groups) => SessionLimits {
                memory_bytes_max: groups.memory_bytes_max,
                processes_max: groups.processes_max,
                ..limits
            },
            GroupsPlan::None { .. } => limits,
        }
    }

    /// Lets the control group of a session have no more than this; without groups there is nothing to do.
    pub(crate) async fn lower_limits(&self, slot: u32, memory_bytes_max: u64, processes_max: u32) -> io::Result<()> {
        let GroupsPlan::Own(groups) = &self.shared.plan.groups else { return Ok(()) };
        let groups = groups.clone();
        // The kernel may have to take memory away.
        let limited = tokio::task::spawn_blocking(move || groups.limit(slot, memory_bytes_max, processes_max)).await;
        limited.map_err(io::Error::other)?
    }

    /// The plan that it was started with.
    pub(crate) fn plan(&self) -> &Plan {
        &self.shared.plan
    }

    /// The counters of a session's control group; none where there are no groups.
    pub(crate) fn group(&self, slot: u32) -> io::Result<Option<Group>> {
        match &self.shared.plan.groups {
            GroupsPlan::Own(groups) => groups.open(slot).map(Some),
            GroupsPlan::None { .. } => Ok(None),
        }
    }

    /// Asks for a session, which will find its code in `code`; it is not yet known to be locked down.
    pub(crate) async fn spawn(
        &self,
        code: OwnedFd,
        purpose: Purpose,
        files: Option<WorkspacePolicy>,
    ) -> Result<SessionProcess, SpawnError> {
        let (inner_requests, requests) = request_channel()?;
        let (answers, inner_answers) = io::pipe()?;
        let (stdout, inner_stdout) = io::pipe()?;
        let (stderr, inner_stderr) = io::pipe()?;
        let (values, inner_values) = io::pipe()?;
        let slot = match purpose {
            Purpose::Use | Purpose::Park => self.shared.slots.take().await?,
            Purpose::Proof => self.shared.slots.take_for_proof().await?,
        };
        let plan = &self.shared.plan;
        if let Some(id) = plan.outside_id(slot) {
            let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
            for pipe in [inner_stdout.as_fd(), inner_stderr.as_fd()] {
                // So that it can be opened by name, as /dev/stdout. Where that fails, it cannot.
                let _ = rustix::fs::fchown(pipe, Some(uid), Some(gid));
            }
        }
        let entrances = match &plan.groups {
            GroupsPlan::Own(groups) => groups
                .set_share(slot, purpose.share())
                .and_then(|()| groups.entrances(slot))
                .map_err(SpawnError::ControlGroup),
            GroupsPlan::None { .. } => Ok(Vec::new()),
        };
        let expected = entrances.and_then(|entrances| Ok((entrances, self.expect_fork(slot)?)));
        let (entrances, (fork, end)) = match expected {
            Ok(expected) => expected,
            Err(error) => {
                self.shared.slots.release(slot, None);
                return Err(error);
            }
        };
        let outputs = [inner_answers, inner_stdout, inner_stderr, inner_values].map(OwnedFd::from);
        let mut descriptors = vec![inner_requests];
        descriptors.extend(outputs.into_iter().chain([code]).chain(entrances));
        // A nest that cannot be written to is gone, and `hear` tells everybody who waits.
        let _ = self.shared.send(&ToNest::Spawn { slot, files }, &descriptors).await;
        drop(descriptors);
        let pidfd = fork.await.map_err(|_| SpawnError::NestGone)??;
        let [answers, stdout, stderr, values] = [answers, stdout, stderr, values].map(OwnedFd::from);
        let descriptors = SessionDescriptors { requests, answers, stdout, stderr, values, pidfd };
        Ok(SessionProcess::new(slot, descriptors, end)?)
    }

    fn expect_fork(&self, slot: u32) -> Result<(Fork, End), SpawnError> {
        let (sender, fork) = oneshot::channel();
        match &mut *self.shared.state() {
            State::Gone => Err(SpawnError::NestGone),
            State::Up(waiting) => {
                waiting.forks.insert(slot, sender);
                Ok((fork, waiting.expect_end(slot)))
            }
        }
    }

    /// Ends the nest and every session in it; returns when the kernel has cleared them away.
    pub(crate) async fn end(&self) {
        self.shared.close_control();
        self.reached(Life::Cleared).await;
    }
}

/// A session's end of the socket by which it is asked, and ours, which takes nothing that comes the other way.
fn request_channel() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair};
    let (inner, ours) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    shutdown(&ours, Shutdown::Read)?;
    Ok((inner, ours))
}

/// Starts our own binary as a nest; returns the server's end of its control channel, and the plan's file.
fn start_process(plan: &Plan) -> io::Result<(UnixStream, File)> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    let flags = SocketFlags::CLOEXEC;
    let (control, inner_control) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    rustix::io::ioctl_fionbio(&control, true)?;
    let plan = eggbox_sandbox::memory_file(c"plan", &serde_json::to_vec(plan)?)?;
    // The link to the program that runs, even where its file has since been replaced.
    let mut first = tokio::process::Command::new("/proc/self/exe")
        .arg("nest")
        .stdin(Stdio::from(inner_control))
        .stdout(Stdio::from(plan.try_clone()?))
        .spawn()?;
    // The process that was started leaves as soon as the nest stands on its own.
    tokio::spawn(async move { first.wait().await });
    Ok((UnixStream::from_std(control.into())?, plan))
}

async fn take_inventory(control: &UnixStream) -> io::Result<Heard> {
    control.async_io(Interest::WRITABLE, || control::send(control.as_fd(), &ToNest::Report, &[])).await?;
    let mut inventory = Heard::default();
    loop {
        match receive(control).await? {
            None => return Err(io::ErrorKind::ConnectionReset.into()),
            Some((FromNest::Holding { slots, is_all }, _)) => {
                inventory.living.extend(slots);
                if is_all {
                    return Ok(inventory);
                }
            }
            Some((FromNest::Ended { slot, exit }, _)) => {
                inventory.exits.insert(slot, exit);
            }
            Some((FromNest::Cleared { slot }, _)) => {
                inventory.cleared.insert(slot);
            }
            Some((FromNest::NotCleared { slot }, _)) => {
                inventory.not_cleared.insert(slot);
            }
            // Answers to questions of the server that is gone. A session that it had not told the keeper of ends by
            // itself, as its channel is closed.
            Some((FromNest::Spawned { .. } | FromNest::NotSpawned { .. }, _)) => {}
            Some((FromNest::Started | FromNest::Failed(_) | FromNest::Up { .. }, _)) => {}
        }
    }
}
