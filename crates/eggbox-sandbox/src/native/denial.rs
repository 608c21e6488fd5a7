//! The audit hook that gives a refused deletion the seed's words. Courtesy, never the wall: Landlock refuses, by
//! whatever route, and this only speaks first where Python itself is about to ask the kernel.

use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::plan::{FileAccess, OwnTrees};
use crate::sys;

/// What the exception says after its errno.
pub(super) const MESSAGE: &std::ffi::CStr = c"Permission denied: filesystem access restricted";

/// The trees where deleting is free.
static FREE_TREES: OnceLock<Vec<PathBuf>> = OnceLock::new();

/// Starts to refuse, in a session that is locked down.
pub(super) fn start(trees: &OwnTrees) {
    let all = [&trees.workspace].into_iter().chain(&trees.scratch);
    let free = all.filter(|rule| rule.access == FileAccess::Full).map(|rule| rule.path.clone()).collect();
    // Set once: a session starts once.
    let _ = FREE_TREES.set(free);
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
    sys::inside::real_path_of(base, folder).is_some_and(|real| !free.iter().any(|tree| real.starts_with(tree)))
}
