//! What a run is told, and how much of everything it does.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Measures eggbox and what it is held against, in one run, and prints one table
#[derive(Debug, Parser)]
#[command(name = "load")]
pub(crate) struct Options {
    /// The server
    #[arg(long, default_value = "target/release/eggbox")]
    pub(crate) eggbox: PathBuf,

    /// The interpreter of the data environment
    #[arg(long, default_value = ".venv/bin/python3")]
    pub(crate) python: PathBuf,

    /// An interpreter for sessions without packages
    #[arg(long, default_value = "/usr/bin/python3")]
    pub(crate) bare_python: PathBuf,

    /// The interpreter that has Flask and Jupyter
    #[arg(long, default_value = ".venv-bench/bin/python3")]
    pub(crate) yardsticks_python: PathBuf,

    /// The folder of the Python halves
    #[arg(long, default_value = "bench")]
    pub(crate) bench: PathBuf,

    /// Where results.json and results.md go; nowhere by default
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,

    /// Only to see that everything works: no time means anything
    #[arg(long)]
    pub(crate) quick: bool,

    /// Idle sessions in the largest crowd
    #[arg(long)]
    pub(crate) idle_sessions: Option<usize>,

    /// Hibernated sessions at once, as far as there is room on the disk
    #[arg(long)]
    pub(crate) sleepers: Option<usize>,
}

/// How often, how many and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    /// Of round trips and new sessions.
    pub(crate) rounds: usize,
    /// Round trips in each of them.
    pub(crate) warm_per_round: usize,
    /// What takes a second comes once in so many rounds.
    pub(crate) slow_every: usize,
    pub(crate) first_rounds: usize,
    pub(crate) bursts: usize,
    pub(crate) burst_sessions: usize,
    /// Of everything that is counted per second.
    pub(crate) slices: usize,
    pub(crate) slice: Duration,
    pub(crate) outputs: usize,
    pub(crate) idle_sessions: usize,
    pub(crate) sleepers: usize,
    /// Of those with a GiB, and of those that are woken among others.
    pub(crate) large_rounds: usize,
    /// In so many equal parts they are made.
    pub(crate) growth_steps: usize,
    pub(crate) growth_rounds: usize,
    pub(crate) idle: Duration,
}

impl Options {
    pub(crate) fn counts(&self) -> Counts {
        if self.quick {
            Counts {
                rounds: 3,
                warm_per_round: 2,
                slow_every: 3,
                first_rounds: 1,
                bursts: 1,
                burst_sessions: 10,
                slices: 1,
                slice: Duration::from_millis(300),
                outputs: 1,
                idle_sessions: self.idle_sessions.unwrap_or(20),
                sleepers: self.sleepers.unwrap_or(10),
                large_rounds: 2,
                growth_steps: 2,
                growth_rounds: 2,
                idle: Duration::from_millis(500),
            }
        } else {
            Counts {
                rounds: 250,
                warm_per_round: 10,
                slow_every: 10,
                first_rounds: 60,
                bursts: 5,
                burst_sessions: 100,
                slices: 3,
                slice: Duration::from_secs(2),
                outputs: 10,
                idle_sessions: self.idle_sessions.unwrap_or(5000),
                sleepers: self.sleepers.unwrap_or(10_000),
                large_rounds: 10,
                growth_steps: 5,
                growth_rounds: 40,
                idle: Duration::from_secs(10),
            }
        }
    }
}
