//! Room in memory for large requests: what clients send is held until it has run, and together that must not be more than
//! the operator allows.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What every body may have without asking: so much for every connection and every queued execution is little, and
/// nobody who sends a few lines is refused for others who send much.
const FREE_BYTES: usize = 64 * 1024;
/// Room is given in pieces of this size.
const PIECE_BYTES: usize = 1024;

/// All there is; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    pieces: Arc<Semaphore>,
}

/// What one body has of it, until this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    room: Room,
    pieces: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { pieces: Arc::new(Semaphore::new((bytes / PIECE_BYTES).min(Semaphore::MAX_PERMITS))) }
    }

    pub(crate) fn take(&self) -> Taken {
        Taken { room: self.clone(), pieces: None }
    }
}

impl Taken {
    /// Has room for `bytes` in all from now on, or returns false where there is not so much.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let needed = bytes.saturating_sub(FREE_BYTES).div_ceil(PIECE_BYTES);
        let has = self.pieces.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Some(more) = needed.checked_sub(has).filter(|more| *more > 0) else { return true };
        let Ok(more) = u32::try_from(more) else { return false };
        let Ok(more) = Arc::clone(&self.room.pieces).try_acquire_many_owned(more) else { return false };
        match &mut self.pieces {
            Some(pieces) => pieces.merge(more),
            none => *none = Some(more),
        }
        true
    }

    pub(crate) fn into_permit(self) -> Option<OwnedSemaphorePermit> {
        self.pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_needs_none_and_what_is_large_gives_it_back() {
        let room = Room::new(100 * 1024);
        let (mut first, mut second, mut small) = (room.take(), room.take(), room.take());
        assert!(first.grow(FREE_BYTES + 60 * 1024) && first.grow(FREE_BYTES + 60 * 1024));
        assert!(second.grow(FREE_BYTES + 40 * 1024) && !second.grow(FREE_BYTES + 40 * 1024 + 1));
        assert!(small.grow(FREE_BYTES) && !small.grow(FREE_BYTES + 1));
        drop(first.into_permit());
        assert!(second.grow(FREE_BYTES + 100 * 1024));
    }
}
