//! Where a session's files are, and how the server gets hold of them: by nothing that the session names.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use eggbox_sandbox::plan::{FileSystemPlan, Plan, RootPlan, TreesPlan};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2};
use rustix::io::Errno;
use rustix::process::Pid;

use super::error::WorkspaceError;
use super::folder::Folder;
use crate::ending::Ending;

/// What the plan says of it.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    root: Root,
    /// The name of the workspace in there.
    name: PathBuf,
    /// The others that code can write to, which stand in for `/tmp` and its like.
    scratch: Vec<Scratch>,
    /// The uid and gid of the session on the host; none where it has the server's.
    pub(super) owner: Option<u32>,
}

#[derive(Debug, Clone)]
struct Scratch {
    name: PathBuf,
    shown: Shown,
}

/// Paths beneath a tree at which the sandbox shows something, as code did not put it there: the host's files where they lie
/// beneath `/tmp`. Without any, nothing is in it but what code has put there.
pub(super) type Shown = Arc<HashSet<Vec<u8>>>;

/// The folder that has the workspace in it, and that the session cannot change.
#[derive(Debug, Clone)]
enum Root {
    /// That of the session's first process, which has no right to change its root or mounts.
    OfProcess,
    /// A folder of the server's.
    Folder(PathBuf),
}

/// All files that code can write to: those of a session that lives, or copies of them in a folder of the server's, each tree in
/// one that is called by its number.
#[derive(Debug, Clone)]
pub(crate) enum Files {
    OfSession(Place),
    Kept(PathBuf),
}

/// The same, opened.
#[derive(Debug)]
pub(super) enum Trees {
    OfSession(Vec<(Folder, Shown)>),
    Kept(OwnedFd),
}

const HANDLE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The workspace of a session that lives.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) tree: Tree,
    pub(crate) process: Arc<Ending>,
    /// Counts what is done to it from outside.
    pub(crate) changes: Arc<AtomicU64>,
    /// How many may do something to it.
    pub(crate) users: Arc<AtomicUsize>,
}

/// Somebody who may do something to a workspace, for as long as this is there.
#[derive(Debug)]
pub(super) struct User(Arc<AtomicUsize>);

impl User {
    pub(super) fn of(place: &Place) -> Self {
        place.users.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&place.users))
    }
}

impl Clone for User {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Files {
    pub(super) fn owner(&self) -> Option<u32> {
        match self {
            Self::OfSession(place) => place.tree.owner,
            Self::Kept(_) => None,
        }
    }

    pub(super) fn open(&self) -> Result<Trees, WorkspaceError> {
        let failed = |error: Errno| WorkspaceError::Internal(io::Error::from(error));
        Ok(match self {
            Self::OfSession(place) => {
                let folder = |(folder, shown)| (Folder::new(folder), shown);
                Trees::OfSession(place.open_all()?.into_iter().map(folder).collect())
            }
            Self::Kept(path) => Trees::Kept(openat(CWD, path, HANDLE, Mode::empty()).map_err(failed)?),
        })
    }
}

impl Trees {
    /// That of this number, and what is shown in it; none beyond the last.
    pub(super) fn get(&self, number: usize) -> Result<Option<(Folder, Shown)>, WorkspaceError> {
        match self {
            Self::OfSession(trees) => {
                let Some((folder, shown)) = trees.get(number) else { return Ok(None) };
                let folder = folder.duplicate().map_err(|error| WorkspaceError::Internal(error.into()))?;
                Ok(Some((folder, Arc::clone(shown))))
            }
            Self::Kept(folder) => match open_in(folder, Path::new(&number.to_string())) {
                Ok(tree) => Ok(Some((Folder::new(tree), Shown::default()))),
                Err(Errno::NOENT) => Ok(None),
                Err(error) => Err(WorkspaceError::Internal(error.into())),
            },
        }
    }

    /// The same, made where it is not there and can be.
    pub(super) fn get_or_make(&self, number: usize) -> Result<(Folder, Shown), WorkspaceError> {
        if let Self::Kept(folder) = self {
            match mkdirat(folder, number.to_string(), Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(WorkspaceError::Internal(error.into())),
            }
        }
        let absent = || WorkspaceError::Internal(io::Error::other("a session has fewer trees than another"));
        self.get(number)?.ok_or_else(absent)
    }
}

impl Tree {
    /// That of the session of `slot`.
    pub(crate) fn of(plan: &Plan, slot: u32) -> Self {
        let path = plan.session.trees.of(slot).workspace.path;
        let owner = plan.outside_id(slot);
        let beneath_root = |path: &Path| path.strip_prefix("/").unwrap_or(path).to_owned();
        match &plan.session.trees {
            TreesPlan::Mounted { scratch, .. } => {
                let tree = |tree: &FileSystemPlan| Scratch { name: beneath_root(&tree.path), shown: shown(tree) };
                let scratch = scratch.iter().map(tree).collect();
                Self { root: Root::OfProcess, name: beneath_root(&path), scratch, owner }
            }
            TreesPlan::Folders { .. } => {
                let name = path.file_name().map(PathBuf::from).unwrap_or_default();
                let folder = path.parent().map(PathBuf::from).unwrap_or_default();
                let scratch = vec![Scratch { name: "tmp".into(), shown: Shown::default() }];
                Self { root: Root::Folder(folder), name, scratch, owner }
            }
        }
    }
}

impl Tree {
    /// Which of them has what a session calls so, counted as [`Trees::get`] does, and where in there.
    pub(super) fn find<'a>(&self, path: &'a Path) -> Option<(usize, &'a Path)> {
        let path = path.strip_prefix("/").ok()?;
        self.names().enumerate().find_map(|(number, name)| Some((number, path.strip_prefix(name).ok()?)))
    }

    fn names(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.name).chain(self.scratch.iter().map(|scratch| &scratch.name))
    }
}

impl Place {
    /// A handle on the workspace. The session's first process was there before and after, so that neither its number nor its
    /// slot can have been another's.
    pub(super) fn open(&self) -> Result<OwnedFd, WorkspaceError> {
        self.opened(|pid| self.tree.open(pid))
    }

    /// The same on all its trees, the workspace first, each with what is shown in it.
    fn open_all(&self) -> Result<Vec<(OwnedFd, Shown)>, WorkspaceError> {
        self.opened(|pid| self.tree.open_all(pid))
    }

    fn opened<T>(&self, open: impl FnOnce(Pid) -> Result<T, Errno>) -> Result<T, WorkspaceError> {
        let pid = self.process.pid().ok_or(WorkspaceError::Gone)?;
        let opened = open(pid);
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
        open_in(&self.root(pid)?, &self.name)
    }

    fn open_all(&self, pid: Pid) -> Result<Vec<(OwnedFd, Shown)>, Errno> {
        let root = self.root(pid)?;
        let workspace = std::iter::once((&self.name, Shown::default()));
        let scratch = self.scratch.iter().map(|Scratch { name, shown }| (name, Arc::clone(shown)));
        workspace.chain(scratch).map(|(name, shown)| Ok((open_in(&root, name)?, shown))).collect()
    }

    fn root(&self, pid: Pid) -> Result<OwnedFd, Errno> {
        match &self.root {
            Root::OfProcess => openat(CWD, format!("/proc/{pid}/root"), HANDLE, Mode::empty()),
            Root::Folder(path) => openat(CWD, path, HANDLE, Mode::empty()),
        }
    }
}

fn shown(tree: &FileSystemPlan) -> Shown {
    let RootPlan { mounts, links, folders, files } = &tree.shown;
    let made = links.iter().map(|(at, _)| at).chain(folders).chain(files.iter().map(|(at, _)| at));
    let all = mounts.iter().map(|mount| &mount.path).chain(made);
    let beneath = all.filter_map(|path| path.strip_prefix(&tree.path).ok());
    Arc::new(beneath.map(|path| path.as_os_str().as_bytes().to_vec()).collect())
}

fn open_in(root: &OwnedFd, name: &Path) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(root, name, HANDLE, Mode::empty(), resolve)
}
