//! What a session leaves where no namespace takes it along: processes and folders.
//!
//! A session adopts the orphans of its own tree, and the nest those of sessions that have ended. So every child of the
//! nest that is not one of its own forks was left behind.

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// Ends every child of this process that is not `known`, and reaps those that have ended. Returns whether there are some
/// left: what is ended leaves its own children to this process, and hostile ones fork faster than they are found.
pub(super) fn end_orphans(known: &[Pid]) -> io::Result<bool> {
    let mut are_left = false;
    for orphan in children()?.into_iter().filter(|pid| !known.contains(pid)) {
        are_left = true;
        // It may have ended by itself, and is reaped all the same.
        let _ = kill_process(orphan, Signal::KILL);
        match waitid(WaitId::Pid(orphan), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(_) | Err(Errno::CHILD | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(are_left)
}

/// The children of this process. By looking through /proc: the list of them there is not in every kernel.
fn children() -> io::Result<Vec<Pid>> {
    let own = std::process::id().to_string();
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else { continue };
        // A process that has gone meanwhile is nobody's child.
        let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else { continue };
        // proc_pid_stat(5): "pid (name) state ppid ...", where the name may hold anything, brackets included.
        let after_name = stat.iter().rposition(|&byte| byte == b')').map(|at| &stat[at + 1..]).unwrap_or_default();
        let parent = after_name.split(|&byte| byte == b' ').filter(|field| !field.is_empty()).nth(1);
        if parent == Some(own.as_bytes()) {
            children.push(pid);
        }
    }
    Ok(children)
}
