//! The files of a session's `/workspace`, for its owner: looked at and changed from outside, whatever runs in it.
//!
//! Everything in there was made by hostile code. Nothing here asks the session, follows a link, opens what is no regular
//! file, or holds a descriptor of a session's longer than one request takes.

mod path;
mod error;
mod place;
mod workers;
mod folder;
mod entry;
mod listing;
mod download;
mod upload;
mod renaming;
mod removal;
mod walk;
mod archive;
mod copy;

use std::sync::Arc;
use std::sync::atomic::Ordering;

pub use archive::Archive;
pub(crate) use copy::{Copying, copy_content};
pub use download::Download;
pub use entry::{Entry, EntryKind};
pub use error::WorkspaceError;
pub use listing::{Listing, Page};
pub use path::{PATH_BYTES_MAX, PATH_DEPTH_MAX, WorkspacePath, WorkspacePathError};
pub(crate) use place::{Files, Place, Tree};
pub(crate) use removal::remove_folder;
pub use upload::Upload;
pub(crate) use workers::Workers;

use self::folder::Folder;
use self::place::User;

/// The workspace of one session. It stays usable until that session ends; every call says [`WorkspaceError::Gone`] then.
#[derive(Debug, Clone)]
pub struct Workspace {
    place: Place,
    workers: Arc<Workers>,
    _user: User,
}

impl Workspace {
    pub(crate) fn new(place: Place, workers: Arc<Workers>) -> Self {
        let user = User::of(&place);
        Self { place, workers, _user: user }
    }

    /// Runs `job` on the workspace, as the session's user.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Folder) -> Result<T, WorkspaceError> + Send + 'static,
    ) -> Result<T, WorkspaceError> {
        self.workers.run(self.place.clone(), job).await
    }

    /// The same for a job that changes something. Whatever comes of it, and whenever, it may have.
    async fn change<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Folder) -> Result<T, WorkspaceError> + Send + 'static,
    ) -> Result<T, WorkspaceError> {
        let changes = Arc::clone(&self.place.changes);
        let count = move || changes.fetch_add(1, Ordering::Relaxed);
        self.run(move |folder| {
            let done = job(folder);
            count();
            done
        })
        .await
    }

    /// One page of what is in the folder `path`.
    ///
    /// # Errors
    /// Where it is not there, or is no folder.
    pub async fn list(&self, path: WorkspacePath, page: Page) -> Result<Listing, WorkspaceError> {
        // One that goes deep has a descriptor for each folder on its way.
        let _walk = if page.recursive { Some(self.workers.walk().await?) } else { None };
        self.run(move |folder| listing::list(folder, &path, &page)).await
    }

    /// Opens a regular file to be read.
    ///
    /// # Errors
    /// Where it is not there, or is anything else.
    pub async fn read(&self, path: WorkspacePath) -> Result<Download, WorkspaceError> {
        let transfer = self.workers.transfer().await?;
        let (file, entry) = self.run(move |folder| download::open(folder, &path)).await?;
        Ok(Download::new(file, entry, transfer))
    }

    /// Begins a file that will be `path` when it is finished, and shows nowhere before.
    ///
    /// # Errors
    /// Where that is a folder, or the way there is none.
    pub async fn write(&self, path: WorkspacePath) -> Result<Upload, WorkspaceError> {
        let transfer = self.workers.transfer().await?;
        Upload::begin(self.clone(), path, transfer).await
    }

    /// The longest that a file may be.
    #[must_use]
    pub fn file_bytes_max(&self) -> u64 {
        self.workers.file_bytes_max
    }

    /// Gives what is at `from` the path `to`, making the folders on the way; in the place of what is there if `replace`.
    ///
    /// # Errors
    /// Where there is nothing at `from`, or it cannot go there.
    pub async fn rename(&self, from: WorkspacePath, to: WorkspacePath, replace: bool) -> Result<Entry, WorkspaceError> {
        self.change(move |folder| renaming::rename(folder, &from, &to, replace)).await
    }

    /// Removes what is at `path`: a folder only where it is empty, or with all that is in it if `recursive`.
    ///
    /// # Errors
    /// Where it is not there, or not empty.
    pub async fn remove(&self, path: WorkspacePath, recursive: bool) -> Result<(), WorkspaceError> {
        // One that is large must not keep others from theirs.
        let _walk = if recursive { Some(self.workers.walk().await?) } else { None };
        self.change(move |folder| removal::remove(folder, &path, recursive)).await
    }

    /// The folder `path` with all that is in it, as a tar archive.
    ///
    /// # Errors
    /// Where it is not there, is no folder, or holds more than an archive may.
    pub async fn archive(&self, path: WorkspacePath) -> Result<Archive, WorkspaceError> {
        Archive::begin(self, path).await
    }

    /// Makes the regular files, folders and links of this workspace anew in another one, with their modes and times. Links
    /// are not followed; what else there is stays behind, as do files that were removed and are still open.
    ///
    /// # Errors
    /// Where a limit of the other or of such trees forbids it, or either session ends. The other one is to be given up then.
    pub async fn copy_to(&self, other: &Self) -> Result<(), WorkspaceError> {
        copy::copy(self, other).await
    }
}
