//! Images of sessions, and the room that they have: what a session is shown of one is memory that no session's limit counts.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eggbox_sandbox::checkpoint::{ImageMemory, SHOWN_BYTES_MIN};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::checkpoints::Taken;

/// Sessions that are forked at once; others wait for their turn. Each has an image as large as a session's memory, at most.
const FORKED_AT_ONCE_MAX: usize = 4;
/// Images that are being written to the disk at once, each in memory until it is there.
const STORED_AT_ONCE_MAX: usize = 8;
/// How long one waits for its turn: nothing else is done in its session meanwhile.
const TURN_MAX: Duration = Duration::from_secs(5);
/// Images in memory that sessions may be shown parts of, all together. Where there is no room an image is copied whole, into memory
/// that counts as its session's.
const SHOWN_BYTES_MAX: usize = 1 << 30;

/// Files in memory that are kept for the next images, and how large: a page that is there already costs a fraction of a new one.
const SPARE_MAX: usize = 2;
const SPARE_BYTES_MAX: u64 = 8 << 20;

/// For all images of a server.
#[derive(Debug)]
pub(crate) struct ImageRoom {
    turns: Arc<Semaphore>,
    storing: Arc<Semaphore>,
    shown: Arc<Semaphore>,
    spare: Spare,
}

/// Files that others had for their images, which nobody has any more.
type Spare = Arc<Mutex<Vec<ImageMemory>>>;

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
    /// There, too, and the file is another's when nobody has this any more.
    Lent {
        memory: Mutex<Option<ImageMemory>>,
        spare: Spare,
    },
}

impl ImageRoom {
    pub(crate) fn new() -> Self {
        let shared = |count| Arc::new(Semaphore::new(count));
        let [turns, storing, shown] = [FORKED_AT_ONCE_MAX, STORED_AT_ONCE_MAX, SHOWN_BYTES_MAX].map(shared);
        Self { turns, storing, shown, spare: Arc::default() }
    }

    /// Waits for a turn, but not for long; none where all are taken.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        timeout(TURN_MAX, Arc::clone(&self.turns).acquire_owned()).await.ok()?.ok()
    }

    /// The same for one that is to be written to the disk, until it is there.
    pub(crate) async fn turn_to_store(&self) -> Option<OwnedSemaphorePermit> {
        timeout(TURN_MAX, Arc::clone(&self.storing).acquire_owned()).await.ok()?.ok()
    }

    /// Memory for one, which may have been another's.
    pub(crate) fn memory(&self) -> io::Result<ImageMemory> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.map_or_else(ImageMemory::new, Ok)
    }

    /// One in such memory, with room for it, if there is some.
    pub(crate) fn hold(&self, memory: ImageMemory) -> io::Result<SessionImage> {
        let file = memory.sealed()?;
        let bytes = u32::try_from(file.metadata()?.len()).ok();
        let permit = bytes.and_then(|bytes| Arc::clone(&self.shown).try_acquire_many_owned(bytes).ok());
        Ok(SessionImage { file, room: permit.map_or(Room::Copied, Room::InMemory) })
    }

    /// The same of one that is only ever copied. Whoever loads it cannot write to it, and has closed it before any code runs.
    pub(crate) fn lend(&self, memory: ImageMemory) -> io::Result<SessionImage> {
        let (file, spare) = (read_only(memory.file())?, Arc::clone(&self.spare));
        Ok(SessionImage { file, room: Room::Lent { memory: Mutex::new(Some(memory)), spare } })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let Self::Lent { memory, spare } = self else { return };
        let mut spare = spare.lock().unwrap_or_else(PoisonError::into_inner);
        let is_small =
            |memory: &ImageMemory| memory.file().metadata().is_ok_and(|metadata| metadata.len() <= SPARE_BYTES_MAX);
        if spare.len() < SPARE_MAX {
            let memory = memory.get_mut().unwrap_or_else(PoisonError::into_inner);
            spare.extend(memory.take().filter(is_small));
        }
    }
}

/// The same file for others, who cannot write to it.
pub(crate) fn read_only(file: &File) -> io::Result<File> {
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
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

    /// Has its pages be put where it is, where that is memory that is lent.
    pub(crate) fn fill(&self, put: impl FnOnce(&mut ImageMemory) -> io::Result<()>) -> io::Result<()> {
        let Room::Lent { memory, .. } = &self.room else { return Err(io::ErrorKind::InvalidInput.into()) };
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.as_mut().map_or_else(|| Err(io::ErrorKind::InvalidInput.into()), put)
    }

    /// Whether sessions may be shown parts of it, which have it then as long as they live.
    pub(crate) fn may_be_shown(&self) -> bool {
        !matches!(self.room, Room::Copied | Room::Lent { .. })
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

    fn memory(room: &ImageRoom, bytes: u64) -> ImageMemory {
        let memory = room.memory().unwrap();
        memory.file().set_len(bytes).unwrap();
        memory
    }

    #[test]
    fn what_finds_no_room_is_copied() {
        let room = ImageRoom::new();
        let image = |megabytes: u64| Arc::new(room.hold(memory(&room, megabytes << 20)).unwrap());
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

    #[test]
    fn memory_that_was_lent_is_the_next_ones_as_soon_as_nobody_has_it() {
        use std::os::unix::fs::FileExt;
        let room = ImageRoom::new();
        let image = Arc::new(room.lend(memory(&room, 4096)).unwrap());
        assert!(!image.may_be_shown() && image.file().write_at(b"x", 0).is_err());
        let inode = |file: &File| rustix::fs::fstat(file).unwrap().st_ino;
        let lent = inode(image.file());
        assert_ne!(inode(memory(&room, 4096).file()), lent);
        drop(image);
        let again = memory(&room, SPARE_BYTES_MAX + 1);
        assert_eq!(inode(again.file()), lent);
        // Not where it is large.
        drop(room.lend(again).unwrap());
        assert_ne!(inode(memory(&room, 4096).file()), lent);
    }
}
