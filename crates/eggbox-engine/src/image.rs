//! Images of sessions, and the room that they have: what a session is shown of one is memory that no session's limit counts.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use eggbox_sandbox::checkpoint::SHOWN_BYTES_MIN;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Sessions that are forked at once; others wait for their turn. Each has an image as large as a session's memory, at most.
const FORKED_AT_ONCE_MAX: usize = 4;
/// How long one waits for its turn: nothing else is done in its session meanwhile.
const TURN_MAX: Duration = Duration::from_secs(5);
/// Images that sessions may be shown parts of, all together. Where there is no room an image is copied whole, into memory that
/// counts as its session's.
const SHOWN_BYTES_MAX: usize = 1 << 30;

/// For all images of a server.
#[derive(Debug)]
pub(crate) struct ImageRoom {
    turns: Semaphore,
    shown: Arc<Semaphore>,
}

/// An image.
#[derive(Debug)]
pub(crate) struct SessionImage {
    file: File,
    shown: Shown,
}

/// What sessions may be shown of an image.
#[derive(Debug)]
enum Shown {
    /// It lies on a disk, and its pages are in memory only as long as there is nothing better to do with that.
    Kept,
    /// With what it takes of the room, for as long as anything of it may be shown.
    InRoom(Arc<OwnedSemaphorePermit>),
    Nothing,
}

impl ImageRoom {
    pub(crate) fn new() -> Self {
        Self { turns: Semaphore::new(FORKED_AT_ONCE_MAX), shown: Arc::new(Semaphore::new(SHOWN_BYTES_MAX)) }
    }

    /// Waits for a turn, but not for long; none where all are taken.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        timeout(TURN_MAX, self.turns.acquire()).await.ok()?.ok()
    }

    /// With room for it, if there is some.
    pub(crate) fn hold(&self, file: File) -> io::Result<SessionImage> {
        let bytes = u32::try_from(file.metadata()?.len()).ok();
        let permit = bytes.and_then(|bytes| Arc::clone(&self.shown).try_acquire_many_owned(bytes).ok());
        let shown = permit.map_or(Shown::Nothing, |permit| Shown::InRoom(Arc::new(permit)));
        Ok(SessionImage { file, shown })
    }
}

impl SessionImage {
    /// One that is on the disk, whole.
    pub(crate) fn kept(file: File) -> Self {
        Self { file, shown: Shown::Kept }
    }

    /// From how many bytes on a run of pages is shown, and not copied.
    pub(crate) fn shown_bytes_min(&self) -> u64 {
        if let Shown::Nothing = self.shown { u64::MAX } else { SHOWN_BYTES_MIN }
    }

    /// To be held by whoever may be shown some of it.
    pub(crate) fn room(&self) -> Option<Arc<OwnedSemaphorePermit>> {
        if let Shown::InRoom(permit) = &self.shown { Some(Arc::clone(permit)) } else { None }
    }
}

impl AsFd for SessionImage {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_copied() {
        let room = ImageRoom::new();
        let image = |megabytes: u64| {
            let file = eggbox_sandbox::memory_file(c"image", b"").unwrap();
            file.set_len(megabytes << 20).unwrap();
            room.hold(file).unwrap()
        };
        let [first, second] = [600, 600].map(image);
        assert_eq!((first.shown_bytes_min(), second.shown_bytes_min()), (SHOWN_BYTES_MIN, u64::MAX));
        // Some session may still be shown it.
        let held = first.room();
        drop(first);
        assert_eq!(image(600).shown_bytes_min(), u64::MAX);
        drop(held);
        assert_eq!(image(600).shown_bytes_min(), SHOWN_BYTES_MIN);
        assert_eq!(image(5000).shown_bytes_min(), u64::MAX);
    }
}
