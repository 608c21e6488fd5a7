//! What the sessions of each owner use together: how many there are, and how many of them run something. Sessions of nobody,
//! and of an owner that the operator does not name any more, are counted with everybody's alone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::engine::ExecuteError;
use crate::environment_name::EnvironmentName;
use crate::owner::{Owner, OwnerLimits};
use crate::session_id::SessionId;
use crate::session_limits::AskedLimits;

/// Every owner that the operator names.
#[derive(Debug)]
pub(crate) struct Owners(HashMap<Owner, Arc<Account>>);

/// One of them.
#[derive(Debug)]
struct Account {
    limits: OwnerLimits,
    /// Sessions that have a name now. It changes under the registry's lock alone.
    sessions: AtomicUsize,
    /// One for each execution that may run now; none where everybody's turns are all that bounds it.
    turns: Option<Semaphore>,
}

/// Counts a session for its owner until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Option<Arc<Account>>);

/// An execution's leave to run, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    _of_owner: Option<SemaphorePermit<'a>>,
    _of_all: Option<SemaphorePermit<'a>>,
}

impl Owners {
    pub(crate) fn new(limits: &BTreeMap<Owner, OwnerLimits>) -> Self {
        let turns = |count: usize| Semaphore::new(count.min(Semaphore::MAX_PERMITS));
        let account = |(owner, limits): (&Owner, &OwnerLimits)| {
            let turns = limits.executions_max.map(turns);
            (owner.clone(), Arc::new(Account { limits: limits.clone(), sessions: AtomicUsize::new(0), turns }))
        };
        Self(limits.iter().map(account).collect())
    }

    fn of(&self, owner: Option<&Owner>) -> Option<&Arc<Account>> {
        self.0.get(owner?)
    }

    /// What each of an owner's sessions may use.
    pub(crate) fn asked(&self, owner: Option<&Owner>) -> AskedLimits {
        self.of(owner).map(|account| account.limits.of_session).unwrap_or_default()
    }

    /// Those that an owner's sessions may be of; none where all are.
    pub(crate) fn environments(&self, owner: Option<&Owner>) -> &[EnvironmentName] {
        self.of(owner).map(|account| &account.limits.environments[..]).unwrap_or_default()
    }

    /// Whether its owner may have so many more sessions.
    pub(crate) fn check_room(&self, id: &SessionId, count: usize) -> Result<(), ExecuteError> {
        let Some(account) = self.of(id.owner()) else { return Ok(()) };
        match account.limits.sessions_max {
            Some(sessions_max) if account.sessions.load(Ordering::Relaxed) + count > sessions_max as usize => {
                Err(ExecuteError::NoRoomForOwner { sessions_max })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn count(&self, id: &SessionId) -> Counted {
        let account = self.of(id.owner()).cloned();
        if let Some(account) = &account {
            account.sessions.fetch_add(1, Ordering::Relaxed);
        }
        Counted(account)
    }

    /// Waits for its owner's turn first: who waits for that keeps nobody else from running.
    pub(crate) async fn turn<'a>(&'a self, owner: Option<&Owner>, all: &'a Semaphore) -> Turn<'a> {
        let turns = self.of(owner).and_then(|account| account.turns.as_ref());
        // Nothing closes either of them.
        let of_owner = match turns {
            Some(turns) => turns.acquire().await.ok(),
            None => None,
        };
        Turn { _of_owner: of_owner, _of_all: all.acquire().await.ok() }
    }

    /// The turn of what runs already, as far as there is one.
    pub(crate) fn turn_of_running<'a>(&'a self, owner: Option<&Owner>, all: &'a Semaphore) -> Turn<'a> {
        let turns = self.of(owner).and_then(|account| account.turns.as_ref());
        Turn { _of_owner: turns.and_then(|turns| turns.try_acquire().ok()), _of_all: all.try_acquire().ok() }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(account) = &self.0 {
            account.sessions.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn owner(name: &str) -> Owner {
        Owner::try_from(name).unwrap()
    }

    fn owners() -> Owners {
        let limits = OwnerLimits { sessions_max: Some(2), executions_max: Some(1), ..OwnerLimits::default() };
        Owners::new(&BTreeMap::from([(owner("few"), limits), (owner("many"), OwnerLimits::default())]))
    }

    #[test]
    fn sessions_are_counted_for_their_owner_until_they_are_dropped() {
        let owners = owners();
        let id = |owner: Option<Owner>| SessionId::unique().of(owner);
        let few = || id(Some(owner("few")));
        let held = [owners.count(&few()), owners.count(&few())];
        let others =
            [owners.count(&id(Some(owner("many")))), owners.count(&id(Some(owner("gone")))), owners.count(&id(None))];
        assert!(matches!(owners.check_room(&few(), 1), Err(ExecuteError::NoRoomForOwner { sessions_max: 2 })));
        for owner in [Some(owner("many")), Some(owner("gone")), None] {
            assert!(owners.check_room(&id(owner), 1).is_ok());
        }
        drop(others);
        assert!(owners.check_room(&few(), 1).is_err());
        drop(held);
        assert!(owners.check_room(&few(), 1).is_ok());
    }

    #[tokio::test]
    async fn who_waits_for_its_own_turn_takes_nobody_elses() {
        let (owners, all) = (owners(), Semaphore::new(2));
        let few = owner("few");
        let first = owners.turn(Some(&few), &all).await;
        let moment = Duration::from_millis(20);
        assert!(timeout(moment, owners.turn(Some(&few), &all)).await.is_err());
        let other = timeout(moment, owners.turn(None, &all)).await;
        assert!(other.is_ok());
        assert!(timeout(moment, owners.turn(Some(&owner("many")), &all)).await.is_err());
        drop(first);
        assert!(timeout(moment, owners.turn(Some(&few), &all)).await.is_ok());
    }
}
