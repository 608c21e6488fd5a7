//! Every row of the table: its name, its unit, and the row that it is held against. A run that lacks one has failed.

/// One row.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its name in JSON.
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
    /// The ratio is this row's median to that row's.
    pub(crate) against: Option<&'static Row>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Milliseconds,
    PerSecond,
    MegabytesPerSecond,
    Mebibytes,
    PercentOfCore,
}

impl Unit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::PerSecond => "/s",
            Self::MegabytesPerSecond => "MB/s",
            Self::Mebibytes => "MiB",
            Self::PercentOfCore => "% of a core",
        }
    }
}

const fn row(key: &'static str, title: &'static str, unit: Unit, against: Option<&'static Row>) -> Row {
    Row { key, title, unit, against }
}

use Unit::{Mebibytes, MegabytesPerSecond, Milliseconds, PerSecond, PercentOfCore};

// Round trips.
pub(crate) static NO_OP: Row = row("no_op", "no-op route (GET /health)", Milliseconds, None);
pub(crate) static NO_OP_RESTED: Row = row("no_op_rested", "no-op route after a rest", Milliseconds, Some(&NO_OP));
pub(crate) static WARM: Row = row("warm", "print(x), live session", Milliseconds, Some(&NO_OP));
pub(crate) static WARM_BARE: Row = row("warm_bare", "print(x), live session, bare Python", Milliseconds, Some(&NO_OP));
pub(crate) static PING_PONG: Row =
    row("ping_pong", "print(x), CPython child on a socketpair", Milliseconds, Some(&WARM));
pub(crate) static FLASK_WARM: Row = row("flask_warm", "print(x), Flask line loop", Milliseconds, Some(&WARM));
pub(crate) static JUPYTER_WARM: Row = row("jupyter_warm", "print(x), Jupyter kernel", Milliseconds, Some(&WARM));

// New sessions, to the first result.
pub(crate) static NEW: Row = row("new", "new session, pool full", Milliseconds, Some(&NO_OP));
pub(crate) static NEW_BARE: Row = row("new_bare", "new session, pool full, bare Python", Milliseconds, Some(&NO_OP));
pub(crate) static FORK: Row = row("fork", "plain fork of the same nest", Milliseconds, Some(&NEW));
pub(crate) static NEW_UNPARKED: Row = row("new_unparked", "new session, pool empty", Milliseconds, Some(&FORK));
pub(crate) static NEW_UNPARKED_BARE: Row =
    row("new_unparked_bare", "new session, pool empty, bare Python", Milliseconds, Some(&NEW_UNPARKED));
pub(crate) static PYTHON: Row = row("python", "python3 -c, nothing imported", Milliseconds, Some(&NEW));
pub(crate) static FLASK_NEW: Row = row("flask_new", "new session, Flask line loop", Milliseconds, Some(&NEW));
pub(crate) static JUPYTER_NEW: Row = row("jupyter_new", "new Jupyter kernel", Milliseconds, Some(&NEW));

// What data work begins with.
pub(crate) static GROUPBY: Row = row("groupby", "new session, first code a groupby", Milliseconds, Some(&NEW));
pub(crate) static GROUPBY_COLD: Row =
    row("groupby_cold", "python3 -c, imports and groupby", Milliseconds, Some(&GROUPBY));
pub(crate) static PLOT: Row = row("plot", "new session, first code a plot to PNG", Milliseconds, Some(&NEW));
pub(crate) static PLOT_COLD: Row = row("plot_cold", "python3 -c, imports and plot", Milliseconds, Some(&PLOT));

// Sessions as values.
pub(crate) static FORKED: Row = row("forked", "fork of a session, to its first result", Milliseconds, Some(&NEW));
pub(crate) static CHECKPOINT: Row = row("checkpoint", "checkpoint of a session", Milliseconds, Some(&NEW));
pub(crate) static CHECKPOINT_PAUSE: Row =
    row("checkpoint_pause", "print(x) in a session while a checkpoint is taken", Milliseconds, Some(&WARM));
pub(crate) static CHECKPOINT_STILL: Row =
    row("checkpoint_still", "how long its session stands still for it", Milliseconds, Some(&WARM));
pub(crate) static CHECKPOINT_SIZE: Row = row("checkpoint_size", "what a checkpoint takes", Mebibytes, None);
pub(crate) static RESTORE: Row = row("restore", "going back to a checkpoint", Milliseconds, Some(&NEW));
pub(crate) static REWIND: Row = row("rewind", "execution that is undone, to its answer", Milliseconds, Some(&NEW));
pub(crate) static SLEEP: Row = row("sleep", "hibernation of a session", Milliseconds, Some(&NEW));
pub(crate) static WAKE: Row = row("wake", "hibernated session, to its first result", Milliseconds, Some(&NEW));
pub(crate) static LARGE_FORK: Row =
    row("large_fork", "fork of a session with 1 GiB, to its first result", Milliseconds, Some(&FORKED));
pub(crate) static LARGE_PAUSE: Row =
    row("large_pause", "print(x) in such a session while it is forked", Milliseconds, Some(&WARM));
pub(crate) static SLEEPER_CREATE: Row = row("sleeper_create", "making and hibernating sessions", PerSecond, None);
pub(crate) static CROWD_WAKE: Row = row("crowd_wake", "one of many hibernated, first result", Milliseconds, None);
pub(crate) static SLEEPER_MEMORY: Row = row("sleeper_memory", "hibernated session, all its memory", Mebibytes, None);

// Many at once.
pub(crate) static BURST: Row = row("burst", "burst of new sessions, the last", Milliseconds, Some(&NEW));
pub(crate) static BURST_BARE: Row =
    row("burst_bare", "burst of new sessions, bare Python", Milliseconds, Some(&NEW_BARE));
pub(crate) static FLASK_BURST: Row =
    row("flask_burst", "burst of new sessions, Flask line loop", Milliseconds, Some(&BURST));
pub(crate) static PYTHON_CYCLE: Row = row("python_cycle", "python3 -c by 4 clients", PerSecond, None);
pub(crate) static CYCLE: Row = row("cycle", "create, run, end by 4 clients", PerSecond, Some(&PYTHON_CYCLE));
pub(crate) static CYCLE_BARE: Row = row("cycle_bare", "create, run, end, bare Python", PerSecond, Some(&PYTHON_CYCLE));
pub(crate) static NO_OP_RATE: Row = row("no_op_rate", "no-op route by 16 clients", PerSecond, None);
pub(crate) static WARM_RATE: Row = row("warm_rate", "print(x) in 16 sessions", PerSecond, Some(&NO_OP_RATE));
pub(crate) static FLASK_RATE: Row = row("flask_rate", "print(x) in 16, Flask line loop", PerSecond, Some(&WARM_RATE));

// Output.
pub(crate) static PIPE: Row = row("pipe", "10 MB of a CPython child by a pipe", MegabytesPerSecond, None);
pub(crate) static OUTPUT: Row = row("output", "10 MB of output", MegabytesPerSecond, Some(&PIPE));
pub(crate) static FLASK_OUTPUT: Row =
    row("flask_output", "10 MB of output, Flask line loop", MegabytesPerSecond, Some(&OUTPUT));

// Idle sessions.
pub(crate) static MEMORY: Row = row("memory", "idle session, all its memory", Mebibytes, None);
pub(crate) static FLASK_MEMORY: Row =
    row("flask_memory", "Python of the line loop, private memory", Mebibytes, Some(&MEMORY));
pub(crate) static JUPYTER_MEMORY: Row =
    row("jupyter_memory", "Jupyter kernel, private memory", Mebibytes, Some(&MEMORY));
pub(crate) static CROWD_CREATE: Row = row("crowd_create", "making the idle sessions", PerSecond, None);
pub(crate) static EMPTY_NEW: Row = row("empty_new", "new session, empty server", Milliseconds, None);
pub(crate) static CROWD_NEW: Row = row("crowd_new", "new session beside the idle ones", Milliseconds, Some(&EMPTY_NEW));
pub(crate) static EMPTY_WARM: Row = row("empty_warm", "print(x), empty server", Milliseconds, None);
pub(crate) static CROWD_WARM: Row = row("crowd_warm", "print(x) beside the idle ones", Milliseconds, Some(&EMPTY_WARM));
pub(crate) static EMPTY_CPU: Row = row("empty_cpu", "CPU of an empty server, idle", PercentOfCore, None);
pub(crate) static CROWD_CPU: Row = row("crowd_cpu", "CPU of the server with the idle ones", PercentOfCore, None);

/// In the order of the table.
pub(crate) static ROWS: &[&Row] = &[
    &NO_OP,
    &NO_OP_RESTED,
    &PING_PONG,
    &WARM,
    &WARM_BARE,
    &FLASK_WARM,
    &JUPYTER_WARM,
    &NEW,
    &NEW_BARE,
    &FORK,
    &NEW_UNPARKED,
    &NEW_UNPARKED_BARE,
    &PYTHON,
    &FLASK_NEW,
    &JUPYTER_NEW,
    &GROUPBY,
    &GROUPBY_COLD,
    &PLOT,
    &PLOT_COLD,
    &FORKED,
    &CHECKPOINT,
    &CHECKPOINT_STILL,
    &CHECKPOINT_PAUSE,
    &CHECKPOINT_SIZE,
    &RESTORE,
    &REWIND,
    &SLEEP,
    &WAKE,
    &LARGE_FORK,
    &LARGE_PAUSE,
    &SLEEPER_CREATE,
    &CROWD_WAKE,
    &SLEEPER_MEMORY,
    &BURST,
    &BURST_BARE,
    &FLASK_BURST,
    &PYTHON_CYCLE,
    &CYCLE,
    &CYCLE_BARE,
    &NO_OP_RATE,
    &WARM_RATE,
    &FLASK_RATE,
    &PIPE,
    &OUTPUT,
    &FLASK_OUTPUT,
    &MEMORY,
    &FLASK_MEMORY,
    &JUPYTER_MEMORY,
    &CROWD_CREATE,
    &EMPTY_NEW,
    &CROWD_NEW,
    &EMPTY_WARM,
    &CROWD_WARM,
    &EMPTY_CPU,
    &CROWD_CPU,
];
