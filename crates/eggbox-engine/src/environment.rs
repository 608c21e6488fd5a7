//! An environment: the plan made for it, and the nest that sessions of it are forked from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use eggbox_sandbox::interpreter::{Interpreter, InterpreterError};
use eggbox_sandbox::plan::Plan;
use eggbox_sandbox::prepare::{PrepareError, Wanted, prepare};
use eggbox_sandbox::wire::NestFailure;
use tokio::sync::Mutex;

use crate::config::{EngineConfig, Limits, Preload};
use crate::nest::{Description, Nest, NestError};
use crate::session::{Session, SessionError};

/// What is preloaded where the operator names nothing and the interpreter has it.
const PRELOAD_AVAILABLE: [&str; 4] = ["numpy", "pandas", "matplotlib", "matplotlib.pyplot"];

/// An interpreter behind a planned wall.
#[derive(Debug)]
pub(crate) struct Environment {
    plan: Arc<Plan>,
    limits: Arc<Limits>,
    /// Replaced when it has died; held while another is being started.
    nest: Mutex<Arc<Nest>>,
    /// No nest is started any more.
    closing: AtomicBool,
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
    #[error("failed to start the nest")]
    Nest(#[from] NestError),
}

impl Environment {
    /// Plans the wall and starts the first nest.
    pub(crate) async fn start(config: &EngineConfig, limits: Arc<Limits>) -> Result<Self, EnvironmentError> {
        let python = config.environment.python.clone();
        let interpreter = tokio::task::spawn_blocking(move || Interpreter::describe(&python)).await??;
        let plan = Arc::new(make_plan(config, &limits, &interpreter)?);
        let nest = Nest::start(&plan, limits.sessions_max, limits.nest_start_max).await?;
        let Description { python, preloaded, missing } = &nest.description;
        tracing::info!(
            interpreter = %interpreter.executable.display(), python, ?preloaded, not_installed = ?missing, "nest is up"
        );
        Ok(Self { plan, limits, nest: Mutex::new(Arc::new(nest)), closing: AtomicBool::new(false) })
    }

    /// A new session from a living nest.
    pub(crate) async fn start_session(&self) -> Result<Session, SessionError> {
        let nest = self.living_nest().await?;
        Session::start(&nest, Arc::clone(&self.limits)).await
    }

    async fn living_nest(&self) -> Result<Arc<Nest>, SessionError> {
        let mut nest = self.nest.lock().await;
        if self.is_closing() {
            return Err(SessionError::ShuttingDown);
        }
        if !nest.is_up() {
            tracing::warn!("the nest is gone; starting another");
            // Until it has cleared away what it shares with its successor.
            nest.end().await;
            *nest = Arc::new(Nest::start(&self.plan, self.limits.sessions_max, self.limits.nest_start_max).await?);
        }
        Ok(Arc::clone(&nest))
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// Ends the nest and every session, for good.
    pub(crate) async fn end(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.nest.lock().await.end().await;
    }
}

fn make_plan(config: &EngineConfig, limits: &Limits, interpreter: &Interpreter) -> Result<Plan, PrepareError> {
    let runner_arguments = match &config.environment.preload {
        Preload::Available => {
            [&["available"][..], &PRELOAD_AVAILABLE].concat().into_iter().map(str::to_owned).collect()
        }
        Preload::Named(modules) => [&["named".to_owned()][..], modules].concat(),
    };
    prepare(Wanted {
        isolation: config.isolation,
        policy: &config.policy,
        interpreter,
        sessions_max: limits.sessions_max,
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
            Self::Nest(_) | Self::Task(_) | Self::Interpreter(_) => false,
        }
    }
}
