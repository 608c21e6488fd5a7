//! An environment: an interpreter behind a planned wall, the nest that its sessions are forked from, and those that were made
//! ahead.

mod likeness;
mod original;

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use eggbox_sandbox::cgroup::Share;
use eggbox_sandbox::interpreter::{Interpreter, InterpreterError};
use eggbox_sandbox::plan::Plan;
use eggbox_sandbox::policy::WorkspacePolicy;
use eggbox_sandbox::prepare::{PrepareError, Wanted, prepare};
use eggbox_sandbox::status::Status;
use eggbox_sandbox::wire::NestFailure;
use tokio::sync::Mutex;
use tokio::time::timeout;

pub(crate) use self::likeness::{Blank, RestartError, not_carried, undo};
pub(crate) use self::original::{IN_MEMORY_BYTES_MAX, Original};
use crate::config::{EngineConfig, EnvironmentConfig, Preload};
use crate::engine::chain;
use crate::environment_name::EnvironmentName;
use crate::environments::{Common, is_true};
use crate::keeper::{Keeper, KeeperError};
use crate::kept::nest_key;
use crate::nest::{Description, Nest, NestError, Purpose};
use crate::outcome::Death;
use crate::pool::{Need, Pool};
use crate::session::{Session, SessionError};
use crate::session_id::SessionId;
use crate::slots::SLOTS_SPARE;
use crate::wanted::WantedSession;

/// What is preloaded where the operator names nothing and the interpreter has it.
const PRELOAD_AVAILABLE: [&str; 4] = ["numpy", "pandas", "matplotlib", "matplotlib.pyplot"];

/// For how long after an image was loaded sessions that are made ahead are looked at so that the next one is loaded sooner.
const IMAGES_SPAN: Duration = Duration::from_secs(600);

/// The longest rest between two sessions that are made ahead.
const PARK_PAUSE_MAX: Duration = Duration::from_millis(50);

/// Between two tries to start a nest in the place of one that has died.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// How long to wait for a look at the nest.
const NEST_LOOK_MAX: Duration = Duration::from_millis(100);

/// An interpreter behind a planned wall.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) name: EnvironmentName,
    plan: Plan,
    common: Arc<Common>,
    pub(crate) pool: Pool,
    /// The nest that gives sessions: replaced when it has died; held while another is being started.
    nest: Mutex<Arc<Nest>>,
    /// When an image was wanted to be loaded last; none before.
    image_wanted: std::sync::Mutex<Option<Instant>>,
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
    #[error("failed to look at the checkpoints in the state directory")]
    Checkpoints(#[source] io::Error),
    #[error("cannot start the watchdog")]
    Watchdog(#[source] io::Error),
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    #[error("failed to start the nest")]
    Nest(#[from] NestError),
    #[error("environment {name}")]
    Of { name: EnvironmentName, source: Box<EnvironmentError> },
}

impl Environment {
    /// With that nest, which was started by this plan.
    pub(crate) fn new(
        name: EnvironmentName,
        plan: Plan,
        config: &EnvironmentConfig,
        nest: Arc<Nest>,
        common: Arc<Common>,
    ) -> Self {
        let pool = Pool::new(config.parked_min as usize, config.parked_max as usize);
        Self { name, plan, common, pool, nest: Mutex::new(nest), image_wanted: std::sync::Mutex::default() }
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
        let Common { config, watchdog, keeper, .. } = &*self.common;
        Session::start(nest, SessionId::unique(), purpose, files, Arc::clone(config), watchdog, keeper).await
    }

    async fn living_nest(&self) -> Result<Arc<Nest>, SessionError> {
        let mut nest = self.nest.lock().await;
        let common = &*self.common;
        if common.is_closing() {
            return Err(SessionError::ShuttingDown);
        }
        if !nest.is_up() {
            tracing::warn!(environment = %self.name, "the nest is gone; starting another");
            common.keeper.remove(&nest_key(&nest.note.name)).await;
            // One that is given up is killed.
            *nest = tokio::select! {
                started = start_nest(&self.name, &self.plan, common) => started?,
                () = is_true(&common.closing) => return Err(SessionError::ShuttingDown),
            };
            common.counts.nest_restarted();
            self.pool.look_again();
        }
        Ok(Arc::clone(&nest))
    }

    /// Whether there is a nest that gives sessions.
    pub(crate) async fn has_nest(&self) -> bool {
        // Held for longer only while another is being started.
        timeout(NEST_LOOK_MAX, self.nest.lock()).await.is_ok_and(|nest| nest.is_up())
    }

    /// Has a nest in the place of each that dies, before anybody asks for one, and every keeper know of it. Never returns
    /// but when this is closing.
    pub(crate) async fn stay_ready(self: Arc<Self>) {
        let Common { keeper, .. } = &*self.common;
        let mut generation = keeper.generation();
        while !self.common.is_closing() {
            match self.living_nest().await {
                Ok(nest) => tokio::select! {
                    () = nest.gone() => {}
                    () = keeper.later_than(generation) => {
                        generation = keeper.generation();
                        if nest.is_up() {
                            keep_nest(&nest, keeper).await;
                        }
                    }
                },
                Err(error) => {
                    if !self.common.is_closing() {
                        tracing::error!(environment = %self.name, error = chain(&error), "failed to start a nest");
                    }
                    tokio::time::sleep(RESTART_PAUSE).await;
                }
            }
        }
    }

    /// Makes sessions before anybody asks for them, one at a time, with a small share of the processors and as long a rest
    /// after each as it took, so that others hardly notice. Never returns but when this is closing.
    pub(crate) async fn fill_pool(self: Arc<Self>) {
        while !self.common.is_closing() {
            if self.pool.need().await == Need::OneLess {
                self.pool.drop_one();
                continue;
            }
            let began = Instant::now();
            match self.park_one().await {
                Ok(()) => tokio::time::sleep(began.elapsed().min(PARK_PAUSE_MAX)).await,
                Err(error) => {
                    if !self.common.is_closing() {
                        tracing::warn!(environment = %self.name, error = chain(&error), "failed to make a session ahead");
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
        // That costs a sixth of what making it does.
        if self.is_image_likely() {
            match session.look_ahead(&nest).await {
                // Who wants an image to be loaded will hear of it.
                Err(SessionError::Channel(error)) => {
                    tracing::debug!(%error, "a session that is made ahead cannot be looked at");
                }
                looked => looked?,
            }
        }
        self.pool.put(session);
        Ok(())
    }

    /// Somebody wants an image to be loaded: others may follow.
    fn image_is_wanted(&self) {
        *self.image_wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_image_likely(&self) -> bool {
        let wanted = *self.image_wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.is_some_and(|wanted| wanted.elapsed() < IMAGES_SPAN)
    }

    /// Takes no further nest, and lets those go that were made ahead. This is closing.
    pub(crate) async fn last_nest(&self) -> Arc<Nest> {
        self.pool.clear();
        Arc::clone(&*self.nest.lock().await)
    }
}

pub(crate) async fn start_nest(name: &EnvironmentName, plan: &Plan, common: &Common) -> Result<Arc<Nest>, NestError> {
    let Common { config, slots, keeper, .. } = common;
    let nest = Nest::start(plan, &config.state_dir, slots, config.limits.nest_start_max).await?;
    let Description { python, preloaded, missing } = &nest.note.description;
    let interpreter = plan.program.executable.display();
    tracing::info!(environment = %name, %interpreter, python, ?preloaded, not_installed = ?missing, "nest is up");
    keep_nest(&nest, keeper).await;
    Ok(Arc::new(nest))
}

pub(crate) async fn keep_nest(nest: &Nest, keeper: &Keeper) {
    let kept = match serde_json::to_string(&nest.note) {
        Ok(note) => keeper.put(&nest_key(&nest.note.name), note, &nest.as_kept()).await,
        Err(error) => Err(error.into()),
    };
    if let Err(error) = kept {
        tracing::error!(%error, "a nest is not kept: its sessions would end with this server");
    }
}

/// The wall for sessions of that interpreter.
pub(crate) async fn make_plan(
    environment: &EnvironmentConfig,
    config: &EngineConfig,
) -> Result<Plan, EnvironmentError> {
    let python = environment.python.clone();
    let interpreter = tokio::task::spawn_blocking(move || Interpreter::describe(&python)).await??;
    let runner_arguments = match &environment.preload {
        Preload::Available => {
            [&["available"][..], &PRELOAD_AVAILABLE].concat().into_iter().map(str::to_owned).collect()
        }
        Preload::Named(modules) => [&["named".to_owned()][..], modules].concat(),
    };
    let plan = prepare(Wanted {
        isolation: config.isolation,
        policy: &config.policy,
        limits: &config.sandbox_limits,
        control_groups: config.control_groups,
        interpreter: &interpreter,
        sessions_max: config.limits.sessions_max.saturating_add(config.parked_max()).saturating_add(SLOTS_SPARE + 1),
        build: &config.build,
        state_dir: &config.state_dir,
        runner_arguments: &runner_arguments,
        fail_step: config.fail_step,
    })?;
    Ok(plan)
}

impl EnvironmentError {
    /// With the name of the environment that it is of, where a server has others.
    pub(crate) fn of(self, name: &EnvironmentName) -> Self {
        if name.is_default() { self } else { Self::Of { name: name.clone(), source: Box::new(self) } }
    }

    /// A layer of the wall cannot be put up here.
    pub(crate) fn is_of_the_wall(&self) -> bool {
        match self {
            Self::Prepare(_) => true,
            Self::Nest(NestError::Failed(NestFailure::Step { step, .. })) => step.layer().is_some(),
            Self::Of { source, .. } => source.is_of_the_wall(),
            Self::Nest(_)
            | Self::Task(_)
            | Self::Interpreter(_)
            | Self::ControlGroups(_)
            | Self::Checkpoints(_)
            | Self::Watchdog(_)
            | Self::Keeper(_) => false,
        }
    }
}
