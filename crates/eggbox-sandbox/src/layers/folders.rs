//! A session's own folders on the host's file systems, for hosts that refuse mounts.
//!
//! What is in them was made by hostile code: nothing here follows a link, recurses, or waits for anything but the disk.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;

use crate::plan::{OwnTrees, Plan, TreesPlan};

/// Makes the folder that holds all sessions' folders, empty, and the one for the runtime; puts `runtime` there.
pub(crate) fn prepare(plan: &Plan, runtime: &[(&str, &[u8])]) -> io::Result<()> {
    if let TreesPlan::Folders { beneath, .. } = &plan.session.trees {
        // What a server that was killed has left behind.
        remove(beneath)?;
        // Others may pass through, to their own folder, but not list.
        make(beneath, 0o711)?;
    }
    make(&plan.runtime_folder, 0o711)?;
    for (name, bytes) in runtime {
        fs::write(plan.runtime_folder.join(name), bytes)?;
    }
    Ok(())
}

/// Makes the folders of a session, for `owner` alone.
pub(crate) fn make_own(trees: &OwnTrees, owner: Option<u32>) -> io::Result<()> {
    let folders = [&trees.workspace].into_iter().chain(&trees.scratch).map(|rule| rule.path.as_path());
    // None of them may be there already: an earlier session's is no place for this one.
    if let Some(slot) = trees.workspace.path.parent() {
        remove(slot)?;
        fs::DirBuilder::new().mode(0o711).create(slot)?;
    }
    for folder in folders {
        fs::DirBuilder::new().mode(0o700).create(folder)?;
        if owner.is_some() {
            chown(folder, owner, owner)?;
        }
    }
    Ok(())
}

fn make(folder: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(folder)
}

/// Removes a folder with everything in it, however deep, wide or oddly named. One that is not there is fine.
///
/// Folders within are moved up to the top before they are emptied, so that neither memory nor descriptors grow with
/// the depth.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    let top = match open_folder(CWD, &c_path(folder)?) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let mut moved: u64 = 0;
    // Each round empties the top once; it ends when a round found no folder.
    loop {
        let mut found_folder = false;
        for (name, kind) in entries(&top)? {
            if kind == FileType::Directory {
                found_folder = true;
                let inner = open_folder(&top, &name)?;
                for (inner_name, inner_kind) in entries(&inner)? {
                    if inner_kind == FileType::Directory {
                        moved += 1;
                        // Moving a folder changes its `..`, which takes the right to write to it.
                        drop(open_folder(&inner, &inner_name)?);
                        let unique = CString::new(format!(".eggbox-removing-{moved}"))?;
                        renameat(&inner, &inner_name, &top, &unique)?;
                    } else {
                        unlinkat(&inner, &inner_name, AtFlags::empty())?;
                    }
                }
                unlinkat(&top, &name, AtFlags::REMOVEDIR)?;
            } else {
                unlinkat(&top, &name, AtFlags::empty())?;
            }
        }
        if !found_folder {
            break;
        }
    }
    fs::remove_dir(folder)
}

/// Opens a folder for listing, also one that its owner has closed to himself; never a link.
fn open_folder(at: impl std::os::fd::AsFd, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(&at, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            let path_only = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let closed = openat(&at, name, path_only, Mode::empty())?;
            fs::set_permissions(
                format!("/proc/self/fd/{}", closed.as_raw_fd()),
                std::os::unix::fs::PermissionsExt::from_mode(0o700),
            )?;
            Ok(openat(&at, name, flags, Mode::empty())?)
        }
        other => {
            let folder = other?;
            // One that may be listed but not changed.
            let _ = rustix::fs::fchmod(&folder, Mode::RWXU);
            Ok(folder)
        }
    }
}

fn entries(folder: &OwnedFd) -> io::Result<Vec<(CString, FileType)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            found.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    Ok(found)
}

fn c_path(path: &Path) -> io::Result<CString> {
    use std::os::unix::ffi::OsStrExt;
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn what_is_deep_closed_linked_or_odd_goes_and_nothing_else_does() {
        let root = tempfile::tempdir().unwrap();
        let outside = root.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "kept").unwrap();
        let folder = root.path().join("slot");
        fs::create_dir(&folder).unwrap();
        symlink(&outside, folder.join("link")).unwrap();
        fs::write(folder.join("line\nbreak \u{1F95A}"), "").unwrap();
        rustix::fs::mknodat(CWD, folder.join("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let closed = folder.join("closed");
        fs::create_dir_all(closed.join("inner/most")).unwrap();
        for folder in ["inner/most", "inner"] {
            fs::set_permissions(closed.join(folder), fs::Permissions::from_mode(0o0)).unwrap();
        }
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).unwrap();
        let mut deep = open_folder(CWD, &c_path(&folder).unwrap()).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&deep, "d", Mode::RWXU).unwrap();
            deep = open_folder(&deep, c"d").unwrap();
        }
        drop(deep);
        remove(&folder).unwrap();
        assert!(!folder.exists());
        assert_eq!(fs::read_to_string(outside.join("kept")).unwrap(), "kept");
        remove(&folder).unwrap();
    }
}
