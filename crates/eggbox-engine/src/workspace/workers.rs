//! The threads that work on files, each for one job and as the session's user; and how much of that there is at once.

use std::sync::Arc;
use std::time::Duration;

use eggbox_sandbox::limits::SandboxLimits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::error::WorkspaceError;
use super::folder::Folder;
use super::place::{Files, Place, Trees};

/// Jobs that are done at once; further ones wait, each for as long as the file system takes.
const JOBS_MAX: usize = 16;
/// Files that are sent or received at once: each may last as long as its client takes, and has up to two descriptors.
pub(crate) const TRANSFERS_MAX: usize = 64;
/// Trees that are gone through at once, with a descriptor for each folder on the way.
const WALKS_MAX: usize = 4;
/// How long one that finds no room waits for it.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(5);

/// Shared by all workspaces of a server.
#[derive(Debug)]
pub(crate) struct Workers {
    jobs: Arc<Semaphore>,
    transfers: Arc<Semaphore>,
    walks: Arc<Semaphore>,
    pub(super) file_bytes_max: u64,
    pub(super) workspace_bytes_max: u64,
    pub(super) scratch_bytes_max: u64,
}

impl Workers {
    pub(crate) fn new(limits: &SandboxLimits) -> Self {
        let [jobs, transfers, walks] = [JOBS_MAX, TRANSFERS_MAX, WALKS_MAX].map(|max| Arc::new(Semaphore::new(max)));
        let SandboxLimits { file_bytes_max, workspace_bytes_max, scratch_bytes_max, .. } = *limits;
        Self { jobs, transfers, walks, file_bytes_max, workspace_bytes_max, scratch_bytes_max }
    }

    /// A place among the transfers.
    pub(super) async fn transfer(&self) -> Result<OwnedSemaphorePermit, WorkspaceError> {
        room(&self.transfers, TRANSFERS_MAX).await
    }

    /// A place among the walks.
    pub(super) async fn walk(&self) -> Result<OwnedSemaphorePermit, WorkspaceError> {
        room(&self.walks, WALKS_MAX).await
    }

    /// Runs `job` on a workspace, as the session's user. It goes on to its end even if the future is dropped.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        place: Place,
        job: impl FnOnce(&Folder) -> Result<T, WorkspaceError> + Send + 'static,
    ) -> Result<T, WorkspaceError> {
        let permit = Arc::clone(&self.jobs).acquire_owned().await.map_err(|_| WorkspaceError::Gone)?;
        let (reply, done) = oneshot::channel();
        start(place, move |folder| {
            let _permit = permit;
            let _ = reply.send(folder.and_then(|folder| job(&folder)));
        })?;
        done.await.unwrap_or_else(|_| Err(internal("a thread that worked on files has panicked")))
    }
}

/// Starts a thread that has a workspace and has become the session's user: for good, as threads that go back to what they
/// were would have to be sure of it.
pub(super) fn start(
    place: Place,
    job: impl FnOnce(Result<Folder, WorkspaceError>) + Send + 'static,
) -> Result<(), WorkspaceError> {
    start_as(place.tree.owner, move || place.open().map(Folder::new), job)
}

/// The same with all files of a session, or with copies of them, as the server's user.
pub(super) fn start_with_all(
    files: Files,
    job: impl FnOnce(Result<Trees, WorkspaceError>) + Send + 'static,
) -> Result<(), WorkspaceError> {
    start_as(files.owner(), move || files.open(), job)
}

fn start_as<T>(
    owner: Option<u32>,
    open: impl FnOnce() -> Result<T, WorkspaceError> + Send + 'static,
    job: impl FnOnce(Result<T, WorkspaceError>) + Send + 'static,
) -> Result<(), WorkspaceError> {
    let opened = move || {
        // Before it is the session's: who looks at another's root needs rights that the session's user has not.
        let opened = open()?;
        if let Some(owner) = owner {
            eggbox_sandbox::reach_files_as(owner).map_err(WorkspaceError::Internal)?;
        }
        Ok(opened)
    };
    let thread = std::thread::Builder::new().name("workspace".to_owned());
    thread.spawn(move || job(opened())).map(drop).map_err(WorkspaceError::Internal)
}

pub(super) fn internal(cause: &'static str) -> WorkspaceError {
    WorkspaceError::Internal(std::io::Error::other(cause))
}

async fn room(places: &Arc<Semaphore>, transfers_max: usize) -> Result<OwnedSemaphorePermit, WorkspaceError> {
    match timeout(ROOM_WAIT_MAX, Arc::clone(places).acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) | Err(_) => Err(WorkspaceError::Busy { transfers_max }),
    }
}
