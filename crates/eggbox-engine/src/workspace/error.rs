//! Why something was not done in a workspace.

use std::io;

use rustix::io::Errno;

/// The text is for the client, but for [`Internal`](Self::Internal), whose cause is for the log.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    #[error("the session has ended, and its files with it")]
    Gone,
    #[error("there is no `{path}` in the workspace")]
    NotFound { path: String },
    #[error("`{path}` is no regular file, or the way to it goes through a link: links are not followed")]
    NotRegular { path: String },
    #[error("`{path}` is no folder, or has a file in the place of a folder on the way to it")]
    NotFolder { path: String },
    #[error("there is a `{path}` already: delete it, or ask for it to be replaced")]
    Exists { path: String },
    #[error("`{path}` is a folder that is not empty: ask for it recursively, or empty it")]
    NotEmpty { path: String },
    #[error("`{path}` cannot be moved into itself")]
    IntoItself { path: String },
    #[error(
        "`{path}` is closed to the session's user by its mode or that of a folder on the way to it: chmod it first"
    )]
    Denied { path: String },
    #[error("the workspace is full (workspace_bytes_max, files_max): delete something, or send less")]
    NoSpace,
    #[error("the file is over the limit of {file_bytes_max} bytes (file_bytes_max): send less")]
    TooLarge { file_bytes_max: u64 },
    #[error("{0}: take it in parts")]
    TreeTooLarge(TreeLimit),
    #[error("{transfers_max} transfers of files are under way: try again later")]
    Busy { transfers_max: usize },
    #[error("failed to reach the workspace")]
    Internal(#[source] io::Error),
}

/// What a tree of files has too much of to be gone through at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeLimit {
    #[error("the folder has more than {entries_max} entries")]
    Entries { entries_max: usize },
    #[error("the folder has others in it that are more than {depth_max} deep")]
    Depth { depth_max: usize },
    #[error("the files in the folder have more than {bytes_max} bytes together (workspace_bytes_max)")]
    Bytes { bytes_max: u64 },
}

impl WorkspaceError {
    /// What the kernel's refusal of something at `path` means.
    pub(super) fn at(path: &str, error: Errno) -> Self {
        let path = path.to_owned();
        match error {
            Errno::NOENT | Errno::NAMETOOLONG => Self::NotFound { path },
            Errno::NOTDIR => Self::NotFolder { path },
            // A link, or what is mounted there.
            Errno::LOOP | Errno::XDEV | Errno::ISDIR => Self::NotRegular { path },
            Errno::EXIST => Self::Exists { path },
            Errno::NOTEMPTY => Self::NotEmpty { path },
            Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::BUSY => Self::Denied { path },
            Errno::NOSPC | Errno::DQUOT => Self::NoSpace,
            other => Self::Internal(other.into()),
        }
    }
}

/// Names the path that a call was about.
pub(super) trait At<T> {
    fn at(self, path: &str) -> Result<T, WorkspaceError>;
}

impl<T> At<T> for Result<T, Errno> {
    fn at(self, path: &str) -> Result<T, WorkspaceError> {
        self.map_err(|error| WorkspaceError::at(path, error))
    }
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &str) -> Result<T, WorkspaceError> {
        self.map_err(|error| match Errno::from_io_error(&error) {
            Some(errno) => WorkspaceError::at(path, errno),
            None => WorkspaceError::Internal(error),
        })
    }
}
