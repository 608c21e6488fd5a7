//! The engine's handle: start, execute, shut down.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use eggbox_sandbox::status::Status;
use tokio::time::timeout;

use crate::checkpoint_id::CheckpointId;
use crate::checkpoint_view::CheckpointView;
use crate::checkpoints::StoreError;
use crate::config::EngineConfig;
use crate::counts::{Counts, Gauges};
use crate::environment::EnvironmentError;
use crate::environment_name::EnvironmentName;
use crate::environments::Environments;
use crate::executions::{Asked, Execution, Executions};
use crate::owner::Owner;
use crate::pool::PoolStatus;
use crate::registry::{AskError, Registry};
use crate::request::Code;
use crate::session::SessionError;
use crate::session_id::SessionId;
use crate::session_limits::SessionLimits;
use crate::state_dir::{StateDir, StateDirError};
use crate::view::SessionView;
use crate::wanted::{Checkpointing, SessionChange, WantedSession};
use crate::workspace::Workspace;

/// A handle on the running engine; clones share it.
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    registry: Arc<Registry>,
    /// As the first session reported it.
    status: Status,
    closing: AtomicBool,
    _state_dir: StateDir,
}

/// Why the engine could not start; readable after "failed to start: ", with its sources.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error("a first session, to prove the wall, failed")]
    FirstSession(#[from] SessionError),
}

impl StartError {
    /// A layer of the wall cannot be put up, so that a change of the host may help.
    #[must_use]
    pub fn is_of_the_wall(&self) -> bool {
        match self {
            // A nest that stands has the host's leave; of a session's steps, only the mounts need more.
            Self::FirstSession(error) => chain(error).contains("mount_own_file_systems"),
            Self::Environment(error) => error.is_of_the_wall(),
            Self::StateDir(_) => false,
        }
    }
}

/// Why code was not run. The first three are the client's to retry; `Internal` is ours, its chain is for the log.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    #[error("all {sessions_max} sessions are in use")]
    NoRoom { sessions_max: u32 },
    #[error("{queue_max} executions already wait for this session")]
    QueueFull { queue_max: usize },
    #[error("all {sessions_max} sessions of its owner are in use")]
    NoRoomForOwner { sessions_max: u32 },
    #[error("the code is longer than the {code_bytes_max} bytes that its session was made for")]
    CodeTooLong { code_bytes_max: u64 },
    #[error("there is no environment {name} for it any more")]
    NoEnvironment { name: EnvironmentName },
    #[error("it was given up before it had begun")]
    GivenUp,
    #[error("too many sessions are forked at once")]
    ForksBusy,
    #[error("there is no room on the disk for what is to be written down")]
    NoDiskSpace,
    #[error("it has what no image can carry: {why}")]
    NotCarried { why: String },
    #[error("the image cannot be loaded: {why}")]
    NotLoaded { why: String },
    #[error("it goes to sleep just now")]
    FallsAsleep,
    #[error("its files cannot be brought along: {why}")]
    FilesStay { why: String },
    #[error("the server is shutting down")]
    ShuttingDown,
    #[error("failed to run the session")]
    Internal(#[source] Box<dyn Error + Send + Sync>),
}

/// Why code that comes now is not run at once, although the server answers. The text is fit for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unready {
    #[error("the server is shutting down")]
    ShuttingDown,
    #[error("the server is handing its sessions over to the next one")]
    HandingOver,
    #[error("the process that sessions come from has ended, and another one is being started")]
    NestDown,
}

/// Why there is no new session.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error("a session of that name lives")]
    Exists,
    #[error("there is no checkpoint of the name that it is to go on from")]
    NoCheckpoint,
    #[error(transparent)]
    Refused(#[from] ExecuteError),
}

/// Why a checkpoint was not taken, or not gone back to.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("there is no session of that name")]
    NoSession,
    #[error("there is no checkpoint of that name")]
    NoCheckpoint,
    #[error("there is a checkpoint of that name")]
    Exists,
    #[error("there is no room for it within the {bytes_max} bytes that checkpoints may take (checkpoints_bytes_max)")]
    NoRoom { bytes_max: u64 },
    #[error(transparent)]
    Refused(#[from] ExecuteError),
}

impl From<StoreError> for CheckpointError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Exists => Self::Exists,
            StoreError::Full { bytes_max } => Self::NoRoom { bytes_max },
            StoreError::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                Self::Refused(ExecuteError::NoDiskSpace)
            }
            StoreError::Io(error) => Self::Refused(ExecuteError::Internal(error.into())),
        }
    }
}

/// Why a session was not forked.
#[derive(Debug, thiserror::Error)]
pub enum ForkError {
    #[error("there is no session of that name")]
    NoSession,
    #[error(transparent)]
    Refused(#[from] CreateError),
}

impl From<ExecuteError> for ForkError {
    fn from(error: ExecuteError) -> Self {
        Self::Refused(error.into())
    }
}

impl Engine {
    /// Brings up the nest and proves the wall with a first session. Takes seconds where the preload list is heavy.
    ///
    /// # Errors
    /// Where the state directory, the interpreter, a layer of the wall or the preload list fails; nothing is left
    /// running then.
    pub async fn start(config: EngineConfig) -> Result<Self, StartError> {
        let state_dir = StateDir::lock(&config.state_dir)?;
        let config = Arc::new(config);
        let (environments, inherited) = Environments::start(&config).await?;
        let status = match environments.prove().await {
            Ok(status) => status,
            Err(error) => {
                // What an earlier server has left is the next one's to take over.
                if inherited.living.is_empty() && inherited.ended.is_empty() {
                    environments.end().await;
                }
                return Err(error.into());
            }
        };
        let registry = Registry::new(environments, inherited, config);
        let [guarded, told, retired, ordered] = std::array::from_fn(|_| Arc::clone(&registry));
        tokio::spawn(ordered.keep_order());
        for environment in &registry.environments().each {
            tokio::spawn(Arc::clone(environment).fill_pool());
            tokio::spawn(Arc::clone(environment).stay_ready());
        }
        tokio::spawn(async move { guarded.keeper().guard().await });
        tokio::spawn(async move { told.keep_ends().await });
        tokio::spawn(async move { retired.environments().keep_retired().await });
        Ok(Self {
            shared: Arc::new(Shared { registry, status, closing: AtomicBool::new(false), _state_dir: state_dir }),
        })
    }

    /// The wall as the proving session reported it from inside.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.shared.status
    }

    /// Runs `code` in the session `id` (a new one where `id` is none or unknown). Executions of one session run one at
    /// a time, in order of arrival. Dropping the future does not cancel the execution.
    ///
    /// # Errors
    /// Where the code was not run. What the code itself does is an [`Outcome`](crate::Outcome).
    pub async fn execute(&self, id: Option<SessionId>, code: Code) -> Result<Execution, ExecuteError> {
        if self.shared.closing.load(Ordering::Relaxed) {
            return Err(ExecuteError::ShuttingDown);
        }
        self.shared.registry.execute(id.unwrap_or_else(SessionId::unique), code).await
    }

    /// Makes the session `id` (one of a new name where that is none), as it is wanted,
    /// and returns when it is ready for code. Where a session of that name has ended and nobody was told, nobody will be.
    ///
    /// # Errors
    /// Where there is none then.
    pub async fn create(&self, id: Option<SessionId>, wanted: WantedSession) -> Result<SessionView, CreateError> {
        if self.shared.closing.load(Ordering::Relaxed) {
            return Err(ExecuteError::ShuttingDown.into());
        }
        self.shared.registry.create(id.unwrap_or_else(SessionId::unique), wanted).await
    }

    /// The session `id` as it is now; none where there is no such session, or its end was told.
    pub async fn view(&self, id: &SessionId) -> Option<SessionView> {
        self.shared.registry.view(id).await
    }

    /// Sessions of `owner` after that id, in the order of their ids, that `takes` takes: at most `count`.
    pub fn list(
        &self,
        owner: Option<&Owner>,
        after: Option<&SessionId>,
        count: usize,
        takes: impl Fn(&SessionView) -> bool,
    ) -> Vec<SessionView> {
        self.shared.registry.list(owner, after, count, takes)
    }

    /// Changes a session that lives, and returns it as it is then; none where there is none.
    ///
    /// # Errors
    /// Where the change cannot be written down.
    pub async fn change(&self, id: &SessionId, change: SessionChange) -> Result<Option<SessionView>, ExecuteError> {
        self.shared.registry.change(id, change).await
    }

    /// The files of the session `id`; none where no session of that name lives. To use them is not to use the session.
    ///
    /// # Errors
    /// Where it sleeps and cannot be woken.
    pub async fn workspace(&self, id: &SessionId) -> Result<Option<Workspace>, ExecuteError> {
        self.shared.registry.workspace(id).await
    }

    /// Gives the session `id` a fresh interpreter: its variables are gone, its files, its name and the executions that it has run
    /// stay. What runs is ended, what waits runs in the new one. None where there is no such session.
    ///
    /// # Errors
    /// Where that fails: a session that was at rest goes on as it was, one that was not has ended.
    pub async fn restart(&self, id: &SessionId) -> Result<Option<SessionView>, ExecuteError> {
        if self.shared.closing.load(Ordering::Relaxed) {
            return Err(ExecuteError::ShuttingDown);
        }
        self.shared.registry.restart(id).await
    }

    /// Makes sessions of these names, none of which is there yet, that go on as the session `id` does between two of its
    /// executions, each with copies of its memory and its files. Returns when all of them are ready for code.
    ///
    /// # Errors
    /// Where one of them cannot be had: then there is none of them.
    pub async fn fork(&self, id: &SessionId, names: Vec<SessionId>) -> Result<Vec<SessionView>, ForkError> {
        if self.shared.closing.load(Ordering::Relaxed) {
            return Err(ExecuteError::ShuttingDown.into());
        }
        let (registry, id) = (Arc::clone(&self.shared.registry), id.clone());
        // In a task of its own: whoever asks may go away, and all or none are to be there.
        let forked = tokio::spawn(async move { registry.fork(&id, names).await });
        forked.await.unwrap_or_else(|error| Err(ExecuteError::Internal(error.into()).into()))
    }

    /// Writes down how the session `id` is between two of its executions, under a name that no other checkpoint of its owner has.
    ///
    /// # Errors
    /// Where there is no such checkpoint then. The session goes on as if nothing had been asked.
    pub async fn checkpoint(
        &self,
        id: &SessionId,
        checkpoint: CheckpointId,
    ) -> Result<CheckpointView, CheckpointError> {
        self.check_open()?;
        let (registry, id) = (Arc::clone(&self.shared.registry), id.clone());
        // In a task of its own, as all that takes a while: whoever asks may go away.
        detached(async move { registry.checkpoint(&id, checkpoint).await }).await
    }

    /// Has the session `id` go on from a checkpoint, of itself or of another session of its environment, with its own name, limits
    /// and history.
    ///
    /// # Errors
    /// Where it does not: it goes on as if nothing had been asked.
    pub async fn restore(
        &self,
        id: &SessionId,
        checkpoint: &CheckpointId,
    ) -> Result<Option<SessionView>, CheckpointError> {
        self.check_open()?;
        let (registry, session, checkpoint) = (Arc::clone(&self.shared.registry), id.clone(), checkpoint.clone());
        detached(async move { registry.restore(&session, &checkpoint).await }).await?;
        Ok(self.view(id).await)
    }

    /// Has the session `id` sleep from its next rest on: on the disk, until somebody asks for it.
    ///
    /// # Errors
    /// Where it cannot: it goes on as if nothing had been asked.
    pub async fn hibernate(&self, id: &SessionId) -> Result<Option<SessionView>, CheckpointError> {
        self.check_open()?;
        let (registry, session) = (Arc::clone(&self.shared.registry), id.clone());
        detached(async move { registry.hibernate(&session).await }).await?;
        Ok(self.view(id).await)
    }

    /// The checkpoint of that name; none where there is none.
    #[must_use]
    pub fn view_checkpoint(&self, id: &CheckpointId) -> Option<CheckpointView> {
        self.shared.registry.view_checkpoint(id)
    }

    /// Checkpoints of `owner`, from the oldest: of that session, which may be gone, or of all.
    #[must_use]
    pub fn checkpoints(&self, owner: Option<&Owner>, session: Option<&SessionId>) -> Vec<CheckpointView> {
        self.shared.registry.list_checkpoints(owner, session)
    }

    /// Removes a checkpoint; false where there is none of that name. Sessions that go on from it do so.
    pub async fn remove_checkpoint(&self, id: &CheckpointId) -> bool {
        self.shared.registry.remove_checkpoint(id).await
    }

    fn check_open(&self) -> Result<(), ExecuteError> {
        if self.shared.closing.load(Ordering::Relaxed) { Err(ExecuteError::ShuttingDown) } else { Ok(()) }
    }

    /// Whether sessions of which nothing else is said take checkpoints by themselves.
    #[must_use]
    pub fn checkpointing(&self) -> Checkpointing {
        self.shared.registry.checkpointing()
    }

    /// What any session may use at most.
    #[must_use]
    pub fn limits(&self) -> SessionLimits {
        self.shared.registry.limits()
    }

    /// What a session of `owner` may use that nothing less was asked for.
    #[must_use]
    pub fn limits_of(&self, owner: Option<&Owner>) -> SessionLimits {
        self.limits().lowered(&self.shared.registry.asked_of(owner))
    }

    /// Ends the session `id` with all that runs and waits in it, and forgets its name. Returns when its processes are gone;
    /// false where there is no such session.
    pub async fn delete(&self, id: &SessionId) -> bool {
        self.shared.registry.delete(id).await
    }

    /// What the session `id` has run, runs and is to run; none where there is no such session.
    pub async fn executions(&self, id: &SessionId) -> Option<Executions> {
        self.shared.registry.executions(id).await
    }

    /// Has the session `id` run `code` when its turn comes, or finds the execution that was asked for under the same key.
    /// Unlike for [`Self::execute`] the session has to be there.
    ///
    /// # Errors
    /// Where there is no such execution then.
    pub async fn ask(&self, id: &SessionId, code: Code) -> Result<Asked, AskError> {
        if self.shared.closing.load(Ordering::Relaxed) {
            return Err(ExecuteError::ShuttingDown.into());
        }
        self.shared.registry.ask(id, code).await
    }

    /// The environments that sessions of `owner` may be of, that first which they are of unless they ask for another.
    #[must_use]
    pub fn environments_of(&self, owner: Option<&Owner>) -> Vec<EnvironmentName> {
        self.shared.registry.environments_of(owner)
    }

    /// How the sessions of each environment stand that are made ahead.
    pub fn pools(&self) -> impl Iterator<Item = (&EnvironmentName, PoolStatus)> {
        let each = self.shared.registry.environments().each.iter();
        each.map(|environment| (&environment.name, environment.pool.status()))
    }

    /// What has happened since the server started.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        self.shared.registry.counts()
    }

    /// What is there now. Asks the kernel for the memory of each session, so not for threads that serve others.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        self.shared.registry.gauges()
    }

    /// Whether code that comes now finds a session, or a nest to make one.
    ///
    /// # Errors
    /// Where it does not.
    pub async fn ready(&self) -> Result<(), Unready> {
        if self.shared.registry.is_handing_over() {
            return Err(Unready::HandingOver);
        }
        if self.shared.closing.load(Ordering::Relaxed) {
            return Err(Unready::ShuttingDown);
        }
        for environment in &self.shared.registry.environments().each {
            if !environment.has_nest().await {
                return Err(Unready::NestDown);
            }
        }
        Ok(())
    }

    /// Executions that are running or queued now.
    #[must_use]
    pub fn executions_in_flight(&self) -> usize {
        self.shared.registry.in_flight()
    }

    /// Takes no new work, gives up what waits, waits up to `grace` for running executions to be answered, and leaves
    /// everything to the server that comes after this one. The process is to end then.
    pub async fn hand_over(&self, grace: Duration) {
        self.shared.closing.store(true, Ordering::Relaxed);
        self.shared.registry.hand_over();
        let _ = timeout(grace, self.shared.registry.quiet()).await;
    }

    /// Takes no new work, waits up to `grace` for running executions, then ends nest and sessions; returns when they
    /// are gone.
    pub async fn shutdown(&self, grace: Duration) {
        self.shared.closing.store(true, Ordering::Relaxed);
        // Those that are still running are ended with the nest, and answered so.
        let _ = timeout(grace, self.shared.registry.quiet()).await;
        let _ = timeout(grace, self.shared.registry.end_asleep()).await;
        self.shared.registry.environments().end().await;
    }
}

/// Goes on to its end even if the future is dropped.
async fn detached<T: Send + 'static>(
    task: impl Future<Output = Result<T, CheckpointError>> + Send + 'static,
) -> Result<T, CheckpointError> {
    tokio::spawn(task).await.unwrap_or_else(|error| Err(ExecuteError::Internal(error.into()).into()))
}

/// An error and its sources on one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
