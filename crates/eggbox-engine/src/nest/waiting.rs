//! Hears what a nest says, and passes it on to whoever waits for that.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use eggbox_sandbox::wire::{Exit, FromNest};
use tokio::sync::oneshot;

use super::{End, Life, Shared, SpawnError, State, receive};
use crate::slots::ReadingEnd;

/// Who waits for what from the nest. None once it is gone.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// For the fork of the session of a slot.
    pub(super) forks: HashMap<u32, oneshot::Sender<Result<OwnedFd, SpawnError>>>,
    /// For its end.
    pub(super) ends: HashMap<u32, oneshot::Sender<Exit>>,
    /// Slots with something of a session in them, and with those that this server knows when it has read their counters.
    pub(super) held: HashMap<u32, Option<ReadingEnd>>,
    /// It gets no more sessions, and ends with its last one.
    pub(super) is_retired: bool,
}

impl Waiting {
    /// To be told how the session of a slot ends; with an error where the nest goes first.
    pub(super) fn expect_end(&mut self, slot: u32) -> End {
        let (sender, ended) = oneshot::channel();
        let (reading, reading_end) = oneshot::channel();
        self.ends.insert(slot, sender);
        self.held.insert(slot, Some(reading_end));
        End { ended, reading }
    }

    fn dispatch(&mut self, message: FromNest, descriptors: Vec<OwnedFd>, shared: &Shared) {
        match message {
            FromNest::Spawned { slot } => {
                if let (Some(fork), Some(pidfd)) = (self.forks.remove(&slot), descriptors.into_iter().next()) {
                    // Nobody waits any more: the channel is closed, at which the session ends itself.
                    let _ = fork.send(Ok(pidfd));
                }
            }
            FromNest::NotSpawned { slot, cause } => {
                self.ends.remove(&slot);
                self.clear(slot, shared);
                if let Some(fork) = self.forks.remove(&slot) {
                    let _ = fork.send(Err(SpawnError::Fork(cause)));
                }
            }
            FromNest::Ended { slot, exit } => {
                if let Some(end) = self.ends.remove(&slot) {
                    // A session that nobody holds any more.
                    let _ = end.send(exit);
                }
            }
            FromNest::Cleared { slot } => self.clear(slot, shared),
            FromNest::NotCleared { slot } => {
                self.held.remove(&slot);
                tracing::error!(
                    slot,
                    "the folders of an ended session could not be removed; its slot is not used again"
                );
            }
            FromNest::Started | FromNest::Failed(_) | FromNest::Up { .. } | FromNest::Holding { .. } => {
                tracing::warn!(?message, "the nest said something out of turn");
            }
        }
    }

    fn clear(&mut self, slot: u32, shared: &Shared) {
        if let Some(reading) = self.held.remove(&slot) {
            shared.slots.release(slot, reading);
        }
        if self.is_retired && self.held.is_empty() {
            shared.close_control();
        }
    }
}

/// Passes on what the nest says, until it is gone.
pub(super) async fn hear(shared: Arc<Shared>) {
    loop {
        match receive(&shared.control).await {
            Ok(Some((message, descriptors))) => {
                if let State::Up(waiting) = &mut *shared.state() {
                    waiting.dispatch(message, descriptors, &shared);
                }
            }
            ended => {
                if let Err(error) = ended {
                    tracing::error!(%error, "the control channel of the nest broke");
                }
                // Drops every sender: whoever waits hears that the nest is gone.
                let state = std::mem::replace(&mut *shared.state(), State::Gone);
                shared.life.send_replace(Life::Gone);
                shared.close_control();
                // It ends itself and its sessions; nothing of it may outlive this in whatever state.
                let waits = Arc::clone(&shared);
                let _ = tokio::task::spawn_blocking(move || waits.wait_for_end()).await;
                if let State::Up(waiting) = state {
                    waiting.held.into_iter().for_each(|(slot, reading)| shared.slots.release(slot, reading));
                }
                shared.life.send_replace(Life::Cleared);
                return;
            }
        }
    }
}
