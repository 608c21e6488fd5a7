//! Who a nest and its sessions are: groups first, then gids, then uids.

use std::io;

use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// Becomes `id`, uid and gid alike and in all their forms, without supplementary groups.
/// The process has one thread.
pub(crate) fn become_id(id: u32) -> io::Result<()> {
    set_thread_groups(&[])?;
    let (gid, uid) = (Gid::from_raw(id), Uid::from_raw(id));
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}
