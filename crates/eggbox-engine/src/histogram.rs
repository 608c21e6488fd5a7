//! How often something took how long. Counting is a few atomic additions: it takes no lock and allocates nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Up to where each bucket but the last goes, in nanoseconds: half a millisecond, about what code in a live session takes,
/// to the hour that somebody may allow.
const BOUNDS_NANOS: [u64; 18] = [
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
    600_000_000_000,
    3_600_000_000_000,
];

/// Times in buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS_NANOS.len()],
    /// What is in none of them.
    beyond: AtomicU64,
    sum_nanos: AtomicU64,
}

/// A histogram as it was at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// Up to where each bucket goes, in seconds, and how many are in it and in none before it. The last one's end is
    /// infinite.
    pub buckets: Vec<(f64, u64)>,
    /// Of all of them.
    pub sum_seconds: f64,
}

impl Histogram {
    pub fn observe(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let index = BOUNDS_NANOS.partition_point(|&bound| bound < nanos);
        self.buckets.get(index).unwrap_or(&self.beyond).fetch_add(1, Ordering::Relaxed);
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    #[must_use]
    pub fn read(&self) -> Distribution {
        let bounds = BOUNDS_NANOS.map(|nanos| Duration::from_nanos(nanos).as_secs_f64());
        let counts = self.buckets.iter().chain([&self.beyond]).map(|count| count.load(Ordering::Relaxed));
        Distribution {
            buckets: bounds.into_iter().chain([f64::INFINITY]).zip(counts).collect(),
            sum_seconds: Duration::from_nanos(self.sum_nanos.load(Ordering::Relaxed)).as_secs_f64(),
        }
    }
}

impl Distribution {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_first_bucket_that_it_fits() {
        let histogram = Histogram::default();
        for micros in [0, 500, 501, 1000, 3_600_000_000, 3_600_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let read = histogram.read();
        let filled: Vec<_> = read.buckets.iter().copied().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(0.0005, 2), (0.001, 2), (3600.0, 1), (f64::INFINITY, 1)]);
        assert_eq!(read.count(), 6);
        assert!((read.sum_seconds - 7_200.002_002).abs() < 1e-9, "{}", read.sum_seconds);
    }

    #[test]
    fn buckets_are_in_order() {
        assert!(BOUNDS_NANOS.is_sorted_by(|a, b| a < b));
    }
}
