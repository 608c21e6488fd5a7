//! Sessions that were made before anybody has asked for one: forked, locked down, checked and warm. Who asks for a new
//! session waits for nothing of that, and for no namespace or control group to be made.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::nest::Nest;
use crate::session::Session;

/// Over how long the demand is averaged.
const DEMAND_SPAN: Duration = Duration::from_secs(10);
/// For how much of the demand there is a session ready: making one takes some milliseconds, but requests come in bursts.
const LEAD: Duration = Duration::from_secs(1);
/// How long one too many is kept before it is let go, and then the next.
const SURPLUS_PAUSE: Duration = Duration::from_secs(2);

/// How long after somebody was given a session another is made, as long as half of them are left: the fork keeps a
/// processor for a millisecond or two, which whoever was given it may want.
const REFILL_DELAY: Duration = Duration::from_millis(10);

/// The sessions that wait for somebody.
#[derive(Debug)]
pub(crate) struct Pool {
    state: Mutex<State>,
    /// How many there are when nobody has asked for long, and at most.
    least: usize,
    most: usize,
    /// Told whenever one is asked for.
    taken: Notify,
}

/// How the pool stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolStatus {
    /// Sessions that are ready.
    pub parked: usize,
    /// How many should be, as new sessions are asked for now.
    pub wanted: usize,
    /// New sessions that were there when they were asked for, since the server started.
    pub hits: u64,
    /// Those that had to be made then.
    pub misses: u64,
}

#[derive(Debug, Default)]
struct State {
    parked: VecDeque<Session>,
    demand: Demand,
    hits: u64,
    misses: u64,
}

/// How often new sessions are asked for.
#[derive(Debug, Default)]
struct Demand {
    /// Requests of the past, each counting for less the longer ago it was: by a factor of e every [`DEMAND_SPAN`].
    recent: f64,
    /// As of then.
    at: Option<Instant>,
}

impl Demand {
    fn recent(&self, now: Instant) -> f64 {
        let elapsed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.recent * (-elapsed.as_secs_f64() / DEMAND_SPAN.as_secs_f64()).exp()
    }

    fn count_one(&mut self, now: Instant) {
        *self = Self { recent: self.recent(now) + 1.0, at: Some(now) };
    }

    /// How many are asked for in the time of [`LEAD`].
    fn ahead(&self, now: Instant) -> usize {
        let ahead = self.recent(now) * LEAD.as_secs_f64() / DEMAND_SPAN.as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "such a cast saturates")]
        let ahead = ahead.round() as usize;
        ahead
    }
}

/// What the pool lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    One,
    /// There is one too many.
    OneLess,
    Nothing,
}

impl Pool {
    pub(crate) fn new(least: usize, most: usize) -> Self {
        Self { state: Mutex::default(), least: least.min(most), most, taken: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wanted(&self, state: &State) -> usize {
        self.least.saturating_add(state.demand.ahead(Instant::now())).min(self.most)
    }

    pub(crate) fn status(&self) -> PoolStatus {
        let state = self.state();
        let (parked, wanted) = (state.parked.len(), self.wanted(&state));
        PoolStatus { parked, wanted, hits: state.hits, misses: state.misses }
    }

    /// One of this nest, if there is one. Those of others, and those that have ended, are let go.
    pub(crate) fn take(&self, nest: &Nest) -> Option<Session> {
        let mut others = Vec::new();
        let taken = {
            let mut state = self.state();
            state.demand.count_one(Instant::now());
            let parked = &mut state.parked;
            let taken = std::iter::from_fn(|| parked.pop_front()).find_map(|session| {
                if session.is_living_in(nest) {
                    return Some(session);
                }
                others.push(session);
                None
            });
            match taken {
                Some(_) => state.hits += 1,
                None => state.misses += 1,
            }
            taken
        };
        self.taken.notify_one();
        others.into_iter().for_each(Session::dismiss);
        taken
    }

    /// Something has happened to them.
    pub(crate) fn look_again(&self) {
        self.taken.notify_one();
    }

    pub(crate) fn put(&self, session: Session) {
        self.state().parked.push_back(session);
    }

    /// Lets one go that has waited for long.
    pub(crate) fn drop_one(&self) {
        let dropped = self.state().parked.pop_front();
        // Outside of the lock: it takes system calls.
        dropped.into_iter().for_each(Session::dismiss);
    }

    /// Returns when there is something to do.
    pub(crate) async fn need(&self) -> Need {
        loop {
            match self.need_now() {
                Need::One => match self.refill_delay() {
                    Some(delay) => tokio::time::sleep(delay).await,
                    None => return Need::One,
                },
                // More may be wanted again before long.
                need => {
                    let is_quiet = timeout(SURPLUS_PAUSE, self.taken.notified()).await.is_err();
                    if is_quiet && need == Need::OneLess && self.need_now() == need {
                        return need;
                    }
                }
            }
        }
    }

    /// How long to leave whoever was given the last one alone.
    fn refill_delay(&self) -> Option<Duration> {
        let state = self.state();
        let elapsed = state.demand.at?.elapsed();
        let left = REFILL_DELAY.checked_sub(elapsed)?;
        (state.parked.len() * 2 >= self.wanted(&state)).then_some(left)
    }

    fn need_now(&self) -> Need {
        let mut state = self.state();
        // With their nest, or by themselves.
        let (over, parked) =
            std::mem::take(&mut state.parked).into_iter().partition(|session| session.process.has_ended());
        state.parked = parked;
        let need = match state.parked.len().cmp(&self.wanted(&state)) {
            std::cmp::Ordering::Less => Need::One,
            std::cmp::Ordering::Greater => Need::OneLess,
            std::cmp::Ordering::Equal => Need::Nothing,
        };
        drop(state);
        let over: VecDeque<Session> = over;
        over.into_iter().for_each(Session::dismiss);
        need
    }

    /// Lets all of them go.
    pub(crate) fn clear(&self) {
        let all = std::mem::take(&mut self.state().parked);
        all.into_iter().for_each(Session::dismiss);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demand_grows_with_requests_and_is_forgotten() {
        let (mut demand, start) = (Demand::default(), Instant::now());
        assert_eq!(demand.ahead(start), 0);
        for _ in 0..100 {
            demand.count_one(start);
        }
        // A hundred in ten seconds are ten in one.
        assert_eq!(demand.ahead(start), 10);
        assert_eq!(demand.ahead(start + DEMAND_SPAN), 4);
        assert_eq!(demand.ahead(start + DEMAND_SPAN * 10), 0);
        assert_eq!(demand.ahead(start + Duration::from_secs(u64::from(u32::MAX))), 0);
    }
}
