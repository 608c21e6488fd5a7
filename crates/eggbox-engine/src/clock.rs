//! A clock that a server and its successor share: deadlines outlive the process that set them.

use std::fmt;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A point in time, as nanoseconds since this host was started, its sleep included (CLOCK_BOOTTIME, time(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        let (seconds, nanos) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    pub(crate) fn nanos(self) -> u64 {
        self.0
    }

    pub(crate) fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// At the start of the host at the earliest.
    pub(crate) fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The time from `earlier` to here; none where that is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Returns when it is there.
    pub(crate) async fn reached(self) {
        loop {
            let ahead = self.since(Self::now());
            if ahead.is_zero() {
                return;
            }
            // Tokio's own clock stands still while the host sleeps, so that this may wake too early, never too late.
            tokio::time::sleep(ahead).await;
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_apart_by_what_was_added_and_never_by_less_than_nothing() {
        let now = Moment::now();
        let later = now.after(Duration::from_millis(1500));
        assert_eq!((later.since(now), now.since(later)), (Duration::from_millis(1500), Duration::ZERO));
        assert!(Moment::now() >= now && now.after(Duration::MAX) > later);
    }
}
