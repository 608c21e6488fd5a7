//! What a session leaves where no namespace takes it along: processes and folders.
//!
//! A session adopts the orphans of its own tree, and the nest those of sessions that have ended. So every child of the
//! nest that is not one of its own forks was left behind.

use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::processes;

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

/// The children of this process. By looking through all there are: the list of them in /proc is not in every kernel.
fn children() -> io::Result<Vec<Pid>> {
    let own = Some(rustix::process::getpid());
    Ok(processes::all()?.into_iter().filter(|process| process.parent == own).map(|process| process.pid).collect())
}
