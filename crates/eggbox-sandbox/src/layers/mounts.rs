//! The file systems that a nest and its sessions see.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_change, move_mount,
    open_tree, unmount,
};

use crate::plan::{FileSystemPlan, MountKind, MountPlan, Plan, RootPlan, TreesPlan};
use crate::sys;

const READ_ONLY: u64 = libc::MOUNT_ATTR_RDONLY;
const NO_SETUID: u64 = libc::MOUNT_ATTR_NOSUID;
const NO_DEVICES: u64 = libc::MOUNT_ATTR_NODEV;
const NO_EXECUTE: u64 = libc::MOUNT_ATTR_NOEXEC;

/// Folders of the host of which one surely exists, to attach the new root to before it becomes the root.
const ATTACH_AT: [&str; 4] = ["/tmp", "/mnt", "/run", "/usr"];

/// What the nest may keep in its own `/tmp` and `/dev/shm` while it imports, in bytes.
const NEST_SCRATCH_BYTES_MAX: u64 = 64 << 20;

/// Names the path that an error is about.
fn at<T>(path: &Path, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// Builds the root on a file system in memory and leaves it attached, with `runtime` in its runtime folder.
/// Returns where.
pub(crate) fn build_root(plan: &Plan, runtime: &[(&str, &[u8])]) -> io::Result<PathBuf> {
    let (runtime_folder, plan) = (&plan.runtime_folder, &plan.root);
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    // Taken before anything is covered by the new root.
    let trees = plan.mounts.iter().map(clone_tree).collect::<io::Result<Vec<OwnedFd>>>()?;
    let root = ATTACH_AT
        .into_iter()
        .map(PathBuf::from)
        .find(|folder| folder.is_dir())
        .ok_or_else(|| io::Error::other("the host has none of /tmp, /mnt, /run, /usr to attach a new root to"))?;
    mount_memory(&root, "mode=0755,size=16m")?;
    for folder in &plan.folders {
        at(folder, make_folder(&beneath(&root, folder)))?;
    }
    // Before the trees, of which some may lie beneath.
    for scratch in ["/tmp", "/dev/shm"] {
        let options = format!("mode=1777,size={NEST_SCRATCH_BYTES_MAX}");
        at(Path::new(scratch), mount_memory(&beneath(&root, Path::new(scratch)), &options))?;
    }
    show(plan, &trees, &root)?;
    let files = plan.files.iter().map(|(path, text)| (path.clone(), text.as_bytes()));
    let runtime = runtime.iter().map(|(name, bytes)| (runtime_folder.join(name), *bytes));
    for (path, bytes) in files.chain(runtime) {
        let target = beneath(&root, &path);
        at(&path, make_parent(&target).and_then(|()| fs::write(&target, bytes)))?;
    }
    // A new proc can be mounted in a user namespace only where one is in full sight (mount_namespaces(7)).
    let no_extras = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    at(
        Path::new("/proc"),
        mount("proc", beneath(&root, Path::new("/proc")), "proc", no_extras, None).map_err(Into::into),
    )?;
    Ok(root)
}

/// Attaches the trees of a plan at their paths beneath `root`, and makes its links there.
fn show(plan: &RootPlan, trees: &[OwnedFd], root: &Path) -> io::Result<()> {
    for (entry, tree) in plan.mounts.iter().zip(trees) {
        let target = beneath(root, &entry.path);
        at(&entry.path, make_mount_point(&target, entry.kind))?;
        let attached = move_mount(tree, "", CWD, &target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH);
        at(&entry.path, attached.map_err(Into::into))?;
    }
    for (path, says) in &plan.links {
        let target = beneath(root, path);
        at(path, make_parent(&target).and_then(|()| symlink(says, &target)))?;
    }
    Ok(())
}

/// Makes `root` the root of this mount namespace, read-only, and lets go of the old one.
pub(crate) fn pivot(root: &Path) -> io::Result<()> {
    rustix::process::chdir(root)?;
    // pivot_root(2), "pivot_root(".", ".")": the old root ends up on top of the new one and is detached from there.
    rustix::process::pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    let root = open_tree(CWD, "/", OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    sys::set_mount_attributes(root.as_fd(), READ_ONLY | NO_SETUID | NO_DEVICES, false)
}

/// Mounts a session's own file systems and its own /proc.
pub(crate) fn mount_own(trees: &TreesPlan, id: u32) -> io::Result<()> {
    let TreesPlan::Mounted { workspace, scratch } = trees else {
        return Err(io::Error::other("the plan has folders, not file systems"));
    };
    let no_extras = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    at(Path::new("/proc"), mount("proc", "/proc", "proc", no_extras, None).map_err(Into::into))?;
    for plan in [workspace].into_iter().chain(scratch) {
        let FileSystemPlan { path, bytes_max, files_max, mode, shown, .. } = plan;
        let covered = shown.mounts.iter().map(clone_tree).collect::<io::Result<Vec<OwnedFd>>>()?;
        let options = format!("mode={mode:o},uid={id},gid={id},size={bytes_max},nr_inodes={files_max}");
        at(path, mount_memory(path, &options))?;
        show(shown, &covered, Path::new("/"))?;
    }
    Ok(())
}

fn mount_memory(path: &Path, options: &str) -> io::Result<()> {
    let options = CString::new(options)?;
    Ok(mount("tmpfs", path, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, options.as_c_str())?)
}

/// A detached copy of a part of the host, with everything mounted below it, made harmless.
fn clone_tree(entry: &MountPlan) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = at(&entry.path, open_tree(CWD, &entry.path, flags).map_err(Into::into))?;
    let attributes = match entry.kind {
        MountKind::Folder | MountKind::File => READ_ONLY | NO_SETUID | NO_DEVICES,
        MountKind::Device => NO_SETUID | NO_EXECUTE,
    };
    at(&entry.path, sys::set_mount_attributes(tree.as_fd(), attributes, true))?;
    Ok(tree)
}

fn beneath(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn make_mount_point(target: &Path, kind: MountKind) -> io::Result<()> {
    match kind {
        MountKind::Folder => make_folder(target),
        MountKind::File | MountKind::Device => make_parent(target).and_then(|()| fs::write(target, "")),
    }
}

fn make_folder(target: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(target)
}

fn make_parent(target: &Path) -> io::Result<()> {
    target.parent().map_or(Ok(()), make_folder)
}
