//! The numbers that sessions have in their nests: each picks a uid and a control group, and no two living sessions of this
//! server have the same, from whichever nest they come.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eggbox_sandbox::plan::GroupsPlan;
use tokio::sync::{Notify, RwLock, oneshot};
use tokio::time::timeout;

use crate::nest::SpawnError;

/// Slots beside those of the sessions that are allowed: for the one that proves the wall, and for those that are still
/// being cleared away.
pub(crate) const SLOTS_SPARE: u32 = 16;
/// The number that no server gives to a session but that which proves the wall, so that it is free whatever a server
/// takes over.
const PROOF: u32 = 0;
/// How long a session waits for a slot to be cleared.
const FREE_MAX: Duration = Duration::from_secs(5);

/// How long the counters of a session that has ended are left to be read.
const READING_MAX: Duration = Duration::from_secs(5);

/// Held by the session of a slot, which reads the counters of its group up to its last word: dropped when it has said that.
pub(crate) type Reading = oneshot::Sender<Infallible>;
/// The other end of a [`Reading`].
pub(crate) type ReadingEnd = oneshot::Receiver<Infallible>;

/// All slots of a server.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    groups: GroupsPlan,
    /// Numbers from here on are no session's.
    count: u32,
    free: Mutex<Free>,
    released: Notify,
    /// No group is made fit any more; held while one is.
    is_closed: RwLock<bool>,
}

#[derive(Debug)]
struct Free {
    /// With a group that is fit for a session.
    ready: Vec<u32>,
    /// Never used by this server.
    fresh: BTreeSet<u32>,
    /// Whose groups could not be made fit: tried again when there is nothing else.
    failed: VecDeque<u32>,
}

impl Slots {
    /// The first `count` numbers. The groups' folders are there.
    pub(crate) fn new(groups: GroupsPlan, count: u32) -> Self {
        let free = Free { ready: Vec::new(), fresh: (PROOF + 1..count).collect(), failed: VecDeque::new() };
        Self {
            shared: Arc::new(Shared {
                groups,
                count,
                free: Mutex::new(free),
                released: Notify::new(),
                is_closed: RwLock::new(false),
            }),
        }
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        // Every change is a single step.
        self.shared.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that nobody has; with a session in it, it is released by the nest that has cleared that away.
    pub(crate) async fn take(&self) -> Result<u32, SpawnError> {
        let free = async {
            loop {
                let released = self.shared.released.notified();
                if let Some(slot) = self.take_now().await? {
                    return Ok(slot);
                }
                released.await;
            }
        };
        timeout(FREE_MAX, free).await.unwrap_or(Err(SpawnError::NoSlot))
    }

    async fn take_now(&self) -> Result<Option<u32>, SpawnError> {
        let unfit = {
            let mut free = self.free();
            if let Some(slot) = free.ready.pop() {
                return Ok(Some(slot));
            }
            free.fresh.pop_first().or_else(|| free.failed.pop_front())
        };
        let Some(slot) = unfit else { return Ok(None) };
        let (sender, prepared) = oneshot::channel();
        let slots = self.clone();
        // In a task of its own: who waits may give up, and the slot must not be lost with that.
        tokio::spawn(async move {
            let result = slots.prepare(slot).await;
            let failed = result.is_err();
            let is_unwanted = sender.send(result).is_err();
            let mut free = slots.free();
            if failed {
                free.failed.push_back(slot);
            } else if is_unwanted {
                free.ready.push(slot);
            }
        });
        match prepared.await {
            Ok(prepared) => prepared.map(|()| Some(slot)),
            Err(_) => Err(SpawnError::NoSlot),
        }
    }

    /// The one that is kept for proving the wall. Only one proof is made at a time.
    pub(crate) async fn take_for_proof(&self) -> Result<u32, SpawnError> {
        self.prepare(PROOF).await?;
        Ok(PROOF)
    }

    /// Takes one that a session has already.
    pub(crate) fn occupy(&self, slot: u32) {
        let mut free = self.free();
        free.fresh.remove(&slot);
        free.ready.retain(|other| *other != slot);
        free.failed.retain(|other| *other != slot);
    }

    /// Gives one back that nothing is left in. Its group is made fit for the next session before it is taken again, but not
    /// before `reading` is over: what was counted goes with it.
    pub(crate) fn release(&self, slot: u32, reading: Option<ReadingEnd>) {
        // That of a proof, or of a session that a server with more of them has left.
        if slot == PROOF || slot >= self.shared.count {
            return;
        }
        let slots = self.clone();
        tokio::spawn(async move {
            if let Some(end) = reading {
                // Nothing is ever sent.
                let _ = timeout(READING_MAX, end).await;
            }
            match slots.prepare(slot).await {
                Ok(()) => slots.free().ready.push(slot),
                Err(error) => {
                    tracing::error!(slot, error = crate::engine::chain(&error), "failed to clear a control group");
                    slots.free().failed.push_back(slot);
                }
            }
            slots.shared.released.notify_waiters();
        });
    }

    /// Groups can be removed from here on.
    pub(crate) async fn close(&self) {
        *self.shared.is_closed.write().await = true;
    }

    async fn prepare(&self, slot: u32) -> Result<(), SpawnError> {
        let GroupsPlan::Own(groups) = &self.shared.groups else { return Ok(()) };
        let is_closed = self.shared.is_closed.read().await;
        if *is_closed {
            return Ok(());
        }
        let groups = groups.clone();
        // The kernel may have to wait for others that change groups.
        let prepared = tokio::task::spawn_blocking(move || groups.prepare(slot)).await;
        prepared.map_err(std::io::Error::other).flatten().map_err(SpawnError::ControlGroup)
    }
}
