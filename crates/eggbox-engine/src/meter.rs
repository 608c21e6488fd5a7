//! What a session uses and what it has had too much of, seen from outside: by its control group, or by the watchdog where
//! there are none.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use eggbox_sandbox::cgroup::{Group, Share};

use crate::outcome::Death;
use crate::watchdog::{Bounds, Watched};

/// The counters of one session.
#[derive(Debug)]
pub(crate) enum Meter {
    Group(Group),
    Watched(Arc<Watched>),
}

impl Meter {
    /// CPU time of all its processes since its slot was first used.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        match self {
            Self::Group(group) => group.cpu(),
            Self::Watched(watched) => watched.cpu(),
        }
    }

    /// The memory it has, in bytes, of late.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        match self {
            Self::Group(group) => group.memory_bytes(),
            Self::Watched(watched) => watched.memory_bytes(),
        }
    }

    /// Has it ended with more than this, where nothing but the server's looking sets a limit to its tree.
    pub(crate) fn bound(&self, bounds: Bounds) {
        if let Self::Watched(watched) = self {
            watched.bound(bounds);
        }
    }

    /// The most memory it has held at once, in bytes.
    pub(crate) fn memory_bytes_peak(&self) -> Option<u64> {
        match self {
            Self::Group(group) => group.memory_bytes_peak(),
            Self::Watched(watched) => watched.memory_bytes_peak(),
        }
    }

    /// How many of its processes were ended for want of memory.
    pub(crate) fn out_of_memory_kills(&self) -> io::Result<u64> {
        match self {
            Self::Group(group) => group.out_of_memory_kills(),
            Self::Watched(_) => Ok(0),
        }
    }

    /// Sets what it gets of the processors; without groups each process has its part.
    pub(crate) fn set_share(&self, share: Share) -> io::Result<()> {
        match self {
            Self::Group(group) => group.set_share(share),
            Self::Watched(_) => Ok(()),
        }
    }

    /// Why its first process was killed, where that was for what the session used. `kills_before` is what
    /// [`Self::out_of_memory_kills`] said when it was all right.
    pub(crate) fn cause_of_kill(&self, kills_before: u64, memory_bytes_max: u64) -> Option<Death> {
        match self {
            Self::Group(group) => {
                let is_more = group.out_of_memory_kills().is_ok_and(|kills| kills > kills_before);
                is_more.then_some(Death::OutOfMemory { memory_bytes_max })
            }
            Self::Watched(watched) => watched.cause_of_kill(),
        }
    }
}
