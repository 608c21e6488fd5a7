//! A file that arrives piece by piece. It has no name before it is whole: what is cut off leaves nothing behind, even where
//! the server is killed.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, fchmod, fstat, linkat, openat, renameat, unlinkat};
use rustix::io::Errno;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::Workspace;
use super::entry::{Entry, EntryKind};
use super::error::{At, WorkspaceError};
use super::folder::{Folder, look, own_path};
use super::path::WorkspacePath;
use super::workers::internal;

/// The permissions of files that are made.
const FILE_MODE: Mode = Mode::from_raw_mode(0o644);

/// A file that has no name yet.
#[derive(Debug)]
pub struct Upload {
    workspace: Workspace,
    path: WorkspacePath,
    file: Arc<File>,
    bytes: u64,
    _transfer: OwnedSemaphorePermit,
}

impl Upload {
    pub(super) async fn begin(
        workspace: Workspace,
        path: WorkspacePath,
        transfer: OwnedSemaphorePermit,
    ) -> Result<Self, WorkspaceError> {
        let wanted = path.clone();
        let file = workspace.change(move |folder| make(folder, &wanted)).await?;
        Ok(Self { workspace, path, file: Arc::new(file), bytes: 0, _transfer: transfer })
    }

    /// Writes a piece after those before it.
    ///
    /// # Errors
    /// Where there is no room for it, or the file would be longer than a file may be.
    pub async fn append(&mut self, piece: Bytes) -> Result<(), WorkspaceError> {
        let file_bytes_max = self.workspace.file_bytes_max();
        let (offset, bytes) = (self.bytes, self.bytes + piece.len() as u64);
        if bytes > file_bytes_max {
            return Err(WorkspaceError::TooLarge { file_bytes_max });
        }
        let file = Arc::clone(&self.file);
        let written = tokio::task::spawn_blocking(move || file.write_all_at(&piece, offset)).await;
        written.map_err(|_| internal("a thread that wrote a file has panicked"))?.at(self.path.as_str())?;
        self.bytes = bytes;
        Ok(())
    }

    /// Gives the file its name, making the folders on the way; in the place of a file or a link that is there if `replace`.
    /// Returns what there is now, and whether the name is new.
    ///
    /// # Errors
    /// Where the name cannot be had.
    pub async fn finish(self, replace: bool) -> Result<(Entry, bool), WorkspaceError> {
        let Self { workspace, path, file, .. } = self;
        workspace.change(move |folder| name(folder, &file, &path, replace)).await
    }
}

/// A file without a name, on the workspace's file system. That it could not have its name is said at once, where that is
/// known already.
fn make(folder: &Folder, path: &WorkspacePath) -> Result<File, WorkspaceError> {
    match folder.parent(path) {
        Ok((parent, name)) => refuse_folder(&parent, name, path)?,
        Err(WorkspaceError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = openat(folder.root(), ".", flags, Mode::RUSR | Mode::WUSR).map_err(|error| match error {
        Errno::OPNOTSUPP | Errno::ISDIR => internal(
            "the state directory's file system has no files without a name (O_TMPFILE); put it on ext4, xfs or btrfs",
        ),
        other => WorkspaceError::at(path.as_str(), other),
    })?;
    // Whatever the server's own mask is.
    fchmod(&file, FILE_MODE).at(path.as_str())?;
    Ok(file.into())
}

fn refuse_folder(parent: &OwnedFd, name: &str, path: &WorkspacePath) -> Result<(), WorkspaceError> {
    use std::os::fd::AsFd;
    match look(parent.as_fd(), name) {
        Ok(stat) if EntryKind::of(&stat) == EntryKind::Folder => {
            Err(WorkspaceError::NotRegular { path: path.to_string() })
        }
        _ => Ok(()),
    }
}

fn name(folder: &Folder, file: &File, path: &WorkspacePath, replace: bool) -> Result<(Entry, bool), WorkspaceError> {
    let (parent, name) = folder.make_parent(path)?;
    let own = own_path(file);
    let link = |name: &str| linkat(CWD, own.as_c_str(), &parent, name, AtFlags::SYMLINK_FOLLOW);
    let is_new = match link(name) {
        Ok(()) => true,
        Err(Errno::EXIST) if replace => {
            // Nobody can have guessed it.
            let unique = format!(".eggbox-upload-{}", Uuid::now_v7());
            link(&unique).at(path.as_str())?;
            if let Err(error) = renameat(&parent, &*unique, &parent, name) {
                let _ = unlinkat(&parent, &*unique, AtFlags::empty());
                return Err(WorkspaceError::at(path.as_str(), error));
            }
            false
        }
        Err(error) => return Err(WorkspaceError::at(path.as_str(), error)),
    };
    let stat = fstat(file).at(path.as_str())?;
    Ok((Entry::new(path.as_str().as_bytes(), &stat), is_new))
}
