//! Adds up what sessions use where no control group does: a thread of its own that looks at the host's processes several
//! times a second and ends a session that has more than it may.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

use eggbox_sandbox::processes::{self, Process};
use rustix::process::Pid;
use rustix::time::{ClockId, clock_gettime};

use crate::outcome::Death;
use crate::session_limits::SessionLimits;
use crate::session_process::kill;

/// The pause between two looks; a look that takes long is followed by a longer one, so that looking takes no more than a
/// tenth of a processor, as long as that leaves it of use.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(1);

/// What sessions may use before they are ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) memory_bytes_max: u64,
    pub(crate) processes_max: u32,
}

impl From<SessionLimits> for Bounds {
    fn from(SessionLimits { memory_bytes_max, processes_max, .. }: SessionLimits) -> Self {
        Self { memory_bytes_max, processes_max }
    }
}

/// The thread, which sleeps while nobody is watched; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    bounds: Bounds,
    sessions: Mutex<Vec<Weak<Watched>>>,
    /// Told when there is somebody to watch, or nobody any more for good.
    changed: Condvar,
    is_over: AtomicBool,
}

/// One session that is watched, for as long as somebody holds it.
#[derive(Debug)]
pub(crate) struct Watched {
    pid: Pid,
    pidfd: Arc<OwnedFd>,
    cpu_nanos: AtomicU64,
    memory_bytes: AtomicU64,
    memory_bytes_peak: AtomicU64,
    had_too_much_memory: AtomicBool,
    had_too_many_processes: AtomicBool,
    bounds: Mutex<Bounds>,
}

impl Watchdog {
    /// # Errors
    /// Where no thread can be started.
    pub(crate) fn start(bounds: Bounds) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            bounds,
            sessions: Mutex::default(),
            changed: Condvar::new(),
            is_over: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || of_thread.look_again_and_again())?;
        Ok(Self { shared })
    }

    /// Watches the session whose first process this is.
    pub(crate) fn watch(&self, pid: Pid, pidfd: Arc<OwnedFd>) -> Arc<Watched> {
        let watched = Arc::new(Watched {
            pid,
            pidfd,
            cpu_nanos: AtomicU64::new(0),
            memory_bytes: AtomicU64::new(0),
            memory_bytes_peak: AtomicU64::new(0),
            had_too_much_memory: AtomicBool::new(false),
            had_too_many_processes: AtomicBool::new(false),
            bounds: Mutex::new(self.shared.bounds),
        });
        self.shared.sessions.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&watched));
        self.shared.changed.notify_one();
        watched
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.shared.changed.notify_one();
    }
}

impl Watched {
    pub(crate) fn cpu(&self) -> Option<Duration> {
        Some(Duration::from_nanos(self.cpu_nanos.load(Ordering::Relaxed)))
    }

    /// As the last look found it; none before the first.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        Some(self.memory_bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }

    pub(crate) fn memory_bytes_peak(&self) -> Option<u64> {
        Some(self.memory_bytes_peak.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }

    /// Sets what it may use.
    pub(crate) fn bound(&self, bounds: Bounds) {
        *self.bounds.lock().unwrap_or_else(PoisonError::into_inner) = bounds;
    }

    fn bounds(&self) -> Bounds {
        *self.bounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn cause_of_kill(&self) -> Option<Death> {
        let Bounds { memory_bytes_max, processes_max } = self.bounds();
        if self.had_too_much_memory.load(Ordering::Relaxed) {
            return Some(Death::OutOfMemory { memory_bytes_max });
        }
        self.had_too_many_processes.load(Ordering::Relaxed).then_some(Death::TooManyProcesses { processes_max })
    }

    /// Takes in what was found of its processes, and ends it where that is too much.
    fn judge(&self, tree: &[&Process]) {
        let Bounds { memory_bytes_max, processes_max } = self.bounds();
        let cpu: Duration = tree.iter().map(|process| process.cpu).sum();
        let nanos = u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX);
        // What has ended and was reaped by nobody is not counted any more: it never goes back.
        self.cpu_nanos.fetch_max(nanos, Ordering::Relaxed);
        let threads: u64 = tree.iter().map(|process| process.threads).sum();
        if threads > processes_max.into() {
            self.had_too_many_processes.store(true, Ordering::Relaxed);
            kill(self.pidfd.as_fd());
        }
        // Resident pages count once for every process that shares them. Only where that is too much, what is shared is
        // looked into, which takes the kernel a walk through every page table.
        let mut bytes: u64 = tree.iter().map(|process| process.resident_bytes).sum();
        if bytes > memory_bytes_max {
            let own = |process: &&Process| match processes::own_bytes(process.pid) {
                Ok(bytes) => bytes,
                // What it does not let itself be asked for is taken for its own.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => process.resident_bytes,
                // It has ended meanwhile.
                Err(_) => 0,
            };
            bytes = tree.iter().map(own).sum();
        }
        self.memory_bytes.store(bytes, Ordering::Relaxed);
        self.memory_bytes_peak.fetch_max(bytes, Ordering::Relaxed);
        if bytes > memory_bytes_max {
            self.had_too_much_memory.store(true, Ordering::Relaxed);
            kill(self.pidfd.as_fd());
        }
    }
}

impl Shared {
    fn look_again_and_again(&self) {
        while !self.is_over.load(Ordering::Relaxed) {
            let began = own_cpu();
            self.look();
            std::thread::sleep((own_cpu().saturating_sub(began) * 9).clamp(LOOK_PAUSE, LOOK_PAUSE_MAX));
        }
    }

    fn look(&self) {
        let sessions: Vec<Arc<Watched>> = {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.retain(|session| session.strong_count() > 0);
            while sessions.is_empty() && !self.is_over.load(Ordering::Relaxed) {
                sessions = self.changed.wait(sessions).unwrap_or_else(PoisonError::into_inner);
            }
            sessions.iter().filter_map(Weak::upgrade).collect()
        };
        let Ok(all) = processes::all() else { return };
        let trees = trees(&all, &sessions.iter().map(|session| session.pid).collect::<Vec<_>>());
        let mut judged: Vec<_> = sessions.iter().map(|session| (session, trees.get(&session.pid))).collect();
        // The more there is, the longer it takes to look into: nobody shall hide behind another's.
        judged
            .sort_by_key(|(_, tree)| tree.iter().copied().flatten().map(|process| process.resident_bytes).sum::<u64>());
        for (session, tree) in judged {
            session.judge(tree.map(Vec::as_slice).unwrap_or_default());
        }
    }
}

/// CPU time of this thread.
fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// The processes of each root: itself, its children, theirs.
fn trees<'a>(all: &'a [Process], roots: &[Pid]) -> HashMap<Pid, Vec<&'a Process>> {
    let mut children: HashMap<Option<Pid>, Vec<&Process>> = HashMap::new();
    for process in all {
        children.entry(process.parent).or_default().push(process);
    }
    let by_pid: HashMap<Pid, &Process> = all.iter().map(|process| (process.pid, process)).collect();
    let mut trees = HashMap::new();
    for root in roots {
        let mut tree: Vec<&Process> = by_pid.get(root).copied().into_iter().collect();
        let mut next = 0;
        while let Some(process) = tree.get(next).copied() {
            tree.extend(children.get(&Some(process.pid)).into_iter().flatten());
            next += 1;
        }
        trees.insert(*root, tree);
    }
    trees
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_the_root_and_all_that_descend_from_it() {
        let pid = |number| Pid::from_raw(number).unwrap();
        let process = |number, parent| Process {
            pid: pid(number),
            parent: Pid::from_raw(parent),
            threads: 1,
            cpu: Duration::ZERO,
            resident_bytes: 0,
        };
        let all = [process(1, 0), process(10, 1), process(20, 1), process(11, 10), process(12, 11), process(21, 20)];
        let trees = trees(&all, &[pid(10), pid(20), pid(99)]);
        let pids = |root| {
            let mut pids: Vec<_> = trees[&pid(root)].iter().map(|process| process.pid.as_raw_nonzero().get()).collect();
            pids.sort_unstable();
            pids
        };
        assert_eq!((pids(10), pids(20), pids(99)), (vec![10, 11, 12], vec![20, 21], vec![]));
    }
}
