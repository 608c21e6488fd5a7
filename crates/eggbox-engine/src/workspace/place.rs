//! Where a session's workspace is, and how the server gets hold of it: by nothing that the session names.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use eggbox_sandbox::plan::{Plan, TreesPlan};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use rustix::process::Pid;

use super::error::WorkspaceError;
use crate::ending::Ending;

/// What the plan says of it.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    root: Root,
    /// The name of the workspace in there.
    name: PathBuf,
    /// The uid and gid of the session on the host; none where it has the server's.
    pub(super) owner: Option<u32>,
}

/// The folder that has the workspace in it, and that the session cannot change.
#[derive(Debug, Clone)]
enum Root {
    /// That of the session's first process, which has no right to change its root or mounts.
    OfProcess,
    /// A folder of the server's.
    Folder(PathBuf),
}

/// The workspace of a session that lives.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) tree: Tree,
    pub(crate) process: Arc<Ending>,
}

impl Tree {
    /// That of the session of `slot`.
    pub(crate) fn of(plan: &Plan, slot: u32) -> Self {
        let path = plan.session.trees.of(slot).workspace.path;
        let owner = plan.outside_id(slot);
        match &plan.session.trees {
            TreesPlan::Mounted { .. } => {
                let name = path.strip_prefix("/").unwrap_or(&path).to_owned();
                Self { root: Root::OfProcess, name, owner }
            }
            TreesPlan::Folders { .. } => {
                let name = path.file_name().map(PathBuf::from).unwrap_or_default();
                let folder = path.parent().map(PathBuf::from).unwrap_or_default();
                Self { root: Root::Folder(folder), name, owner }
            }
        }
    }
}

impl Place {
    /// A handle on the workspace. The session's first process was there before and after, so that neither its number nor its
    /// slot can have been another's.
    pub(super) fn open(&self) -> Result<OwnedFd, WorkspaceError> {
        let pid = self.process.pid().ok_or(WorkspaceError::Gone)?;
        let opened = self.tree.open(pid);
        if self.process.pid() != Some(pid) {
            return Err(WorkspaceError::Gone);
        }
        match opened {
            // It has ended and is not reaped yet: it has no root any more, or none with a workspace.
            Err(Errno::NOENT | Errno::SRCH) => Err(WorkspaceError::Gone),
            other => other.map_err(|error| WorkspaceError::Internal(io::Error::from(error))),
        }
    }
}

impl Tree {
    fn open(&self, pid: Pid) -> Result<OwnedFd, Errno> {
        let handle = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = match &self.root {
            Root::OfProcess => openat(CWD, format!("/proc/{pid}/root"), handle, Mode::empty())?,
            Root::Folder(path) => openat(CWD, path, handle, Mode::empty())?,
        };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        openat2(&root, &self.name, handle, Mode::empty(), resolve)
    }
}
