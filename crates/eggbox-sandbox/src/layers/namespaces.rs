//! Which namespaces a nest and its sessions live in, and how ids are mapped into them.

use std::fs;
use std::io;

use crate::plan::IdentityPlan;
#[cfg(feature = "native")]
use crate::plan::{SessionNamespaces, SessionPlan};
use crate::sys;

const MOUNT: u64 = libc::CLONE_NEWNS as u64;
const PID: u64 = libc::CLONE_NEWPID as u64;
const IPC: u64 = libc::CLONE_NEWIPC as u64;
const UTS: u64 = libc::CLONE_NEWUTS as u64;
const NETWORK: u64 = libc::CLONE_NEWNET as u64;
const USER: u64 = libc::CLONE_NEWUSER as u64;
const CGROUP: u64 = libc::CLONE_NEWCGROUP as u64;

#[cfg(feature = "native")]
/// The flags of a session's fork.
pub(crate) fn of_session(plan: &SessionPlan) -> u64 {
    let own_user = if plan.has_own_user_namespace { USER } else { 0 };
    match plan.namespaces {
        SessionNamespaces::Own => own_user | MOUNT | PID | IPC | UTS | NETWORK,
        SessionNamespaces::Shared => 0,
    }
}

/// For a privileged nest: its next child is pid 1.
pub(crate) fn enter_pid() -> io::Result<()> {
    sys::unshare(PID)
}

/// For a privileged nest, before its root is built. The process that maps its ids stays with the host's mounts.
pub(crate) fn enter_mount() -> io::Result<()> {
    sys::unshare(MOUNT)
}

/// For a privileged nest, after its root is built: the user namespace owns all others but the pid namespace, and its
/// copy of the mounts is locked. Ids are mapped from outside.
pub(crate) fn enter_user() -> io::Result<()> {
    sys::unshare(USER | MOUNT | IPC | UTS | NETWORK)
}

/// For an unprivileged nest: everything at once, with the caller as the only id.
pub(crate) fn enter_all(identity: &IdentityPlan) -> io::Result<()> {
    sys::unshare(USER | MOUNT | PID | IPC | UTS | NETWORK)?;
    // user_namespaces(7): a gid map is only to be had without root if groups can never be dropped.
    fs::write("/proc/self/setgroups", "deny")?;
    map_ids("self", identity)
}

/// For a session that is in its control group: that becomes the root of those it sees.
pub(crate) fn enter_cgroup() -> io::Result<()> {
    sys::unshare(CGROUP)
}

/// For a session in a user namespace of its own: `id` stays what it is, and is the only one. Groups cannot be set there,
/// as they cannot in the nest's (user_namespaces(7)).
pub(crate) fn map_own_id(id: u32) -> io::Result<()> {
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/self/{map}"), format!("{id} {id} 1\n"))?;
    }
    Ok(())
}

/// Writes the id maps of the process that /proc knows as `process`.
pub(crate) fn map_ids(process: &str, identity: &IdentityPlan) -> io::Result<()> {
    let IdentityPlan { nest_id, outside_uid, outside_gid, count } = identity;
    fs::write(format!("/proc/{process}/uid_map"), format!("{nest_id} {outside_uid} {count}\n"))?;
    fs::write(format!("/proc/{process}/gid_map"), format!("{nest_id} {outside_gid} {count}\n"))
}
