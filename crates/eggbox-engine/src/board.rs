//! The executions of a session that were asked for and have not begun: their numbers, and what they are known by.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::request::Idempotency;

/// Numbers go on at the next multiple of this under another server.
const NUMBERS_SKIPPED: u64 = 1000;

/// Shared by a session's name and its task.
#[derive(Debug, Default)]
pub(crate) struct Board {
    state: Mutex<State>,
    /// Told whenever one does not wait any more.
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    /// The number that was given last.
    last: u64,
    waiting: BTreeMap<u64, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    idempotency: Option<Idempotency>,
    claim: Claim,
}

/// Whether somebody has taken an execution on, or has given it up: whoever comes first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claim(Arc<AtomicBool>);

impl Claim {
    /// Whether nobody was before; from now on somebody was.
    pub(crate) fn take(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }
}

impl Board {
    /// For a session of an earlier server, which has begun this one last, and may have given numbers to others that it never
    /// began: those are nobody else's.
    pub(crate) fn after(last: u64) -> Self {
        Self::beside((last / NUMBERS_SKIPPED + 1).saturating_mul(NUMBERS_SKIPPED))
    }

    /// For a session that goes on as another does, which has given this number last.
    pub(crate) fn beside(last: u64) -> Self {
        Self { state: Mutex::new(State { last, waiting: BTreeMap::new() }), changed: Arc::default() }
    }

    /// For a session that is new.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the next number.
    pub(crate) fn enter(&self, idempotency: Option<Idempotency>, claim: Claim) -> u64 {
        let mut state = self.state();
        state.last += 1;
        let number = state.last;
        state.waiting.insert(number, Waiting { idempotency, claim });
        number
    }

    /// The number that was given last.
    pub(crate) fn last(&self) -> u64 {
        self.state().last
    }

    /// Takes the number back that was given last.
    pub(crate) fn withdraw(&self, number: u64) {
        let mut state = self.state();
        state.waiting.remove(&number);
        state.last = number - 1;
    }

    /// It has begun, or never will.
    pub(crate) fn leave(&self, number: u64) {
        self.state().waiting.remove(&number);
        self.changed.notify_waiters();
    }

    /// Gives one up that waits; whether it did.
    pub(crate) fn give_up(&self, number: u64) -> bool {
        let claim = self.state().waiting.get(&number).map(|waiting| waiting.claim.clone());
        claim.is_some_and(|claim| claim.take())
    }

    /// From the oldest.
    pub(crate) fn waiting(&self) -> Vec<u64> {
        self.state().waiting.keys().copied().collect()
    }

    pub(crate) fn is_waiting(&self, number: u64) -> bool {
        self.state().waiting.contains_key(&number)
    }

    /// The one that was asked for under this key, and whether the same was asked.
    pub(crate) fn asked(&self, idempotency: Idempotency) -> Option<(u64, bool)> {
        self.state().waiting.iter().find_map(|(number, waiting)| {
            let is_same = waiting.idempotency?.matches(idempotency)?;
            Some((*number, is_same))
        })
    }

    /// None of them will begin: their session has ended.
    pub(crate) fn close(&self) {
        self.state().waiting.clear();
        self.changed.notify_waiters();
    }

    /// Returns when one has left since it was called.
    pub(crate) fn changed(&self) -> OwnedNotified {
        Arc::clone(&self.changed).notified_owned()
    }
}
