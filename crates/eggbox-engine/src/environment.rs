//! An environment: the plan made for it, and the nests that sessions of it are forked from: one that gives new sessions,
//! and those of servers before this one that were made differently and only see their sessions to the end.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eggbox_sandbox::cgroup::Share;
use eggbox_sandbox::interpreter::{Interpreter, InterpreterError};
use eggbox_sandbox::leftovers;
use eggbox_sandbox::plan::{GroupsPlan, Plan};
use eggbox_sandbox::policy::WorkspacePolicy;
use eggbox_sandbox::prepare::{PrepareError, Wanted, prepare};
use eggbox_sandbox::status::Status;
use eggbox_sandbox::wire::NestFailure;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::config::{EngineConfig, Preload};
use crate::counts::Counts;
use crate::engine::chain;
use crate::history::Record;
use crate::inheritance::{Heir, Inherited};
use crate::keeper::{Keeper, KeeperError};
use crate::kept::{PLAN_KEY, nest_key};
use crate::nest::{Description, Nest, NestError, Purpose};
use crate::outcome::Death;
use crate::pool::{Need, Pool};
use crate::session::{Session, SessionError};
use crate::session_id::SessionId;
use crate::session_limits::SessionLimits;
use crate::slots::{SLOTS_SPARE, Slots};
use crate::wanted::WantedSession;
use crate::watchdog::Watchdog;
use crate::workspace::{Workers, Workspace, WorkspaceError};

/// What is preloaded where the operator names nothing and the interpreter has it.
const PRELOAD_AVAILABLE: [&str; 4] = ["numpy", "pandas", "matplotlib", "matplotlib.pyplot"];

/// The longest rest between two sessions that are made ahead.
const PARK_PAUSE_MAX: Duration = Duration::from_millis(50);

/// Between two tries to start a nest in the place of one that has died.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// How long to wait for a look at the nest.
const NEST_LOOK_MAX: Duration = Duration::from_millis(100);

/// An interpreter behind a planned wall.
#[derive(Debug)]
pub(crate) struct Environment {
    plan: Plan,
    config: Arc<EngineConfig>,
    slots: Slots,
    pub(crate) pool: Pool,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) counts: Counts,
    /// For sessions that no control groups count, those of servers before this one among them.
    watchdog: Watchdog,
    /// The nest that gives sessions: replaced when it has died; held while another is being started.
    nest: Mutex<Arc<Nest>>,
    pub(crate) retired: Vec<Arc<Nest>>,
    /// No nest is started any more.
    closing: watch::Sender<bool>,
}

/// Why an environment cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    #[error("cannot ask the interpreter about itself")]
    Task(#[from] tokio::task::JoinError),
    #[error(transparent)]
    Interpreter(#[from] InterpreterError),
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error("failed to make control groups; give eggbox a delegated group, or do without (--control-groups off)")]
    ControlGroups(#[source] io::Error),
    #[error("cannot start the watchdog")]
    Watchdog(#[source] io::Error),
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    #[error("failed to start the nest")]
    Nest(#[from] NestError),
}

/// Why a session has no fresh interpreter.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestartError {
    #[error("failed to start one")]
    Session(#[from] SessionError),
    #[error("failed to bring its files along")]
    Files(#[from] WorkspaceError),
}

impl Environment {
    /// Plans the wall, takes over what an earlier server has left, and has a nest that gives sessions.
    pub(crate) async fn start(config: &Arc<EngineConfig>) -> Result<(Self, Inherited), EnvironmentError> {
        let python = config.environment.python.clone();
        let interpreter = tokio::task::spawn_blocking(move || Interpreter::describe(&python)).await??;
        let plan = make_plan(config, &interpreter)?;
        let watchdog = start_watchdog(config)?;
        let slots = Slots::new(plan.groups.clone(), plan.sessions_max);
        let (keeper, entries) = Keeper::find_or_start(&config.state_dir, config.limits.abandoned_max).await?;
        let keeper = Arc::new(keeper);
        keep_plan(&plan, &keeper).await?;
        if let GroupsPlan::Own(groups) = &plan.groups
            && let Err(error) = groups.create()
        {
            if entries.is_empty() {
                keeper.end().await;
            }
            return Err(EnvironmentError::ControlGroups(error));
        }
        let heir = Heir { config, slots: &slots, watchdog: &watchdog, keeper: &keeper };
        let (mut nests, inherited) = heir.inherit(entries).await;
        let digest = plan.digest();
        let current = nests.iter().position(|nest| nest.note.digest == digest && nest.is_up());
        let nest = match current {
            Some(index) => nests.swap_remove(index),
            None => match start_nest(&plan, config, &slots, &keeper).await {
                Ok(nest) => nest,
                Err(error) => {
                    // What is inherited stays with the keeper; what is not has left nothing.
                    if nests.is_empty() && inherited.ended.is_empty() {
                        keeper.end().await;
                        clear(&plan);
                    }
                    return Err(error.into());
                }
            },
        };
        for nest in &nests {
            nest.retire();
            let (nest, keeper) = (Arc::clone(nest), Arc::clone(&keeper));
            tokio::spawn(async move {
                nest.gone().await;
                keeper.remove(&nest_key(&nest.note.name)).await;
            });
        }
        let environment = Self {
            plan,
            config: Arc::clone(config),
            slots,
            pool: Pool::new(config.limits.parked_min as usize, config.limits.parked_max as usize),
            keeper,
            counts: Counts::default(),
            watchdog,
            nest: Mutex::new(nest),
            retired: nests,
            closing: watch::Sender::new(false),
        };
        Ok((environment, inherited))
    }

    /// A session that nobody uses, to prove that the wall can be put up. Returns what it reported.
    pub(crate) async fn prove(&self) -> Result<Status, SessionError> {
        let nest = self.living_nest().await?;
        let (mut session, status) = self.start_in(&nest, Purpose::Proof, None).await?;
        session.end(Death::Idle { idle_max: Duration::ZERO }).await;
        Ok(status)
    }

    /// A new session from a living nest, which outlives this server and may use what was asked.
    pub(crate) async fn start_session(&self, id: SessionId, wanted: WantedSession) -> Result<Session, SessionError> {
        let nest = self.living_nest().await?;
        let mut session = self.unnamed_session(&nest, wanted.files).await?;
        if let Err(error) = session.name(id, wanted, &nest).await {
            session.end(Death::Unobserved).await;
            return Err(error);
        }
        if !session.is_kept()
            && let Err(error) = session.keep().await
        {
            tracing::error!(%error, "a session is not kept: it would end with this server");
        }
        Ok(session)
    }

    /// A session with a fresh interpreter and everything else of `other`, which stands still then, and is to be ended; or, where
    /// there is none, goes on.
    pub(crate) async fn restart_session(
        &self,
        other: &Session,
        workers: &Arc<Workers>,
    ) -> Result<Session, RestartError> {
        other.process.halt(true);
        let started = self.start_beside(other, workers).await;
        if started.is_err() {
            other.process.halt(false);
        }
        started
    }

    async fn start_beside(&self, other: &Session, workers: &Arc<Workers>) -> Result<Session, RestartError> {
        let Record { asked, labels, files, .. } = other.history.record();
        let environment = other.history.environment();
        let wanted = WantedSession { limits: asked, labels, environment, files };
        let nest = self.living_nest().await?;
        let mut session = self.unnamed_session(&nest, files).await?;
        let taken = async {
            // Nobody's, until it has everything.
            session.settle(SessionId::unique(), wanted, None, &nest).await?;
            session.end_by(Arc::default()).map_err(SessionError::Channel)?;
            let [from, to] = [other, &session].map(|session| Workspace::new(session.place(), Arc::clone(workers)));
            from.copy_to(&to).await?;
            session.take_place_of(other).await.map_err(SessionError::Channel)?;
            Ok(())
        };
        match taken.await {
            Ok(()) => Ok(session),
            Err(error) => {
                session.end(Death::Unobserved).await;
                session.forget().await;
                Err(error)
            }
        }
    }

    /// One that is nobody's yet, whose workspace is to be as it is wanted.
    async fn unnamed_session(&self, nest: &Arc<Nest>, files: Option<WorkspacePolicy>) -> Result<Session, SessionError> {
        let is_usual = files.is_none_or(|files| nest.plan().session.trees.workspace_access() == files.into());
        let parked = if is_usual { self.pool.take(nest) } else { None };
        match parked {
            Some(session) => Ok(session),
            None => Ok(self.start_in(nest, Purpose::Use, files).await?.0),
        }
    }

    /// One that is nobody's yet.
    async fn start_in(
        &self,
        nest: &Arc<Nest>,
        purpose: Purpose,
        files: Option<WorkspacePolicy>,
    ) -> Result<(Session, Status), SessionError> {
        let (id, config) = (SessionId::unique(), Arc::clone(&self.config));
        Session::start(nest, id, purpose, files, config, &self.watchdog, &self.keeper).await
    }

    async fn living_nest(&self) -> Result<Arc<Nest>, SessionError> {
        let mut nest = self.nest.lock().await;
        if self.is_closing() {
            return Err(SessionError::ShuttingDown);
        }
        if !nest.is_up() {
            tracing::warn!("the nest is gone; starting another");
            self.keeper.remove(&nest_key(&nest.note.name)).await;
            // One that is given up is killed.
            *nest = tokio::select! {
                started = start_nest(&self.plan, &self.config, &self.slots, &self.keeper) => started?,
                () = is_true(&self.closing) => return Err(SessionError::ShuttingDown),
            };
            self.counts.nest_restarted();
            self.pool.look_again();
        }
        Ok(Arc::clone(&nest))
    }

    /// Whether there is a nest that gives sessions.
    pub(crate) async fn has_nest(&self) -> bool {
        // Held for longer only while another is being started.
        timeout(NEST_LOOK_MAX, self.nest.lock()).await.is_ok_and(|nest| nest.is_up())
    }

    /// Has a nest in the place of each that dies, before anybody asks for one, and every keeper know of them. Never returns
    /// but when this is closing.
    pub(crate) async fn stay_ready(&self) {
        let mut generation = self.keeper.generation();
        while !self.is_closing() {
            match self.living_nest().await {
                Ok(nest) => tokio::select! {
                    () = nest.gone() => {}
                    () = self.keeper.later_than(generation) => {
                        generation = self.keeper.generation();
                        for nest in self.retired.iter().chain([&nest]).filter(|nest| nest.is_up()) {
                            keep_nest(nest, &self.keeper).await;
                        }
                    }
                },
                Err(error) => {
                    if !self.is_closing() {
                        tracing::error!(error = chain(&error), "failed to start a nest");
                    }
                    tokio::time::sleep(RESTART_PAUSE).await;
                }
            }
        }
    }

    /// Makes sessions before anybody asks for them, one at a time, with a small share of the processors and as long a rest
    /// after each as it took, so that others hardly notice. Never returns but when this is closing.
    pub(crate) async fn fill_pool(&self) {
        while !self.is_closing() {
            if self.pool.need().await == Need::OneLess {
                self.pool.drop_one();
                continue;
            }
            let began = Instant::now();
            match self.park_one().await {
                Ok(()) => tokio::time::sleep(began.elapsed().min(PARK_PAUSE_MAX)).await,
                Err(error) => {
                    if !self.is_closing() {
                        tracing::warn!(error = chain(&error), "failed to make a session ahead");
                    }
                    tokio::time::sleep(RESTART_PAUSE).await;
                }
            }
        }
    }

    async fn park_one(&self) -> Result<(), SessionError> {
        let nest = self.living_nest().await?;
        let (mut session, _) = self.start_in(&nest, Purpose::Park, None).await?;
        session.warm_up().await?;
        session.set_share(Share::Full);
        // Now, so that nobody has to wait for it later.
        session.keep().await.map_err(SessionError::Channel)?;
        self.pool.put(session);
        Ok(())
    }

    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Ends every nest and every session, for good, and clears away what they leave.
    pub(crate) async fn end(&self) {
        self.closing.send_replace(true);
        self.pool.clear();
        let nest = Arc::clone(&*self.nest.lock().await);
        for nest in self.retired.iter().chain([&nest]) {
            nest.end().await;
        }
        self.slots.close().await;
        let plans: Vec<Plan> = self.retired.iter().map(|nest| nest.plan().clone()).chain([self.plan.clone()]).collect();
        // Where the blocking task cannot run, the runtime is going down; the next server finds what is left.
        let _ = tokio::task::spawn_blocking(move || plans.iter().for_each(clear)).await;
        self.keeper.end().await;
    }
}

/// Returns when this has become true.
pub(crate) fn is_true(flag: &watch::Sender<bool>) -> impl Future<Output = ()> + use<> {
    let mut flag = flag.subscribe();
    async move {
        if flag.wait_for(|is_true| *is_true).await.is_err() {
            // It cannot become true any more.
            std::future::pending::<()>().await;
        }
    }
}

/// Removes the control groups that nobody is in any more.
fn clear(plan: &Plan) {
    if let Err(error) = leftovers::clear_groups(plan) {
        tracing::error!(%error, "failed to clear away what sessions have left");
    }
}

fn start_watchdog(config: &EngineConfig) -> Result<Watchdog, EnvironmentError> {
    Watchdog::start(SessionLimits::of(config).into()).map_err(EnvironmentError::Watchdog)
}

async fn start_nest(
    plan: &Plan,
    config: &EngineConfig,
    slots: &Slots,
    keeper: &Keeper,
) -> Result<Arc<Nest>, NestError> {
    let nest = Nest::start(plan, &config.state_dir, slots, config.limits.nest_start_max).await?;
    let Description { python, preloaded, missing } = &nest.note.description;
    let interpreter = plan.program.executable.display();
    tracing::info!(%interpreter, python, ?preloaded, not_installed = ?missing, "nest is up");
    keep_nest(&nest, keeper).await;
    Ok(Arc::new(nest))
}

/// Before anything is made by it: whoever clears up must know of that.
async fn keep_plan(plan: &Plan, keeper: &Keeper) -> Result<(), KeeperError> {
    let bytes = serde_json::to_vec(plan).map_err(io::Error::from)?;
    let file = eggbox_sandbox::memory_file(c"plan", &bytes)?;
    Ok(keeper.put(PLAN_KEY, String::new(), &[file.as_fd()]).await?)
}

async fn keep_nest(nest: &Nest, keeper: &Keeper) {
    let kept = match serde_json::to_string(&nest.note) {
        Ok(note) => keeper.put(&nest_key(&nest.note.name), note, &nest.as_kept()).await,
        Err(error) => Err(error.into()),
    };
    if let Err(error) = kept {
        tracing::error!(%error, "a nest is not kept: its sessions would end with this server");
    }
}

fn make_plan(config: &EngineConfig, interpreter: &Interpreter) -> Result<Plan, PrepareError> {
    let runner_arguments = match &config.environment.preload {
        Preload::Available => {
            [&["available"][..], &PRELOAD_AVAILABLE].concat().into_iter().map(str::to_owned).collect()
        }
        Preload::Named(modules) => [&["named".to_owned()][..], modules].concat(),
    };
    prepare(Wanted {
        isolation: config.isolation,
        policy: &config.policy,
        limits: &config.sandbox_limits,
        control_groups: config.control_groups,
        interpreter,
        sessions_max: config
            .limits
            .sessions_max
            .saturating_add(config.limits.parked_max)
            .saturating_add(SLOTS_SPARE + 1),
        build: &config.build,
        state_dir: &config.state_dir,
        runner_arguments: &runner_arguments,
        fail_step: config.fail_step,
    })
}

impl EnvironmentError {
    /// A layer of the wall cannot be put up here.
    pub(crate) fn is_of_the_wall(&self) -> bool {
        match self {
            Self::Prepare(_) => true,
            Self::Nest(NestError::Failed(NestFailure::Step { step, .. })) => step.layer().is_some(),
            Self::Nest(_)
            | Self::Task(_)
            | Self::Interpreter(_)
            | Self::ControlGroups(_)
            | Self::Watchdog(_)
            | Self::Keeper(_) => false,
        }
    }
}
