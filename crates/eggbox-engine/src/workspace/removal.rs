//! The end of a file, a link or a folder. What is in a folder may be as deep, as wide and as oddly closed as code can make
//! it, and may grow meanwhile: neither memory nor descriptors grow with it, and there is an end to the time it takes.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, renameat, unlinkat};
use rustix::io::Errno;
use uuid::Uuid;

use super::error::{At, WorkspaceError};
use super::folder::{Folder, open_closed_folder};
use super::path::WorkspacePath;

/// How long a folder may take. One that is not empty then is filled as fast as it is emptied.
const REMOVAL_MAX: Duration = Duration::from_secs(30);

pub(super) fn remove(folder: &Folder, path: &WorkspacePath, recursive: bool) -> Result<(), WorkspaceError> {
    let (parent, name) = folder.parent(path)?;
    match unlinkat(&parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {}
        other => return other.at(path.as_str()),
    }
    match unlinkat(&parent, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY) if recursive => {}
        other => return other.at(path.as_str()),
    }
    let mut removal = Removal::new();
    loop {
        let top = open_closed_folder(parent.as_fd(), name).at(path.as_str())?;
        removal.empty(&top).at(path.as_str())?;
        match unlinkat(&parent, name, AtFlags::REMOVEDIR) {
            // Something has come in meanwhile.
            Err(Errno::NOTEMPTY) if Instant::now() < removal.deadline => {}
            other => return other.at(path.as_str()),
        }
    }
}

/// Removes all that is in the folder, but not the folder.
pub(super) fn empty(folder: &Folder) -> Result<(), WorkspaceError> {
    let top = folder.open_folder("")?;
    Removal::new().empty(&top).at("")
}

/// Removes the folder of that name with all that is in it.
pub(crate) fn remove_folder(parent: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    match open_closed_folder(parent, name) {
        Err(Errno::NOENT) => return Ok(()),
        other => Removal::new().empty(&other?)?,
    }
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// What one removal keeps to.
struct Removal {
    deadline: Instant,
    /// Folders that were moved, each of which needs a name of its own.
    moved: u64,
    prefix: Uuid,
}

impl Removal {
    fn new() -> Self {
        Self { deadline: Instant::now() + REMOVAL_MAX, moved: 0, prefix: Uuid::now_v7() }
    }

    /// Removes all that is in `top`. Folders within others are moved up into it first, so that one descriptor is enough
    /// for any depth. Each round goes through it once; it ends with one that found nothing.
    fn empty(&mut self, top: &OwnedFd) -> Result<(), Errno> {
        loop {
            let mut is_empty = true;
            for entry in Dir::read_from(top)? {
                let entry = entry?;
                let name = entry.file_name();
                if matches!(name.to_bytes(), b"." | b"..") {
                    continue;
                }
                is_empty = false;
                if Instant::now() > self.deadline {
                    return Err(Errno::NOTEMPTY);
                }
                match unlinkat(top, name, AtFlags::empty()) {
                    Err(Errno::ISDIR) => self.flatten(top, name)?,
                    Err(Errno::NOENT) | Ok(()) => {}
                    Err(error) => return Err(error),
                }
            }
            if is_empty {
                return Ok(());
            }
        }
    }

    /// Empties the folder `name` in `top`, but for the folders in it, which go to `top`; then removes it.
    fn flatten(&mut self, top: &OwnedFd, name: &CStr) -> Result<(), Errno> {
        let inner = match open_closed_folder(top.as_fd(), name) {
            // It is gone, or something else by now: the next round sees.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            other => other?,
        };
        for entry in Dir::read_from(&inner)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if Instant::now() > self.deadline {
                return Err(Errno::NOTEMPTY);
            }
            match unlinkat(&inner, name, AtFlags::empty()) {
                Err(Errno::ISDIR) => self.move_up(inner.as_fd(), name, top)?,
                Err(Errno::NOENT) | Ok(()) => {}
                Err(error) => return Err(error),
            }
        }
        match unlinkat(top, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOTEMPTY | Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn move_up(&mut self, folder: BorrowedFd<'_>, name: &CStr, top: &OwnedFd) -> Result<(), Errno> {
        self.moved += 1;
        let unique = format!(".eggbox-removing-{}-{}", self.prefix, self.moved);
        // Moving a folder changes its `..`, which takes the right to write to it.
        match open_closed_folder(folder, name) {
            Ok(_) => {}
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            Err(error) => return Err(error),
        }
        match renameat(folder, name, top, &*unique) {
            // Into itself: code has moved it around `top` meanwhile.
            Ok(()) | Err(Errno::NOENT | Errno::INVAL) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
