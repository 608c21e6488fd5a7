//! Whether a session computes: how much CPU time it has used of late.

use std::time::Duration;

use crate::clock::Moment;

/// What a session may have used of late without being taken for one that computes: most executions are over long before, and
/// nobody notices a part of a processor for less.
const BUSY_CPU: Duration = Duration::from_millis(100);
/// What is forgotten of it with time: a tenth of a processor can be used all along.
const FORGOTTEN_PART: u32 = 10;
/// The most that is held against it, so that whoever rests is like new after two seconds.
const LEVEL_MAX: Duration = Duration::from_millis(250);

/// A bucket that CPU time flows into, and out of with time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    level: Duration,
    /// CPU time that the session had used then; none before it was first looked at.
    cpu: Option<Duration>,
    at: Moment,
}

impl Load {
    pub(crate) fn new() -> Self {
        Self { level: Duration::ZERO, cpu: None, at: Moment::now() }
    }

    /// Takes in what the session has used in all, now.
    pub(crate) fn look(&mut self, cpu: Duration, now: Moment) {
        let used = self.cpu.map_or(Duration::ZERO, |before| cpu.saturating_sub(before));
        let forgotten = now.since(self.at) / FORGOTTEN_PART;
        let level = (self.level + used).saturating_sub(forgotten).min(LEVEL_MAX);
        *self = Self { level, cpu: Some(cpu), at: now };
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.left().is_zero()
    }

    /// What it may use at once before it is.
    pub(crate) fn left(&self) -> Duration {
        BUSY_CPU.saturating_sub(self.level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it is busy after each of these, of milliseconds that pass and of CPU time in them.
    fn busy(steps: &[(u64, u64)]) -> Vec<bool> {
        let (mut load, mut now, mut cpu) = (Load::new(), Moment::now(), Duration::from_secs(9));
        load.look(cpu, now);
        let step = |(pass, used): &(u64, u64)| {
            now = now.after(Duration::from_millis(*pass));
            cpu += Duration::from_millis(*used);
            load.look(cpu, now);
            load.is_busy()
        };
        steps.iter().map(step).collect()
    }

    #[test]
    fn a_session_is_busy_from_a_tenth_of_a_second_on_until_it_has_rested() {
        assert_eq!(busy(&[(50, 50), (70, 70), (10_000, 10_000)]), [false, true, true]);
        assert_eq!(busy(&[(10_000, 10_000), (1000, 0), (1000, 0)]), [true, true, false]);
    }

    #[test]
    fn many_short_executions_are_as_one_long_and_few_are_none() {
        assert_eq!(busy(&[(90, 85); 3]), [false, true, true]);
        assert_eq!(busy(&[(500, 40); 50]), [false; 50]);
    }
}
