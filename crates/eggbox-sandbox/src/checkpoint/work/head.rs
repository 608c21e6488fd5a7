//! How work is written down: a head of 64-bit words, tables of such words, paths. Both ends are of one build, and on one machine.

#[cfg(feature = "native")]
use std::{fs::File, io};

use crate::checkpoint::maps::Identity;

/// Done with the memory of a process, by the kernel alone. The descriptor that something is mapped from is one by its number among
/// those that the work is done with.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) call: u64,
    pub(crate) arguments: [u64; 6],
}

/// Behind the address of a step that is brk(2), which takes no other argument and fails without a word: that it must not fail.
pub(crate) const HAS_TO_BE: u64 = 1;

/// Addresses from one to another.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// `struct iovec`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) start: u64,
    pub(crate) bytes: u64,
}

/// Pieces that are filled by one call, from there in the file of that number.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) file: u64,
    pub(crate) place: u64,
    pub(crate) first: u64,
    pub(crate) count: u64,
}

/// Where behind the head some are, in bytes from its beginning, and how many.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) first: u64,
    pub(crate) count: u64,
}

/// The beginning of an arena: memory with the work, where nothing is of what it changes, and behind that a stack to do it on.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Where the arena is to be.
    pub(crate) start: u64,
    /// What of it is mapped from the file that this begins.
    pub(crate) file_bytes: u64,
    /// With the stack.
    pub(crate) bytes: u64,
    /// Of the [`Layout`](super::Layout) that all this was worked out from.
    pub(crate) pages: u64,
    /// See [`Place`](crate::checkpoint::Place).
    pub(crate) stack: u64,
    pub(crate) thread_pointer: u64,
    pub(crate) numbers: u64,
    /// What the process hears that it becomes: put here by whoever does the work.
    pub(crate) told: u64,
    /// Which of the descriptors says how far the image is there: as often as that changes, the number of bytes from its beginning. Or
    /// [`NO_ARRIVAL`], where it is whole.
    pub(crate) arrival: u64,
    /// [`Span`]s where no page of the process's own may be left: what shows there then is what the mappings show.
    pub(crate) cleared: Table,
    /// Those of them where it had such pages when it was looked at, but for those that are filled from the base. To let go of any others
    /// takes long, and the process would have to find them again.
    pub(crate) written: Table,
    /// After that these [`Step`]s.
    pub(crate) steps: Table,
    /// Then these [`Batch`]es are read from the image and the base, into these [`Piece`]s.
    pub(crate) batches: Table,
    pub(crate) pieces: Table,
    /// Then these [`Step`]s.
    pub(crate) last_steps: Table,
    /// Files that have to be opened, in order: the length of the path, the device, the inode; and then the paths.
    pub(crate) files: Table,
    /// The numbers of all descriptors: of the image, the base, other images, and those files; put here by whoever does the work.
    pub(crate) descriptors: Table,
}

/// A file that has to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WantedFile {
    pub(super) path: Vec<u8>,
    pub(super) identity: Identity,
}

pub(super) const WORD_BYTES: usize = size_of::<u64>();
pub(crate) const HEAD_BYTES: usize = size_of::<Head>();
/// Of a file, before its path.
pub(super) const FILE_WORDS: usize = 3;
/// With the byte behind it.
#[cfg(feature = "native")]
const PATH_BYTES_MAX: usize = libc::PATH_MAX.cast_unsigned() as usize;
/// In the place of a descriptor by its number.
pub(crate) const NO_ARRIVAL: u64 = u64::MAX;
/// How many descriptors a process takes to do such work at most.
pub(crate) const DESCRIPTORS_MAX: usize = 2048;

impl Head {
    /// # Errors
    /// Where there is none.
    #[cfg(feature = "native")]
    pub(crate) fn read(file: &File) -> io::Result<Self> {
        let mut bytes = [[0; WORD_BYTES]; HEAD_BYTES / WORD_BYTES];
        std::os::unix::fs::FileExt::read_exact_at(file, bytes.as_flattened_mut(), 0)?;
        let mut words = bytes.into_iter().map(u64::from_le_bytes);
        let mut word = || words.next().unwrap_or_default();
        let [start, file_bytes, bytes, pages, stack, thread_pointer, numbers, told, arrival] =
            std::array::from_fn(|_| word());
        let [cleared, written, steps, batches, pieces, last_steps, files, descriptors] =
            std::array::from_fn(|_| Table { first: word(), count: word() });
        #[rustfmt::skip]
        let head = Self {
            start, file_bytes, bytes, pages, stack, thread_pointer, numbers, told, arrival,
            cleared, written, steps, batches, pieces, last_steps, files, descriptors,
        };
        Ok(head)
    }

    /// Whether every table is where the file is.
    #[cfg(feature = "native")]
    pub(crate) fn tables_are_within(&self) -> bool {
        let Self { cleared, written, steps, batches, pieces, last_steps, files, descriptors, file_bytes, .. } = *self;
        let sizes = [
            (cleared, size_of::<Span>()),
            (written, size_of::<Span>()),
            (steps, size_of::<Step>()),
            (batches, size_of::<Batch>()),
            (pieces, size_of::<Piece>()),
            (last_steps, size_of::<Step>()),
            (files, FILE_WORDS * WORD_BYTES),
            (descriptors, WORD_BYTES),
        ];
        sizes.into_iter().all(|(Table { first, count }, size)| {
            let end = count.checked_mul(size as u64).and_then(|bytes| bytes.checked_add(first));
            first.is_multiple_of(WORD_BYTES as u64) && end.is_some_and(|end| end <= file_bytes)
        })
    }

    /// Calls `open` with the path of each file that has to be opened, and with what it has to be. Writes to no memory but the stack.
    ///
    /// # Errors
    /// Where the file does not have them, or `open` fails.
    #[cfg(feature = "native")]
    pub(crate) fn each_wanted(
        &self,
        file: &File,
        mut open: impl FnMut(&std::ffi::CStr, Identity) -> io::Result<()>,
    ) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        let Table { first, count } = self.files;
        let each = (FILE_WORDS * WORD_BYTES) as u64;
        let mut path_at = first + count * each;
        for index in 0..count {
            let mut words = [[0; WORD_BYTES]; FILE_WORDS];
            file.read_exact_at(words.as_flattened_mut(), first + index * each)?;
            let [bytes, device, inode] = words.map(u64::from_le_bytes);
            let mut path = [0; PATH_BYTES_MAX];
            let room = usize::try_from(bytes).ok().and_then(|bytes| path.get_mut(..bytes));
            file.read_exact_at(room.ok_or(io::ErrorKind::InvalidFilename)?, path_at)?;
            path_at += bytes;
            let path = std::ffi::CStr::from_bytes_until_nul(&path).map_err(|_| io::ErrorKind::InvalidFilename)?;
            open(path, Identity::of_words(device, inode))?;
        }
        Ok(())
    }

    pub(super) fn words(&self) -> [u64; HEAD_BYTES / WORD_BYTES] {
        let Self { start, file_bytes, bytes, pages, stack, thread_pointer, numbers, told, arrival, .. } = *self;
        let Self { cleared, written, steps, batches, pieces, last_steps, files, descriptors, .. } = *self;
        let plain = [start, file_bytes, bytes, pages, stack, thread_pointer, numbers, told, arrival];
        let tables = [cleared, written, steps, batches, pieces, last_steps, files, descriptors];
        let mut words = plain.into_iter().chain(tables.into_iter().flat_map(|Table { first, count }| [first, count]));
        std::array::from_fn(|_| words.next().unwrap_or_default())
    }
}
