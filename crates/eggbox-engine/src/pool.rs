//! Sessions that were made before anybody has asked for one: forked, locked down, checked and warm. Who asks for a new
//! session waits for nothing of that, and for no namespace or control group to be made.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::nest::Nest;
use crate::session::Session;

/// The sessions that wait for somebody.
#[derive(Debug)]
pub(crate) struct Pool {
    parked: Mutex<VecDeque<Session>>,
    parked_max: usize,
    /// Told whenever one is taken.
    taken: Notify,
}

impl Pool {
    pub(crate) fn new(parked_max: usize) -> Self {
        Self { parked: Mutex::default(), parked_max, taken: Notify::new() }
    }

    fn parked(&self) -> MutexGuard<'_, VecDeque<Session>> {
        // Every change is a single step.
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of this nest, if there is one. Those of others, and those that have ended, are let go.
    pub(crate) fn take(&self, nest: &Nest) -> Option<Session> {
        let taken = {
            let mut parked = self.parked();
            std::iter::from_fn(|| parked.pop_front()).find(|session| session.is_living_in(nest))
        };
        self.taken.notify_one();
        taken
    }

    pub(crate) fn put(&self, session: Session) {
        self.parked().push_back(session);
    }

    /// Returns when there is room for one more; never where the pool is switched off.
    pub(crate) async fn has_room(&self) {
        if self.parked_max == 0 {
            std::future::pending::<()>().await;
        }
        while self.parked().len() >= self.parked_max {
            self.taken.notified().await;
        }
    }

    /// Lets all of them go.
    pub(crate) fn clear(&self) {
        self.parked().clear();
    }
}
