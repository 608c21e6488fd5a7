//! What has happened since the server started, and what is there now, in numbers. Counting takes no lock; what the numbers
//! are called where they are shown is not known here.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::histogram::{Distribution, Histogram};

use crate::outcome::{Death, Outcome, TimeLimit, Usage};

/// Every [`Death::kind`].
pub const DEATHS: [&str; 14] = [
    "exited",
    "signal",
    "out_of_memory",
    "too_many_processes",
    "timeout",
    "cpu_limit",
    "protocol",
    "nest",
    "unobserved",
    "shutdown",
    "deleted",
    "restarted",
    "idle",
    "life",
];

/// Every [`Outcome::kind`] of code that was run.
pub const OUTCOMES: [&str; 16] = [
    "ok",
    "exception",
    "denied",
    "interrupted",
    "timeout",
    "cpu_limit",
    "out_of_memory",
    "exited",
    "signal",
    "too_many_processes",
    "protocol",
    "nest",
    "unobserved",
    "shutdown",
    "deleted",
    "restarted",
];

/// The counters of an engine.
#[derive(Debug)]
pub struct Counts {
    executions: Tally,
    /// From the request to the turn of its code.
    waits: Histogram,
    walls: Histogram,
    running: AtomicUsize,
    sessions_started: AtomicU64,
    sessions_inherited: AtomicU64,
    sessions_slept: AtomicU64,
    sessions_woken: AtomicU64,
    sessions_rewound: AtomicU64,
    pauses: Histogram,
    sessions_ended: Tally,
    nest_restarts: AtomicU64,
}

/// Sessions and executions as they are now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Sessions that somebody has asked for and that are not ready yet.
    pub sessions_starting: usize,
    pub sessions_idle: usize,
    pub sessions_running: usize,
    /// Those that are on the disk.
    pub sessions_asleep: usize,
    /// How many checkpoints there are, sessions that sleep among them, and how many bytes of the disk they take.
    pub checkpoints: usize,
    pub checkpoint_bytes: u64,
    /// Those that have ended without anybody having been told.
    pub sessions_ended: usize,
    /// Requests for executions or new sessions that were taken on and do not run yet.
    pub waiting: usize,
    /// Memory of the sessions that live and are somebody's; none where the host counts none of it.
    pub sessions_memory_bytes: Option<u64>,
}

/// An execution that runs, for as long as this is there.
#[derive(Debug)]
pub(crate) struct Running<'a>(&'a AtomicUsize);

/// Counts by name.
#[derive(Debug)]
struct Tally {
    names: &'static [&'static str],
    counts: Vec<AtomicU64>,
}

impl Tally {
    fn new(names: &'static [&'static str]) -> Self {
        Self { names, counts: names.iter().map(|_| AtomicU64::new(0)).collect() }
    }

    fn count(&self, name: &'static str) {
        let index = self.names.iter().position(|known| *known == name);
        if let Some(count) = index.and_then(|index| self.counts.get(index)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn read(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.names.iter().copied().zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            executions: Tally::new(&OUTCOMES),
            waits: Histogram::default(),
            walls: Histogram::default(),
            running: AtomicUsize::new(0),
            sessions_started: AtomicU64::new(0),
            sessions_inherited: AtomicU64::new(0),
            sessions_slept: AtomicU64::new(0),
            sessions_woken: AtomicU64::new(0),
            sessions_rewound: AtomicU64::new(0),
            pauses: Histogram::default(),
            sessions_ended: Tally::new(&DEATHS),
            nest_restarts: AtomicU64::new(0),
        }
    }
}

impl Counts {
    /// Code has waited for its turn, and has it.
    pub(crate) fn waited(&self, wait: Duration) {
        self.waits.observe(wait);
    }

    pub(crate) fn begin(&self) -> Running<'_> {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(&self.running)
    }

    pub(crate) fn executed(&self, outcome: &Outcome, usage: Usage) {
        self.executions.count(outcome.kind());
        self.walls.observe(usage.wall);
    }

    pub(crate) fn session_started(&self) {
        self.sessions_started.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn session_inherited(&self) {
        self.sessions_inherited.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn session_slept(&self) {
        self.sessions_slept.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn session_woken(&self) {
        self.sessions_woken.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn session_rewound(&self) {
        self.sessions_rewound.fetch_add(1, Ordering::Relaxed);
    }

    /// A session that goes on has stood still for an image of it.
    pub(crate) fn stood_still(&self, pause: Duration) {
        self.pauses.observe(pause);
    }

    pub(crate) fn session_ended(&self, death: &Death) {
        self.sessions_ended.count(death.kind());
    }

    pub(crate) fn nest_restarted(&self) {
        self.nest_restarts.fetch_add(1, Ordering::Relaxed);
    }

    /// Executions that are over, by [`Outcome::kind`].
    pub fn executions(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.executions.read()
    }

    /// How long executions waited for their turn, from when they were asked for.
    #[must_use]
    pub fn execution_waits(&self) -> Distribution {
        self.waits.read()
    }

    /// How long executions took.
    #[must_use]
    pub fn execution_walls(&self) -> Distribution {
        self.walls.read()
    }

    /// How long sessions that went on stood still for forks and checkpoints.
    #[must_use]
    pub fn pauses(&self) -> Distribution {
        self.pauses.read()
    }

    /// Executions that run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Sessions that this server has begun for somebody.
    #[must_use]
    pub fn sessions_started(&self) -> u64 {
        self.sessions_started.load(Ordering::Relaxed)
    }

    /// Sessions that were begun by servers before this one.
    #[must_use]
    pub fn sessions_inherited(&self) -> u64 {
        self.sessions_inherited.load(Ordering::Relaxed)
    }

    /// How often a session has gone to sleep.
    #[must_use]
    pub fn sessions_slept(&self) -> u64 {
        self.sessions_slept.load(Ordering::Relaxed)
    }

    /// How often one was woken.
    #[must_use]
    pub fn sessions_woken(&self) -> u64 {
        self.sessions_woken.load(Ordering::Relaxed)
    }

    /// How often one was given back what it was before an execution that had ended its interpreter.
    #[must_use]
    pub fn sessions_rewound(&self) -> u64 {
        self.sessions_rewound.load(Ordering::Relaxed)
    }

    /// Sessions of either kind that have ended, by [`Death::kind`].
    pub fn sessions_ended(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.sessions_ended.read()
    }

    /// Nests that were started in the place of one that had died.
    #[must_use]
    pub fn nest_restarts(&self) -> u64 {
        self.nest_restarts.load(Ordering::Relaxed)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Death {
    /// Its name, which never changes and says nothing of any one session.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            // 128 and the number of a signal, of which 31 are not real-time ones.
            Self::Exited { status: 129..=159 } | Self::Signal { .. } => "signal",
            Self::Exited { .. } => "exited",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::TooManyProcesses { .. } => "too_many_processes",
            Self::Timeout { limit: TimeLimit::Wall(_) } => "timeout",
            Self::Timeout { limit: TimeLimit::Cpu(_) } => "cpu_limit",
            Self::Protocol => "protocol",
            Self::Nest => "nest",
            Self::Unobserved => "unobserved",
            Self::Shutdown => "shutdown",
            Self::Deleted => "deleted",
            Self::Restarted => "restarted",
            Self::Idle { .. } => "idle",
            Self::Life { .. } => "life",
        }
    }
}

impl Outcome {
    /// Its name, which never changes; `gone` where the code was not run.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Exception => "exception",
            Self::Denied => "denied",
            Self::Interrupted => "interrupted",
            Self::Timeout { limit: TimeLimit::Wall(_), .. } => "timeout",
            Self::Timeout { limit: TimeLimit::Cpu(_), .. } => "cpu_limit",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::Died(death) | Self::Rewound(death) => death.kind(),
            Self::Gone(_) => "gone",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_counted() {
        let (limit, cpu) = (TimeLimit::Wall(Duration::ZERO), TimeLimit::Cpu(Duration::ZERO));
        let deaths = [
            Death::Exited { status: 1 },
            Death::Signal { number: 9 },
            Death::OutOfMemory { memory_bytes_max: 1 },
            Death::TooManyProcesses { processes_max: 1 },
            Death::Timeout { limit },
            Death::Timeout { limit: cpu },
            Death::Protocol,
            Death::Nest,
            Death::Unobserved,
            Death::Shutdown,
            Death::Deleted,
            Death::Restarted,
            Death::Idle { idle_max: Duration::ZERO },
            Death::Life { life_max: Duration::ZERO },
        ];
        let counts = Counts::default();
        deaths.iter().for_each(|death| counts.session_ended(death));
        assert!(counts.sessions_ended().all(|(_, count)| count == 1), "{counts:?}");
        assert_eq!(counts.sessions_ended().count(), deaths.len());
        // Nothing ends for its age or idleness while code runs in it.
        let died = deaths.into_iter().map(|death| Outcome::Died(death).kind());
        let others =
            [Outcome::Ok, Outcome::Exception, Outcome::Denied, Outcome::Interrupted].map(|outcome| outcome.kind());
        for kind in died.chain(others).filter(|kind| !["idle", "life"].contains(kind)) {
            assert!(OUTCOMES.contains(&kind), "{kind}");
        }
    }

    #[test]
    fn an_exit_status_of_a_signal_is_one() {
        let kinds = [0, 128, 129, 159, 160, 255].map(|status| Death::Exited { status }.kind());
        assert_eq!(kinds, ["exited", "exited", "signal", "signal", "exited", "exited"]);
    }

    #[test]
    fn what_runs_is_counted_while_it_does() {
        let counts = Counts::default();
        let running = [counts.begin(), counts.begin()];
        assert_eq!(counts.running(), 2);
        drop(running);
        assert_eq!(counts.running(), 0);
    }
}
