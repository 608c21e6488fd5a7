//! Images of sessions, and the room that they have: what a session is shown of one is memory that no session's limit counts.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use eggbox_sandbox::checkpoint::SHOWN_BYTES_MIN;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::checkpoints::Taken;

/// Sessions that are forked at once; others wait for their turn. Each has an image as large as a session's memory, at most.
const FORKED_AT_ONCE_MAX: usize = 4;
/// How long one waits for its turn: nothing else is done in its session meanwhile.
const TURN_MAX: Duration = Duration::from_secs(5);
/// Images in memory that sessions may be shown parts of, all together. Where there is no room an image is copied whole, into memory
/// that counts as its session's.
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
    room: Room,
}

/// Where an image is, and what it takes there for as long as anything of it may be shown.
#[derive(Debug)]
enum Room {
    /// On the disk, where it is kept. Its pages are in memory only as long as there is nothing better to do with that.
    Kept(#[expect(dead_code, reason = "it is given back when this is dropped")] Arc<Taken>),
    /// There, too, without a name.
    OnDisk(#[expect(dead_code, reason = "as above")] Taken),
    InMemory(#[expect(dead_code, reason = "as above")] OwnedSemaphorePermit),
    /// In memory, but nothing of it may be shown.
    Copied,
}

impl ImageRoom {
    pub(crate) fn new() -> Self {
        Self { turns: Semaphore::new(FORKED_AT_ONCE_MAX), shown: Arc::new(Semaphore::new(SHOWN_BYTES_MAX)) }
    }

    /// Waits for a turn, but not for long; none where all are taken.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        timeout(TURN_MAX, self.turns.acquire()).await.ok()?.ok()
    }

    /// One in memory, with room for it, if there is some.
    pub(crate) fn hold(&self, file: File) -> io::Result<SessionImage> {
        let bytes = u32::try_from(file.metadata()?.len()).ok();
        let permit = bytes.and_then(|bytes| Arc::clone(&self.shown).try_acquire_many_owned(bytes).ok());
        Ok(SessionImage { file, room: permit.map_or(Room::Copied, Room::InMemory) })
    }
}

impl SessionImage {
    /// One that is on the disk, whole.
    pub(crate) fn kept(file: File, taken: Arc<Taken>) -> Self {
        Self { file, room: Room::Kept(taken) }
    }

    /// One that is there for as long as somebody has it.
    pub(crate) fn on_disk(file: File, taken: Taken) -> Self {
        Self { file, room: Room::OnDisk(taken) }
    }

    /// Whether sessions may be shown parts of it, which have it then as long as they live.
    pub(crate) fn may_be_shown(&self) -> bool {
        !matches!(self.room, Room::Copied)
    }

    /// From how many bytes on a run of pages is shown, and not copied.
    pub(crate) fn shown_bytes_min(&self) -> u64 {
        if self.may_be_shown() { SHOWN_BYTES_MIN } else { u64::MAX }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
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
            Arc::new(room.hold(file).unwrap())
        };
        let [first, second] = [600, 600].map(image);
        assert_eq!((first.shown_bytes_min(), second.shown_bytes_min()), (SHOWN_BYTES_MIN, u64::MAX));
        // Some session may still be shown it.
        let held = Arc::clone(&first);
        drop(first);
        assert_eq!(image(600).shown_bytes_min(), u64::MAX);
        drop(held);
        assert_eq!(image(600).shown_bytes_min(), SHOWN_BYTES_MIN);
        assert_eq!(image(5000).shown_bytes_min(), u64::MAX);
    }
}
