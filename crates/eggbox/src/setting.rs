//! The settings that are numbers: name, unit, default and range of each, checked the same way wherever the value
//! comes from. A value outside its range is refused, never clamped, and no value means "no limit".

use std::time::Duration;

use eggbox_engine::ranges;

/// A whole number of something.
#[derive(Debug)]
pub(crate) struct Count {
    pub(crate) key: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) default: u64,
    pub(crate) least: u64,
    pub(crate) most: u64,
}

/// A time span, in seconds with or without a fraction.
#[derive(Debug)]
pub(crate) struct Seconds {
    pub(crate) key: &'static str,
    pub(crate) default: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

const fn count(key: &'static str, unit: &'static str, default: u64, [least, most]: [u64; 2]) -> Count {
    Count { key, unit, default, least, most }
}

const fn seconds(key: &'static str, default: f64, [least, most]: [f64; 2]) -> Seconds {
    Seconds { key, default, least, most }
}

const MIB: u64 = 1024 * 1024;
const TIB: u64 = 1024 * 1024 * MIB;
const DAY: f64 = 86_400.0;

pub(crate) const BODY_BYTES_MAX: Count = count("body_bytes_max", "bytes", 8 * MIB, [1024, 1024 * MIB]);
/// At least `body_bytes_max`, also where only that is given.
pub(crate) const BODIES_BYTES_MAX: Count = count("bodies_bytes_max", "bytes", 256 * MIB, [1024, TIB]);
pub(crate) const CONNECTIONS_MAX: Count = count("connections_max", "connections", 1024, [1, 65_536]);
pub(crate) const SESSIONS_MAX: Count = count("sessions_max", "sessions", 1024, [1, 65_536]);
pub(crate) const QUEUE_MAX: Count = count("queue_max", "executions", 16, [1, 10_000]);
pub(crate) const OUTPUT_BYTES_MAX: Count = count("output_bytes_max", "bytes", MIB, ranges::OUTPUT_BYTES);
pub(crate) const EXECUTIONS_MAX: Count = count("executions_max", "executions", 256, [1, 65_536]);
pub(crate) const PARKED_SESSIONS_MIN: Count = count("parked_sessions_min", "sessions", 4, [0, 1024]);
pub(crate) const PARKED_SESSIONS_MAX: Count = count("parked_sessions_max", "sessions", 32, [0, 1024]);
pub(crate) const MEMORY_BYTES_MAX: Count = count("memory_bytes_max", "bytes", 512 * MIB, ranges::MEMORY_BYTES);
pub(crate) const WORKSPACE_BYTES_MAX: Count = count("workspace_bytes_max", "bytes", 256 * MIB, [4096, TIB]);
pub(crate) const SCRATCH_BYTES_MAX: Count = count("scratch_bytes_max", "bytes", 64 * MIB, [4096, TIB]);
pub(crate) const FILES_MAX: Count = count("files_max", "files", 16_384, [16, 16 * MIB]);
pub(crate) const FILE_BYTES_MAX: Count = count("file_bytes_max", "bytes", 256 * MIB, [4096, TIB]);
pub(crate) const PROCESSES_MAX: Count = count("processes_max", "processes", 64, ranges::PROCESSES);
pub(crate) const OPEN_FILES_MAX: Count = count("open_files_max", "files", 256, [32, 65_536]);
pub(crate) const STACK_BYTES_MAX: Count = count("stack_bytes_max", "bytes", 8 * MIB, [MIB, 1024 * MIB]);

pub(crate) const CHECKPOINTS_BYTES_MAX: Count =
    count("checkpoints_bytes_max", "bytes", 16 * 1024 * MIB, [MIB, 1024 * TIB]);
/// None go to sleep for want of memory by default.
pub(crate) const HIBERNATE_AVAILABLE_BYTES: Count =
    count("hibernate_available_bytes", "bytes", 1024 * MIB, [MIB, 1024 * TIB]);

pub(crate) const WALL: Seconds = seconds("wall_seconds_max", 30.0, ranges::WALL_SECONDS);
/// There is no limit by default: wall time bounds it.
pub(crate) const CPU: Seconds = seconds("cpu_seconds_max", f64::INFINITY, ranges::CPU_SECONDS);
pub(crate) const INTERRUPT_GRACE: Seconds = seconds("interrupt_grace_seconds", 1.0, [0.01, 60.0]);
pub(crate) const IDLE: Seconds = seconds("idle_seconds_max", 1800.0, ranges::IDLE_SECONDS);
pub(crate) const LIFE: Seconds = seconds("life_seconds_max", DAY, ranges::LIFE_SECONDS);
pub(crate) const CHECKPOINT: Seconds = seconds("checkpoint_seconds_max", 7.0 * DAY, [1.0, 3660.0 * DAY]);
/// None go to sleep by themselves by default.
pub(crate) const HIBERNATE: Seconds = seconds("hibernate_seconds", 600.0, [0.1, 7.0 * DAY]);
pub(crate) const ABANDONED: Seconds = seconds("abandoned_seconds_max", 600.0, [1.0, 7.0 * DAY]);
pub(crate) const SHUTDOWN_GRACE: Seconds = seconds("shutdown_grace_seconds", 30.0, [0.01, 3600.0]);
pub(crate) const NEST_START: Seconds = seconds("nest_start_seconds_max", 120.0, [1.0, 3600.0]);

impl Count {
    /// The value that an option or a variable gives as text.
    pub(crate) fn parse(&self, text: &str) -> Result<u64, String> {
        text.parse().ok().and_then(|value| self.check(value)).ok_or_else(|| self.range())
    }

    /// The value of the option, else of the file, else none.
    pub(crate) fn resolve_if_given(&self, option: Option<u64>, file: Option<i64>) -> Result<Option<u64>, String> {
        if option.is_none() && file.is_none() { Ok(None) } else { self.resolve(option, file).map(Some) }
    }

    /// The value of the option, else of the file, else the default.
    pub(crate) fn resolve(&self, option: Option<u64>, file: Option<i64>) -> Result<u64, String> {
        match (option, file) {
            (Some(value), _) => Ok(value),
            (None, None) => Ok(self.default),
            (None, Some(value)) => {
                self.check(value).ok_or_else(|| format!("{} = {value}: it {}", self.key, self.range()))
            }
        }
    }

    fn check(&self, value: i64) -> Option<u64> {
        u64::try_from(value).ok().filter(|value| (self.least..=self.most).contains(value))
    }

    fn range(&self) -> String {
        format!("must be a whole number from {} to {} ({})", self.least, self.most, self.unit)
    }
}

impl Seconds {
    /// The value that an option or a variable gives as text.
    pub(crate) fn parse(&self, text: &str) -> Result<Duration, String> {
        text.parse().ok().and_then(|value| self.check(value)).ok_or_else(|| self.range())
    }

    /// The value of the option, else of the file, else the default.
    pub(crate) fn resolve(&self, option: Option<Duration>, file: Option<f64>) -> Result<Duration, String> {
        match (option, file) {
            (Some(value), _) => Ok(value),
            (None, None) => Ok(Duration::from_secs_f64(self.default)),
            (None, Some(value)) => {
                self.check(value).ok_or_else(|| format!("{} = {value}: it {}", self.key, self.range()))
            }
        }
    }

    /// The value of the option, else of the file, else none.
    pub(crate) fn resolve_if_given(
        &self,
        option: Option<Duration>,
        file: Option<f64>,
    ) -> Result<Option<Duration>, String> {
        if option.is_none() && file.is_none() { Ok(None) } else { self.resolve(option, file).map(Some) }
    }

    /// NaN is in no range.
    fn check(&self, value: f64) -> Option<Duration> {
        (self.least..=self.most).contains(&value).then(|| Duration::from_secs_f64(value))
    }

    fn range(&self) -> String {
        format!("must be a number from {} to {} (seconds)", self.least, self.most)
    }
}

#[cfg(test)]
pub(crate) const COUNTS: [Count; 18] = [
    CHECKPOINTS_BYTES_MAX,
    PARKED_SESSIONS_MIN,
    PARKED_SESSIONS_MAX,
    BODY_BYTES_MAX,
    BODIES_BYTES_MAX,
    CONNECTIONS_MAX,
    SESSIONS_MAX,
    QUEUE_MAX,
    OUTPUT_BYTES_MAX,
    EXECUTIONS_MAX,
    MEMORY_BYTES_MAX,
    WORKSPACE_BYTES_MAX,
    SCRATCH_BYTES_MAX,
    FILES_MAX,
    FILE_BYTES_MAX,
    PROCESSES_MAX,
    OPEN_FILES_MAX,
    STACK_BYTES_MAX,
];

#[cfg(test)]
pub(crate) const SPANS: [Seconds; 8] =
    [WALL, INTERRUPT_GRACE, IDLE, LIFE, ABANDONED, SHUTDOWN_GRACE, NEST_START, CHECKPOINT];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_outside_its_range_is_refused_with_the_range() {
        for text in ["0", "-1", "1.5", "NaN", "", "ten", "10001", "99999999999999999999", "1e3", " 1"] {
            let error = QUEUE_MAX.parse(text).unwrap_err();
            assert_eq!(error, "must be a whole number from 1 to 10000 (executions)", "{text}");
        }
        assert_eq!(
            QUEUE_MAX.resolve(None, Some(0)).unwrap_err(),
            "queue_max = 0: it must be a whole number from 1 to 10000 (executions)"
        );
        assert_eq!((QUEUE_MAX.parse("1"), QUEUE_MAX.parse("10000")), (Ok(1), Ok(10_000)));
    }

    #[test]
    fn a_span_outside_its_range_is_refused_with_the_range() {
        for text in ["0", "-1", "-0", "NaN", "inf", "-inf", "1e300", "86400.1", "", "30s"] {
            let error = WALL.parse(text).unwrap_err();
            assert_eq!(error, "must be a number from 0.01 to 86400 (seconds)", "{text}");
        }
        assert_eq!(
            WALL.resolve(None, Some(f64::NAN)).unwrap_err(),
            "wall_seconds_max = NaN: it must be a number from 0.01 to 86400 (seconds)"
        );
        assert_eq!(WALL.parse("0.25"), Ok(Duration::from_millis(250)));
    }

    #[test]
    fn an_option_goes_before_the_file_and_the_file_before_the_default() {
        assert_eq!(QUEUE_MAX.resolve(Some(1), Some(2)), Ok(1));
        assert_eq!(QUEUE_MAX.resolve(None, Some(2)), Ok(2));
        assert_eq!(QUEUE_MAX.resolve(None, None), Ok(16));
    }

    #[test]
    fn every_default_is_in_its_range() {
        for count in COUNTS {
            assert_eq!(count.parse(&count.default.to_string()), Ok(count.default), "{}", count.key);
        }
        for span in SPANS {
            assert!(span.parse(&span.default.to_string()).is_ok(), "{}", span.key);
        }
    }
}
