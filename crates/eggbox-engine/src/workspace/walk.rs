//! A tree of files, gone through once: every folder before and after what is in it. How deep, how many and how large its
//! parts may be is bounded.

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::LazyLock;

use rustix::fs::{Dir, Mode, Stat, fchmod};
use rustix::io::Errno;

use super::entry::{EntryKind, bytes};
use super::error::{At, TreeLimit, WorkspaceError};
use super::folder::{look, open_closed_folder, open_folder};
use super::path::PATH_DEPTH_MAX;

/// Files, folders and whatever else in a tree that is gone through; their names are in memory.
pub(super) const TREE_ENTRIES_MAX: usize = 250_000;

/// What a walk comes by. Paths are from the top of the tree on.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) path: &'a [u8],
    pub(super) stat: &'a Stat,
    /// Where it is, and its name there; links are looked at there, not followed.
    pub(super) folder: BorrowedFd<'a>,
    pub(super) name: &'a CString,
    pub(super) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// All that is in it comes next.
    Folder,
    /// All that is in it has come.
    FolderEnd,
    File,
    Link,
}

/// What becomes of folders and files that their modes close to the session's user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    LeftOut,
    /// They are opened while they are read.
    Opened,
}

/// How far a walk goes.
pub(super) struct Reach<'a> {
    pub(super) closed: Closed,
    /// The sizes of all files together may be that.
    pub(super) bytes_max: u64,
    /// Paths that are passed over, with all that is in them.
    pub(super) left_out: &'a HashSet<Vec<u8>>,
}

impl Reach<'_> {
    pub(super) fn all(closed: Closed, bytes_max: u64) -> Self {
        static NOTHING: LazyLock<HashSet<Vec<u8>>> = LazyLock::new(HashSet::new);
        Self { closed, bytes_max, left_out: &NOTHING }
    }
}

/// A folder that is being gone through.
struct Level {
    folder: OwnedFd,
    names: std::vec::IntoIter<CString>,
    /// Its own name and state, but for the top.
    own: Option<(CString, Stat)>,
    /// How long its path is.
    path_bytes: usize,
    /// That it had before it was opened, where it was closed.
    mode: Option<Mode>,
}

impl Drop for Level {
    fn drop(&mut self) {
        if let Some(mode) = self.mode {
            // Whoever has removed it meanwhile does not need it.
            let _ = fchmod(&self.folder, mode);
        }
    }
}

/// Goes through the tree beneath `top`, in the order of the bytes of names. FIFOs, sockets and devices are passed over, as is
/// what is gone when its turn comes.
pub(super) fn walk(
    top: OwnedFd,
    reach: &Reach<'_>,
    mut visit: impl FnMut(Step<'_>) -> Result<(), WorkspaceError>,
) -> Result<(), WorkspaceError> {
    let (mut entries, mut bytes_seen, mut path) = (0, 0_u64, Vec::new());
    let names = names(&top, &mut entries)?;
    let mut levels = vec![Level { folder: top, names, own: None, path_bytes: 0, mode: None }];
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.names.next() else {
            let own = levels.pop().and_then(|mut level| level.own.take());
            if let (Some((name, stat)), Some(parent)) = (own, levels.last()) {
                let folder = parent.folder.as_fd();
                visit(Step { path: &path, stat: &stat, folder, name: &name, what: What::FolderEnd })?;
                path.truncate(parent.path_bytes);
            }
            continue;
        };
        path.truncate(level.path_bytes);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.to_bytes());
        if reach.left_out.contains(&path) {
            continue;
        }
        let folder = level.folder.as_fd();
        let Some(stat) = present(look(folder, &*name)).at(&text(&path))? else { continue };
        let what = match EntryKind::of(&stat) {
            EntryKind::File => What::File,
            EntryKind::Link => What::Link,
            EntryKind::Folder => What::Folder,
            EntryKind::Other => continue,
        };
        if what == What::File {
            bytes_seen = bytes_seen.saturating_add(bytes(&stat));
            if bytes_seen > reach.bytes_max {
                return Err(WorkspaceError::TreeTooLarge(TreeLimit::Bytes { bytes_max: reach.bytes_max }));
            }
        }
        if what != What::Folder {
            visit(Step { path: &path, stat: &stat, folder, name: &name, what })?;
            continue;
        }
        let Some(inner) = open(folder, &name, reach.closed).at(&text(&path))? else {
            // Nobody may look into it.
            for what in [What::Folder, What::FolderEnd] {
                visit(Step { path: &path, stat: &stat, folder, name: &name, what })?;
            }
            continue;
        };
        visit(Step { path: &path, stat: &stat, folder, name: &name, what })?;
        let before = Mode::from_raw_mode(stat.st_mode);
        let mode = (reach.closed == Closed::Opened && !before.contains(Mode::RWXU)).then_some(before);
        let own = Some((name, stat));
        let mut inner = Level { folder: inner, names: Vec::new().into_iter(), own, path_bytes: path.len(), mode };
        inner.names = self::names(&inner.folder, &mut entries)?;
        if inner.names.len() > 0 && levels.len() >= PATH_DEPTH_MAX {
            return Err(WorkspaceError::TreeTooLarge(TreeLimit::Depth { depth_max: PATH_DEPTH_MAX }));
        }
        levels.push(inner);
    }
    Ok(())
}

/// A path for people.
pub(super) fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// None where it is gone, or has become something else.
pub(super) fn present<T>(found: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(None),
        Err(error) => Err(error),
    }
}

fn open(folder: BorrowedFd<'_>, name: &CString, closed: Closed) -> Result<Option<OwnedFd>, Errno> {
    match closed {
        Closed::Opened => present(open_closed_folder(folder, &**name)),
        Closed::LeftOut => match open_folder(folder, &**name) {
            Err(Errno::ACCESS) => Ok(None),
            other => present(other),
        },
    }
}

fn names(folder: &OwnedFd, entries: &mut usize) -> Result<std::vec::IntoIter<CString>, WorkspaceError> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder).at("")? {
        let entry = entry.at("")?;
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        *entries += 1;
        if *entries > TREE_ENTRIES_MAX {
            return Err(WorkspaceError::TreeTooLarge(TreeLimit::Entries { entries_max: TREE_ENTRIES_MAX }));
        }
        names.push(entry.file_name().to_owned());
    }
    names.sort_unstable();
    Ok(names.into_iter())
}
