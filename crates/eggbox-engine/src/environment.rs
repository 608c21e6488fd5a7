//! An environment: the plan made for it, and the nest that sessions of it are forked from.

use std::path::Path;
use std::sync::Arc;

use eggbox_sandbox::host::{Followed, Host, follow};
use eggbox_sandbox::interpreter::{Interpreter, InterpreterError};
use eggbox_sandbox::plan::{Plan, PlanError, PlanInput, plan};
use eggbox_sandbox::policy::Policy;
use eggbox_sandbox::seccomp;
use tokio::sync::Mutex;

use crate::config::{EngineConfig, Limits, Preload};
use crate::nest::{Description, Nest, NestError};
use crate::session::{Session, SessionError};

/// What is preloaded where the operator names nothing and the interpreter has it.
const PRELOAD_AVAILABLE: [&str; 4] = ["numpy", "pandas", "matplotlib", "matplotlib.pyplot"];

/// An interpreter behind a planned wall.
#[derive(Debug)]
pub(crate) struct Environment {
    plan: Plan,
    limits: Arc<Limits>,
    /// Replaced when it has died; held while another is being started.
    nest: Mutex<Arc<Nest>>,
}

/// Why an environment cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    #[error("cannot look at this host")]
    Host(#[source] std::io::Error),
    #[error(transparent)]
    Interpreter(#[from] InterpreterError),
    #[error("cannot look at {path}, which the interpreter needs")]
    Path { path: String, source: std::io::Error },
    #[error(transparent)]
    SeccompPolicy(#[from] seccomp::PolicyError),
    #[error(transparent)]
    SeccompProgram(#[from] seccomp::CompileError),
    #[error(
        "no seccomp policy is shipped for this architecture ({}): x86_64 and aarch64 are supported",
        std::env::consts::ARCH
    )]
    Architecture,
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("failed to start the nest")]
    Nest(#[from] NestError),
}

impl Environment {
    /// Plans the wall and starts the first nest.
    pub(crate) async fn start(config: &EngineConfig, limits: Arc<Limits>) -> Result<Self, EnvironmentError> {
        let python = config.environment.python.clone();
        let described = tokio::task::spawn_blocking(move || Interpreter::describe(&python)).await;
        let interpreter = described.map_err(|error| EnvironmentError::Host(error.into()))??;
        let plan = make_plan(config, &limits, &interpreter)?;
        let nest = Nest::start(&plan, limits.sessions_max, limits.nest_start_max).await?;
        let Description { python, preloaded, missing } = &nest.description;
        tracing::info!(
            interpreter = %interpreter.executable.display(), python, ?preloaded, not_installed = ?missing, "nest is up"
        );
        Ok(Self { plan, limits, nest: Mutex::new(Arc::new(nest)) })
    }

    /// A new session from a living nest.
    pub(crate) async fn start_session(&self, limits: &Arc<Limits>) -> Result<Session, SessionError> {
        let nest = self.living_nest().await?;
        Session::start(&nest, Arc::clone(limits)).await
    }

    async fn living_nest(&self) -> Result<Arc<Nest>, SessionError> {
        let mut nest = self.nest.lock().await;
        if !nest.is_up() {
            tracing::warn!("the nest is gone; starting another");
            // Until it has cleared away what it shares with its successor.
            nest.end().await;
            *nest = Arc::new(Nest::start(&self.plan, self.limits.sessions_max, self.limits.nest_start_max).await?);
        }
        Ok(Arc::clone(&nest))
    }

    /// Ends the nest and every session.
    pub(crate) async fn end(&self) {
        self.nest.lock().await.end().await;
    }
}

fn make_plan(config: &EngineConfig, limits: &Limits, interpreter: &Interpreter) -> Result<Plan, EnvironmentError> {
    let Policy { trees, devices, proc_files, .. } = &config.policy;
    let architecture = seccomp::native_arch().ok_or(EnvironmentError::Architecture)?;
    let filter = seccomp::compile(&seccomp::shipped(architecture, config.isolation)?)?;
    let interpreter_paths = interpreter.paths();
    let paths = trees.iter().map(|tree| &tree.path).chain(&interpreter_paths);
    let runner_arguments = match &config.environment.preload {
        Preload::Available => {
            [&["available"][..], &PRELOAD_AVAILABLE].concat().into_iter().map(str::to_owned).collect()
        }
        Preload::Named(modules) => [&["named".to_owned()][..], modules].concat(),
    };
    Ok(plan(PlanInput {
        isolation: config.isolation,
        fail_step: config.fail_step,
        state_dir: &config.state_dir,
        policy: &config.policy,
        host: &Host::probe().map_err(EnvironmentError::Host)?,
        interpreter,
        trees: &follow_all(paths)?,
        devices: &follow_all(devices.iter().map(|device| &device.path))?,
        proc_files: &follow_all(proc_files.iter().map(|file| &file.path))?,
        seccomp: &filter.instructions,
        sessions_max: limits.sessions_max,
        runner_arguments: &runner_arguments,
    })?)
}

/// Those that exist.
fn follow_all(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<Vec<Followed>, EnvironmentError> {
    let mut followed = Vec::new();
    for path in paths {
        let path = path.as_ref();
        match follow(path) {
            Ok(found) => followed.push(found),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {}
            Err(source) => return Err(EnvironmentError::Path { path: path.display().to_string(), source }),
        }
    }
    Ok(followed)
}
