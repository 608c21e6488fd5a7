//! What one session may use: the operator's limits, or less of them where whoever made it has asked for less.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::EngineConfig;

const MIB: u64 = 1024 * 1024;
const DAY: f64 = 86_400.0;

/// The least and the most that each limit may be, whoever sets it.
pub mod ranges {
    use super::{DAY, MIB};

    pub const MEMORY_BYTES: [u64; 2] = [32 * MIB, 1024 * 1024 * MIB];
    pub const PROCESSES: [u64; 2] = [2, 32_768];
    pub const OUTPUT_BYTES: [u64; 2] = [1024, 1024 * MIB];
    pub const WALL_SECONDS: [f64; 2] = [0.01, DAY];
    pub const CPU_SECONDS: [f64; 2] = [0.01, DAY];
    pub const IDLE_SECONDS: [f64; 2] = [1.0, 30.0 * DAY];
    pub const LIFE_SECONDS: [f64; 2] = [1.0, 30.0 * DAY];
}

/// The limits that hold for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// Wall time of an execution.
    pub wall_max: Duration,
    /// CPU time of an execution, of all its processes together; none for no limit beside wall time.
    pub cpu_max: Option<Duration>,
    /// Memory of all its processes, files in memory included.
    pub memory_bytes_max: u64,
    /// Processes and threads.
    pub processes_max: u32,
    /// Bytes kept of each of stdout and stderr of an execution.
    pub output_bytes_max: usize,
    /// It ends when nobody has used it for this long.
    pub idle_max: Duration,
    /// It ends when it is this old, as soon as nothing runs in it.
    pub life_max: Duration,
}

/// What a session is to have less of than the operator lets it; none where that is to stay. More than the operator's has no
/// effect, also where the operator's becomes less while the session lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedLimits {
    pub wall_max: Option<Duration>,
    pub cpu_max: Option<Duration>,
    pub memory_bytes_max: Option<u64>,
    pub processes_max: Option<u32>,
    pub output_bytes_max: Option<usize>,
    pub idle_max: Option<Duration>,
    pub life_max: Option<Duration>,
}

impl AskedLimits {
    /// The lesser of both.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        fn least<T: Ord + Copy>(one: Option<T>, other: Option<T>) -> Option<T> {
            match (one, other) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            }
        }
        Self {
            wall_max: least(self.wall_max, other.wall_max),
            cpu_max: least(self.cpu_max, other.cpu_max),
            memory_bytes_max: least(self.memory_bytes_max, other.memory_bytes_max),
            processes_max: least(self.processes_max, other.processes_max),
            output_bytes_max: least(self.output_bytes_max, other.output_bytes_max),
            idle_max: least(self.idle_max, other.idle_max),
            life_max: least(self.life_max, other.life_max),
        }
    }
}

impl SessionLimits {
    /// The operator's.
    pub(crate) fn of(EngineConfig { limits, sandbox_limits, .. }: &EngineConfig) -> Self {
        Self {
            wall_max: limits.wall_max,
            cpu_max: limits.cpu_max,
            memory_bytes_max: sandbox_limits.memory_bytes_max,
            processes_max: sandbox_limits.processes_max,
            output_bytes_max: limits.output_bytes_max,
            idle_max: limits.idle_max,
            life_max: limits.life_max,
        }
    }

    /// What is left of them where less was asked for.
    #[must_use]
    pub fn lowered(self, asked: &AskedLimits) -> Self {
        fn lower<T: Ord + Copy>(maximum: T, asked: Option<T>) -> T {
            asked.map_or(maximum, |asked| asked.min(maximum))
        }
        let AskedLimits { wall_max, cpu_max, memory_bytes_max, processes_max, output_bytes_max, idle_max, life_max } =
            *asked;
        Self {
            wall_max: lower(self.wall_max, wall_max),
            cpu_max: match (self.cpu_max, cpu_max) {
                (Some(maximum), asked) => Some(lower(maximum, asked)),
                (None, asked) => asked,
            },
            memory_bytes_max: lower(self.memory_bytes_max, memory_bytes_max),
            processes_max: lower(self.processes_max, processes_max),
            output_bytes_max: lower(self.output_bytes_max, output_bytes_max),
            idle_max: lower(self.idle_max, idle_max),
            life_max: lower(self.life_max, life_max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATORS: SessionLimits = SessionLimits {
        wall_max: Duration::from_secs(30),
        cpu_max: None,
        memory_bytes_max: 512,
        processes_max: 64,
        output_bytes_max: 1024,
        idle_max: Duration::from_secs(1800),
        life_max: Duration::from_secs(86_400),
    };

    #[test]
    fn nothing_asked_leaves_everything_as_it_is() {
        assert_eq!(OPERATORS.lowered(&AskedLimits::default()), OPERATORS);
    }

    #[test]
    fn less_is_had_and_more_is_not() {
        let all = |number: u32| {
            let span = Some(Duration::from_secs(number.into()));
            AskedLimits {
                wall_max: span,
                cpu_max: span,
                memory_bytes_max: Some(number.into()),
                processes_max: Some(number),
                output_bytes_max: Some(number as usize),
                idle_max: span,
                life_max: span,
            }
        };
        let span = Duration::from_secs(7);
        let lowered = SessionLimits {
            wall_max: span,
            cpu_max: Some(span),
            memory_bytes_max: 7,
            processes_max: 7,
            output_bytes_max: 7,
            idle_max: span,
            life_max: span,
        };
        assert_eq!(OPERATORS.lowered(&all(7)), lowered);
        let none = AskedLimits::default();
        for (one, other) in [(all(7), all(9)), (all(9), all(7)), (all(7), none), (none, all(7))] {
            assert_eq!(one.and(&other), all(7));
        }
        assert_eq!(none.and(&none), none);
        assert_eq!(lowered.lowered(&all(u32::MAX)), lowered);
    }
}
