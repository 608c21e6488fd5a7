//! Another path for what there is.

use std::os::fd::AsFd;

use rustix::fs::{RenameFlags, renameat, renameat_with};
use rustix::io::Errno;

use super::entry::Entry;
use super::error::{At, WorkspaceError};
use super::folder::{Folder, look};
use super::path::WorkspacePath;

pub(super) fn rename(
    folder: &Folder,
    from: &WorkspacePath,
    to: &WorkspacePath,
    replace: bool,
) -> Result<Entry, WorkspaceError> {
    let (from_folder, from_name) = folder.parent(from)?;
    look(from_folder.as_fd(), from_name).at(from.as_str())?;
    // Before its folders are made in the one that moves.
    if to.as_str().strip_prefix(from.as_str()).is_some_and(|rest| rest.starts_with('/')) {
        return Err(WorkspaceError::IntoItself { path: from.to_string() });
    }
    let (to_folder, to_name) = folder.make_parent(to)?;
    let flags = if replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
    let renamed = renameat_with(&from_folder, from_name, &to_folder, to_name, flags).or_else(|error| match error {
        // Not every file system knows the flag.
        Errno::INVAL if !replace => match look(to_folder.as_fd(), to_name) {
            Ok(_) => Err(Errno::EXIST),
            Err(_) => renameat(&from_folder, from_name, &to_folder, to_name),
        },
        error => Err(error),
    });
    renamed.map_err(|error| match error {
        Errno::INVAL => WorkspaceError::IntoItself { path: from.to_string() },
        // It has gone in the last moment.
        Errno::NOENT => WorkspaceError::NotFound { path: from.to_string() },
        other => WorkspaceError::at(to.as_str(), other),
    })?;
    let stat = look(to_folder.as_fd(), to_name).at(to.as_str())?;
    Ok(Entry::new(to.as_str().as_bytes(), &stat))
}
