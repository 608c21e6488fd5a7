//! The audit hook that gives a refused deletion the seed's words. Courtesy, never the wall: Landlock refuses, by
//! whatever route, and this only speaks first where Python itself is about to ask the kernel.

use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::plan::{FileAccess, OwnTrees};
use crate::sys;

/// What the exception says after its errno.
pub(super) const MESSAGE: &std::ffi::CStr = c"Permission denied: filesystem access restricted";

/// The trees where deleting is free, but for the workspace.
static FREE_TREES: OnceLock<Vec<PathBuf>> = OnceLock::new();
static WORKSPACE: OnceLock<PathBuf> = OnceLock::new();
/// Deleting is free in the workspace, too.
static IS_WORKSPACE_FREE: AtomicBool = AtomicBool::new(false);

/// Starts to refuse, in a session that is locked down.
pub(super) fn start(trees: &OwnTrees) {
    let is_free = |access| access == FileAccess::Full;
    let free = trees.scratch.iter().filter(|rule| is_free(rule.access)).map(|rule| rule.path.clone()).collect();
    set_workspace_free(is_free(trees.workspace.access));
    // Set once: a session starts once.
    let _ = WORKSPACE.set(trees.workspace.path.clone());
    let _ = FREE_TREES.set(free);
}

/// Whether it is.
pub(super) fn is_workspace_free() -> bool {
    IS_WORKSPACE_FREE.load(Ordering::Relaxed)
}

/// For a process that has the memory of one behind another wall.
pub(super) fn set_workspace_free(is_free: bool) {
    IS_WORKSPACE_FREE.store(is_free, Ordering::Relaxed);
}

/// Whether taking the entry `path` (relative to the folder `base`, or to the working directory where that is
/// negative) out of its folder will be refused. A folder that does not exist is the kernel's to report.
pub(super) fn refuses(base: RawFd, path: &Path) -> bool {
    let Some(free) = FREE_TREES.get() else { return false };
    // Of `a/b/` and `a/b/.` the folder is `a`; of `b` it is where we are.
    let folder = match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => path,
    };
    let own = WORKSPACE.get().filter(|_| is_workspace_free());
    let is_free = |real: &Path| free.iter().chain(own).any(|tree| real.starts_with(tree));
    sys::inside::real_path_of(base, folder).is_some_and(|real| !is_free(&real))
}
