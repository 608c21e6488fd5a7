//! The audit hook that gives a refused deletion the seed's words. Courtesy, never the wall: Landlock refuses, by
//! whatever route, and this only speaks first where Python itself is about to ask the kernel.

use std::os::fd::RawFd;
use std::path::Path;
use std::sync::OnceLock;

use crate::plan::{FileAccess, SessionPlan};
use crate::sys;

/// What the exception says after its errno.
pub(super) const MESSAGE: &std::ffi::CStr = c"Permission denied: filesystem access restricted";

/// The devices of the session's file systems where deleting is free.
static FREE_DEVICES: OnceLock<Vec<u64>> = OnceLock::new();

/// Starts to refuse, in a session that is locked down.
pub(super) fn start(plan: &SessionPlan) {
    let free = plan.landlock_rules.iter().filter(|rule| rule.access == FileAccess::Full);
    let devices = free.filter_map(|rule| sys::inside::device_of(libc::AT_FDCWD, &rule.path)).collect();
    // Set once: a session starts once.
    let _ = FREE_DEVICES.set(devices);
}

/// Whether taking the entry `path` (relative to the folder `base`, or to the working directory where that is
/// negative) out of its folder will be refused. A folder that does not exist is the kernel's to report.
pub(super) fn refuses(base: RawFd, path: &Path) -> bool {
    let Some(free) = FREE_DEVICES.get() else { return false };
    // Of `a/b/` and `a/b/.` the folder is `a`; of `b` it is where we are.
    let folder = match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => path,
    };
    sys::inside::device_of(base, folder).is_some_and(|device| !free.contains(&device))
}
