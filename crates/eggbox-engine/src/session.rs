//! One session: started, taken over, settled as it was wanted; `frames` has what it says, `end` how it ends, `forking` what others are
//! made of it. What happens while code runs is [`execution`](crate::execution)'s.

mod frames;
mod end;
mod forking;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::SystemTime;

use eggbox_sandbox::cgroup::Share;
use eggbox_sandbox::checkpoint::Layout;
use eggbox_sandbox::policy::WorkspacePolicy;
use eggbox_sandbox::status::Status;
use eggbox_sandbox::wire::{
    Exit, FrameError, KIND_WARM_UP, LAYOUT_HAS_CHANGED, environment_request, lower_request, numbered_request,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::checkpoints::Base;
use crate::clock::Moment;
use crate::code_file::CodeFile;
use crate::config::EngineConfig;
use crate::ending::Ending;
use crate::environment_name::EnvironmentName;
use crate::history::{History, Record};
use crate::image::SessionImage;
use crate::inheritance::Heir;
use crate::keeper::Keeper;
use crate::kept::{SessionNote, session_key};
use crate::late::Late;
use crate::load::Load;
use crate::meter::Meter;
use crate::nest::{Nest, NestError, Purpose, SpawnError};
use crate::obstacle::Obstacle;
use crate::outcome::Death;
use crate::session_id::SessionId;
use crate::session_limits::SessionLimits;
use crate::session_process::SessionProcess;
use crate::view::Held;
use crate::wanted::WantedSession;
use crate::watchdog::Watchdog;
use crate::wish::{WISHES_MAX, Wish};
use crate::workspace::{Place, Tree};

use self::end::KILLED_MAX;
pub(crate) use self::forking::{ImageOf, StandsStill, check_is, is_no_room, not_copied, on_this_thread};
use self::frames::READY_MAX;
pub(crate) use self::frames::read_some;

/// Why a session could not be had; the message names the step that failed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error("the session could not be locked down: {0}")]
    LockDown(String),
    #[error("the session was not ready after {} s", READY_MAX.as_secs())]
    Slow,
    #[error("the session closed its channel before it was ready")]
    Closed,
    #[error("the session ended before it was ready: {0:?}")]
    Ended(Option<Exit>),
    #[error("the session's first word was wrong")]
    Frame(#[from] FrameError),
    #[error("the session said something else before it was ready")]
    Unready,
    #[error("the server is shutting down")]
    ShuttingDown,
    #[error("failed to start another nest")]
    Nest(#[from] NestError),
    #[error("there is no environment {name} here")]
    NoEnvironment { name: EnvironmentName },
    #[error("the limits that were asked for cannot be put up")]
    Limits(#[source] io::Error),
    #[error("the variables that were asked for cannot be set")]
    Variables(#[source] io::Error),
    #[error("it cannot be carried: {why}")]
    NotCarried { why: String },
    #[error("too many sessions are forked at once")]
    ForksBusy,
    #[error("there is no room on the disk")]
    NoDiskSpace,
    #[error("there is no folder for a checkpoint")]
    NoDraft(#[source] io::Error),
    #[error("the image cannot be loaded: {why}")]
    NotLoaded { why: String },
    #[error("the image cannot be loaded: {LAYOUT_HAS_CHANGED}")]
    LayoutChanged,
    #[error("the session's channel broke")]
    Channel(#[from] io::Error),
}

/// A session that is locked down.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) process: SessionProcess,
    pub(crate) id: SessionId,
    pub(crate) code: CodeFile,
    pub(crate) history: Arc<History>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) config: Arc<EngineConfig>,
    /// What it gets of the processors; none as long as that was not set here.
    pub(crate) share: Option<Share>,
    pub(crate) load: Load,
    /// What it may use. What is asked of memory and processes holds once it was put up.
    pub(crate) limits: SessionLimits,
    /// The generation of the streams that it writes to.
    pub(crate) generation: u32,
    /// Bytes of a frame that is not whole yet.
    pub(crate) received: Vec<u8>,
    pub(crate) late: Late,
    /// What others want of the execution that runs.
    pub(crate) wishes: mpsc::Receiver<Wish>,
    wish: mpsc::Sender<Wish>,
    ending: Arc<Ending>,
    /// Why it was killed, if it was.
    cause: Option<Death>,
    keeper: Arc<Keeper>,
    /// The keeper that it was given to; none of them before.
    kept_by: Option<u64>,
    note: SessionNote,
    tree: Tree,
    /// The question to stand still that it has not answered in time.
    given_up: Option<u64>,
    /// The memory that it has in common with others, where that is another nest's than the one that it is in.
    base: Option<Arc<Base>>,
    /// How its memory lies before it has run any code, where somebody has looked.
    layout: Option<Arc<Layout>>,
    /// Images that parts of its memory may be shown from.
    images: Vec<Arc<SessionImage>>,
    /// What it was when it tried to take a checkpoint by itself last.
    pub(crate) tried: Option<WhatItIs>,
    /// Counts what others do to its files.
    file_changes: Arc<AtomicU64>,
    /// How many may be doing something to its files.
    file_users: Arc<AtomicUsize>,
    /// Why it could not be written down when that was tried last.
    pub(crate) obstacle: Obstacle,
}

/// The number of its last execution, and how often others have done something to its files: where they are the same, so is it.
pub(crate) type WhatItIs = (u64, u64);

impl Session {
    /// Forks a session from `nest` and waits until it stands behind its wall. Beside it, what it reports of that.
    pub(crate) async fn start(
        nest: &Arc<Nest>,
        id: SessionId,
        purpose: Purpose,
        policy: Option<WorkspacePolicy>,
        config: Arc<EngineConfig>,
        watchdog: &Watchdog,
        keeper: &Arc<Keeper>,
    ) -> Result<(Self, Status), SessionError> {
        let code = CodeFile::new(config.limits.code_bytes_max)?;
        let (spawner, its_code) = (Arc::clone(nest), code.for_session()?);
        // In a task of its own, which tidies up after itself when this gives up.
        let spawned = tokio::spawn(async move { spawner.spawn(its_code, purpose, policy).await });
        let spawned = timeout(READY_MAX, spawned).await.map_err(|_| SessionError::Slow)?;
        let process = spawned.map_err(io::Error::other)??;
        let meter = meter(nest, &process, watchdog)?;
        let history = Arc::new(History::new(Record::new(id, meter.out_of_memory_kills()?))?);
        let mut session = Self::hold(nest, process, code, history, meter, config, keeper);
        session.share = Some(purpose.share());
        match timeout(READY_MAX, session.first_frame()).await.unwrap_or(Err(SessionError::Slow)) {
            Ok(status) => Ok((session, status)),
            Err(error) => {
                session.process.kill();
                let exit = timeout(KILLED_MAX, &mut session.process.ended).await;
                Err(match error {
                    SessionError::Closed => SessionError::Ended(exit.ok().and_then(Result::ok)),
                    other => other,
                })
            }
        }
    }

    /// Takes over a session of a nest that was taken over.
    pub(crate) fn adopt(
        nest: &Nest,
        process: SessionProcess,
        code: CodeFile,
        history: History,
        note: SessionNote,
        Heir { config, watchdog, keeper, bases, .. }: Heir<'_>,
    ) -> io::Result<Self> {
        let meter = meter(nest, &process, watchdog)?;
        // The server before this one may have been about to restart it.
        process.halt(false);
        let session = Self::hold(nest, process, code, Arc::new(history), meter, Arc::clone(config), keeper);
        let late = Late::new(Arc::clone(keeper), note.clone());
        let base = session.history.record().base.map(|base| bases.find(&base)).transpose()?;
        Ok(Self { kept_by: Some(keeper.generation()), note, late, base, ..session })
    }

    fn hold(
        nest: &Nest,
        process: SessionProcess,
        code: CodeFile,
        history: Arc<History>,
        meter: Meter,
        config: Arc<EngineConfig>,
        keeper: &Arc<Keeper>,
    ) -> Self {
        let Record { id, created, asked, generation, .. } = history.record();
        let note = SessionNote { nest: nest.note.name.clone(), slot: process.slot, created };
        let late = Late::new(Arc::clone(keeper), note.clone());
        let limits = nest.limits(SessionLimits::of(&config)).lowered(&asked);
        meter.bound(limits.into());
        let (wish, wishes) = mpsc::channel(WISHES_MAX);
        Self {
            limits,
            process,
            id,
            code,
            history,
            meter: Arc::new(meter),
            config,
            share: None,
            load: Load::new(),
            generation,
            received: Vec::new(),
            late,
            wishes,
            wish,
            ending: Arc::default(),
            cause: None,
            keeper: Arc::clone(keeper),
            kept_by: None,
            tree: Tree::of(nest.plan(), note.slot),
            given_up: None,
            base: None,
            layout: None,
            images: Vec::new(),
            tried: None,
            file_changes: Arc::default(),
            file_users: Arc::default(),
            obstacle: Obstacle::default(),
            note,
        }
    }

    /// Lets it outlive this server.
    ///
    /// # Errors
    /// Where there is no keeper any more.
    pub(crate) async fn keep(&mut self) -> io::Result<()> {
        self.kept_by = Some(self.keeper.generation());
        let process = self.process.as_array();
        let files = self.history.as_array().map(AsFd::as_fd);
        let descriptors = [&process[..], &[self.code.as_kept().as_fd()], &files].concat();
        let note = serde_json::to_string(&self.note)?;
        self.keeper.put(&session_key(&self.note), note, &descriptors).await
    }

    /// Ends one that is nobody's.
    pub(crate) fn dismiss(mut self) {
        self.process.kill();
        // By now the runtime may be on its way down, and with it everything that there is to forget.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { self.forget().await });
        }
    }

    /// Ends one in whose place another is.
    pub(crate) async fn over(mut self) {
        self.process.kill();
        self.forget().await;
    }

    /// Whether it is what stands behind its name.
    pub(crate) fn is_current(&self) -> bool {
        self.history.record().process == Some(self.note.created)
    }

    /// Whether this keeper has it.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept_by == Some(self.keeper.generation())
    }

    /// Returns when there is a keeper that has to be given it.
    pub(crate) fn is_unkept(&self) -> impl Future<Output = ()> + use<> {
        let (keeper, kept_by) = (Arc::clone(&self.keeper), self.kept_by);
        async move {
            if let Some(generation) = kept_by {
                keeper.later_than(generation).await;
            }
        }
    }

    /// It has ended.
    pub(crate) async fn forget(&mut self) {
        self.keeper.remove(&session_key(&self.note)).await;
        self.late.forget().await;
    }

    /// Has it run what a first execution runs, so that the first one finds it done.
    ///
    /// # Errors
    /// Where it has ended, says something else, or takes too long.
    pub(crate) async fn warm_up(&mut self) -> Result<(), SessionError> {
        let asked = Moment::now().nanos();
        self.ask_and_wait(&numbered_request(KIND_WARM_UP, asked)?, asked).await
    }

    /// Makes a session that was made for nobody the one of that name, which begins now and is as it was wanted.
    ///
    /// # Errors
    /// Where a limit cannot be put up, or the variables not set; it must not be used then.
    pub(crate) async fn name(&mut self, id: SessionId, wanted: WantedSession, nest: &Nest) -> Result<(), SessionError> {
        let process = self.note.created;
        self.settle(id, wanted, Some(process), nest).await
    }

    /// Makes it as it is wanted, as the session of another process or of none so far.
    pub(crate) async fn settle(
        &mut self,
        id: SessionId,
        wanted: WantedSession,
        process: Option<Moment>,
        nest: &Nest,
    ) -> Result<(), SessionError> {
        let WantedSession { environment, limits, labels, variables, files, checkpoints, from: _ } = wanted;
        let now = Moment::now();
        self.id = id.clone();
        self.history.update(|record| {
            (record.id, record.created, record.created_at) = (id, now, SystemTime::now());
            (record.asked, record.labels, record.files) = (limits, labels, files);
            (record.environment, record.process) = (environment, process);
            record.checkpoints = checkpoints;
        })?;
        self.lower_limits(nest).await?;
        self.set_variables(variables).await
    }

    /// Goes on as a session of which it has the files and whatever else was wanted. The one or the other stands behind the
    /// name, whoever is killed meanwhile: which, is what the record says.
    pub(crate) async fn take_place_of(&mut self, other: &Self) -> io::Result<()> {
        self.take_over(other, |record| record.restarts += 1).await
    }

    async fn take_over(&mut self, other: &Self, change: impl FnOnce(&mut Record)) -> io::Result<()> {
        let (kills_before, process) = (self.history.kills_before(), self.note.created);
        let base = self.history.record().base;
        self.id = other.id.clone();
        self.history = Arc::clone(&other.history);
        self.keep().await?;
        self.history.update(|record| {
            (record.kills_before, record.generation) = (kills_before, 0);
            (record.process, record.base) = (Some(process), base);
            change(record);
        })
    }

    async fn set_variables(&mut self, variables: BTreeMap<String, String>) -> Result<(), SessionError> {
        if variables.is_empty() {
            return Ok(());
        }
        let text = serde_json::to_string(&variables).map_err(io::Error::from)?;
        if text.len() as u64 > self.code.bytes_max() {
            return Err(SessionError::Variables(io::Error::other("it is longer than its file")));
        }
        self.history.set_variables(variables)?;
        self.code.write(&[&text])?;
        let asked = Moment::now().nanos();
        self.ask_and_wait(&environment_request(asked, text.len() as u64)?, asked).await
    }

    /// Puts up what is asked of memory and processes, which the kernel or the watchdog sees to.
    async fn lower_limits(&mut self, nest: &Nest) -> Result<(), SessionError> {
        let before = self.limits;
        self.limits = before.lowered(&self.history.record().asked);
        let SessionLimits { memory_bytes_max, processes_max, .. } = self.limits;
        if (memory_bytes_max, processes_max) == (before.memory_bytes_max, before.processes_max) {
            return Ok(());
        }
        self.meter.bound(self.limits.into());
        let limited = nest.lower_limits(self.process.slot, memory_bytes_max, processes_max).await;
        limited.map_err(SessionError::Limits)?;
        let (data_bytes_less, processes_max) = nest.plan().session.rlimits.less(memory_bytes_max, processes_max);
        let asked = Moment::now().nanos();
        // Its answer also says that it has outlived what the kernel does about memory that it has already.
        self.ask_and_wait(&lower_request(asked, data_bytes_less, processes_max)?, asked).await
    }

    /// Lets it be ended from elsewhere.
    pub(crate) fn end_by(&mut self, ending: Arc<Ending>) {
        ending.is_of(self.process.handle());
        self.ending = ending;
    }

    /// Whether somebody has asked for its end, whatever it has come to.
    pub(crate) fn is_deleted(&self) -> bool {
        self.ending.is_wanted()
    }

    /// Whether it is of this nest, and lives.
    pub(crate) fn is_living_in(&self, nest: &Nest) -> bool {
        self.note.nest == nest.note.name && nest.is_up() && !self.process.has_ended()
    }

    /// What the keeper knows it by.
    pub(crate) fn kept_name(&self) -> String {
        self.note.name()
    }

    /// Where its files are, for as long as it lives.
    pub(crate) fn place(&self) -> Place {
        let changes = Arc::clone(&self.file_changes);
        let users = Arc::clone(&self.file_users);
        Place { tree: self.tree.clone(), process: Arc::clone(&self.ending), changes, users }
    }

    pub(crate) fn what_it_is(&self) -> WhatItIs {
        (self.history.last_number(), self.file_changes.load(Ordering::Relaxed))
    }

    /// Whether somebody may be doing something to its files.
    pub(crate) fn has_file_users(&self) -> bool {
        self.file_users.load(Ordering::Relaxed) > 0
    }

    /// What others may look at of it. `retired` are the nests of other walls.
    pub(crate) fn held(&self, retired: &[Arc<Nest>]) -> Held {
        Held {
            history: Arc::clone(&self.history),
            wish: self.wish.clone(),
            meter: Arc::clone(&self.meter),
            limits: self.limits,
            usual_files: self.config.policy.files.workspace,
            is_behind_this_wall: retired.iter().all(|nest| nest.note.name != self.note.nest),
            workspace: self.place(),
            obstacle: self.obstacle.clone(),
        }
    }
}

fn meter(nest: &Nest, process: &SessionProcess, watchdog: &Watchdog) -> io::Result<Meter> {
    if let Some(group) = nest.group(process.slot)? {
        return Ok(Meter::Group(group));
    }
    let pid = process.pid().ok_or(io::ErrorKind::NotFound)?;
    Ok(Meter::Watched(watchdog.watch(pid, process.handle())))
}
