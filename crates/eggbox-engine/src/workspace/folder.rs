//! Names beneath a workspace, made into descriptors: the only place where one is opened. No link is followed on the way,
//! and nothing but regular files and folders is opened at its end, so that no FIFO or device is touched or waited for.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, chmod, fstat, mkdirat, openat, openat2, statat,
};
use rustix::io::Errno;
use rustix::path::Arg;

use super::error::{At, WorkspaceError};
use super::path::WorkspacePath;

const RESOLVE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// Beside those that say what for; what they prevent cannot happen to a regular file, and need not be relied on.
const CAREFUL: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// A handle that opens nothing.
const HANDLE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The permissions of folders that are made.
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o755);

/// A handle on a workspace.
#[derive(Debug)]
pub(super) struct Folder {
    root: OwnedFd,
}

impl Folder {
    pub(super) fn new(root: OwnedFd) -> Self {
        Self { root }
    }

    pub(super) fn duplicate(&self) -> Result<Self, Errno> {
        Ok(Self { root: rustix::io::fcntl_dupfd_cloexec(&self.root, 0)? })
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// A handle on what is at `path`, which is no link.
    pub(super) fn handle(&self, path: impl Arg) -> Result<OwnedFd, Errno> {
        beneath(self.root(), path, HANDLE)
    }

    /// The folder at `path`, to be listed.
    pub(super) fn open_folder(&self, path: &str) -> Result<OwnedFd, WorkspaceError> {
        open_folder(self.root(), named(path)).at(path)
    }

    /// The regular file at `path`, to be read.
    pub(super) fn open_regular(&self, path: &str) -> Result<(File, Stat), WorkspaceError> {
        let opened = open_regular(self.root(), path).at(path)?;
        opened.ok_or_else(|| WorkspaceError::NotRegular { path: path.to_owned() })
    }

    /// A handle on the folder that `path` is in, and its name there.
    pub(super) fn parent<'a>(&self, path: &'a WorkspacePath) -> Result<(OwnedFd, &'a str), WorkspaceError> {
        let (parent, name) = path.split();
        let handle = beneath(self.root(), named(parent), HANDLE | OFlags::DIRECTORY).at(path.as_str())?;
        Ok((handle, name))
    }

    /// The same, with the folders made that are missing on the way.
    pub(super) fn make_parent<'a>(&self, path: &'a WorkspacePath) -> Result<(OwnedFd, &'a str), WorkspaceError> {
        match self.parent(path) {
            Err(WorkspaceError::NotFound { .. }) => {}
            other => return other,
        }
        let (parent, name) = path.split();
        Ok((make_folders(self.root(), parent).at(path.as_str())?, name))
    }
}

/// The workspace itself is the empty path of clients, and the dot of the kernel.
fn named(path: &str) -> &str {
    if path.is_empty() { "." } else { path }
}

fn beneath(folder: BorrowedFd<'_>, path: impl Arg, flags: OFlags) -> Result<OwnedFd, Errno> {
    openat2(folder, path, flags, Mode::empty(), RESOLVE)
}

/// A folder, to be listed.
pub(super) fn open_folder(folder: BorrowedFd<'_>, path: impl Arg) -> Result<OwnedFd, Errno> {
    beneath(folder, path, OFlags::RDONLY | OFlags::DIRECTORY | CAREFUL)
}

/// A regular file, to be read; none where it is something else.
pub(super) fn open_regular(folder: BorrowedFd<'_>, path: impl Arg) -> Result<Option<(File, Stat)>, Errno> {
    let handle = beneath(folder, path, HANDLE)?;
    if FileType::from_raw_mode(fstat(&handle)?.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let file = reopen(&handle, OFlags::RDONLY)?;
    let stat = fstat(&file)?;
    Ok(Some((file.into(), stat)))
}

/// Opens what a handle is of: that and nothing else, whatever its name has become.
fn reopen(handle: &OwnedFd, flags: OFlags) -> Result<OwnedFd, Errno> {
    // The last link is the server's own, and has to be followed.
    openat(CWD, own_path(handle).as_c_str(), flags | CAREFUL.difference(OFlags::NOFOLLOW), Mode::empty())
}

/// Where the server finds its own descriptor.
pub(super) fn own_path(descriptor: &impl AsFd) -> CString {
    let path = format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd());
    // There is no zero in it.
    CString::new(path).unwrap_or_default()
}

/// Opens the regular file at `path` to be read, also where it is closed to its owner; none where it is something else.
pub(super) fn open_closed(folder: BorrowedFd<'_>, path: impl Arg) -> Result<Option<File>, Errno> {
    let handle = beneath(folder, path, HANDLE)?;
    let stat = fstat(&handle)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let mode = Mode::from_raw_mode(stat.st_mode);
    let is_closed = !mode.contains(Mode::RUSR);
    if is_closed {
        chmod(own_path(&handle).as_c_str(), mode | Mode::RUSR)?;
    }
    let opened = reopen(&handle, OFlags::RDONLY);
    if is_closed {
        chmod(own_path(&handle).as_c_str(), mode)?;
    }
    opened.map(|file| Some(file.into()))
}

/// A folder that may be closed to its owner, to be listed and changed. It stays open to him.
pub(super) fn open_closed_folder(folder: BorrowedFd<'_>, path: impl Arg) -> Result<OwnedFd, Errno> {
    let handle = beneath(folder, path, HANDLE | OFlags::DIRECTORY)?;
    let mode = Mode::from_raw_mode(fstat(&handle)?.st_mode);
    if !mode.contains(Mode::RWXU) {
        chmod(own_path(&handle).as_c_str(), mode | Mode::RWXU)?;
    }
    reopen(&handle, OFlags::RDONLY | OFlags::DIRECTORY)
}

/// What stands at `name` in a folder itself, be it a link.
pub(super) fn look(folder: BorrowedFd<'_>, name: impl Arg) -> Result<Stat, Errno> {
    statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
}

fn make_folders(root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    let mut folder = beneath(root, ".", HANDLE | OFlags::DIRECTORY)?;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        match mkdirat(&folder, name, FOLDER_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        folder = beneath(folder.as_fd(), name, HANDLE | OFlags::DIRECTORY)?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{RenameFlags, open, renameat_with};

    use super::*;

    #[test]
    fn a_folder_that_changes_places_with_a_link_leads_nowhere_else() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("file"), "outside").unwrap();
        let inside = tempfile::tempdir().unwrap();
        fs::create_dir(inside.path().join("folder")).unwrap();
        fs::write(inside.path().join("folder/file"), "inside").unwrap();
        symlink(outside.path(), inside.path().join("link")).unwrap();
        let handle = open(inside.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let folder = Folder::new(handle);
        let new: WorkspacePath = "folder/new/file".to_owned().try_into().unwrap();
        let is_over = AtomicBool::new(false);
        let (mut read, mut refused) = (0, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    renameat_with(folder.root(), "folder", folder.root(), "link", RenameFlags::EXCHANGE).unwrap();
                }
            });
            while read < 2000 || refused < 2000 {
                match folder.open_regular("folder/file") {
                    Ok((mut file, _)) => {
                        let mut text = String::new();
                        file.read_to_string(&mut text).unwrap();
                        assert_eq!(text, "inside");
                        read += 1;
                    }
                    Err(WorkspaceError::NotRegular { .. }) => refused += 1,
                    Err(error) => panic!("{error:?}"),
                }
                let _ = folder.make_parent(&new);
                let _ = open_closed_folder(folder.root(), "folder");
            }
            is_over.store(true, Ordering::Relaxed);
        });
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    }
}
