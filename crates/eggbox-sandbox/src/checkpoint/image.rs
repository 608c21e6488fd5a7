//! How an image is laid out in its file: a head of 64-bit words, little endian; from the next page on the pages that the runs name; then
//! the tables of such words, and the paths.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::fs::ftruncate;
use serde::{Deserialize, Serialize};

use super::maps::Identity;

const MAGIC: u64 = u64::from_le_bytes(*b"EGGBOXCK");
/// Of this layout.
const VERSION: u64 = 3;
const HEAD_WORDS: usize = 10;
const MAPPING_WORDS: usize = 8;
const RUN_WORDS: usize = 3;
/// The most of either that a process can have (`vm.max_map_count` is 65,530 unless somebody has changed it).
const MAPPINGS_MAX: u64 = 1 << 18;
/// More than there are pieces of memory in an image that was taken here, each within one mapping.
const RUNS_MAX: u64 = 1 << 19;
const PATHS_BYTES_MAX: u64 = 64 << 20;
/// A run of so many bytes lies apart: it need not be copied by whoever loads it, but can be shown from the image, which others may
/// load too. Below that a page fault for each page costs more than the copy.
pub const SHOWN_BYTES_MIN: u64 = 1 << 20;

/// From so many bytes on a run is shown to the session that the image is of, too, which has it in common with others then.
pub(super) const SHARED_BYTES_MIN: u64 = 4 << 20;

/// A run whose pages are zero.
const ZERO: u64 = u64::MAX;

/// Where in its code a process stands still, as it says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where its saved registers are.
    pub stack: u64,
    /// See brk(2).
    pub program_break: u64,
    /// What its thread's own memory hangs on, which the kernel knows of, too.
    pub thread_pointer: u64,
    /// Stands for the numbers of the descriptors that it is talked to by.
    pub descriptors: u64,
}

/// A file that its session has open by that path, and the number that it has there. Programs tell by it whether a file is still theirs
/// (SQLite refuses to write to one that is not), so copies are to have it, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenFile {
    pub path: String,
    pub inode: u64,
}

/// The tables of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub(crate) place: Place,
    /// By their addresses.
    pub(crate) mappings: Vec<Mapping>,
    /// By their addresses, each within one mapping.
    pub(crate) runs: Vec<Run>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) range: Range<u64>,
    pub(crate) protection: Protection,
    pub(crate) source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Protection {
    pub(crate) may_read: bool,
    pub(crate) may_write: bool,
    pub(crate) may_execute: bool,
}

impl Protection {
    /// As of mmap(2).
    pub(crate) fn bits(self) -> u64 {
        let bit = |may, bit: i32| if may { u64::from(bit.cast_unsigned()) } else { 0 };
        bit(self.may_read, libc::PROT_READ)
            | bit(self.may_write, libc::PROT_WRITE)
            | bit(self.may_execute, libc::PROT_EXEC)
    }
}

/// What a mapping shows where it was not written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Nothing,
    /// The memory of the nest as it was when it was moved into a file.
    Base {
        offset: u64,
    },
    File {
        path: Vec<u8>,
        identity: Identity,
        offset: u64,
    },
    /// The first thread's.
    Stack,
    /// What the kernel itself has put there.
    Kernels,
    /// Another image, by its number among those that are there where this one is loaded.
    Image {
        file: u64,
        offset: u64,
    },
}

/// Pages that are the process's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) range: Range<u64>,
    pub(crate) content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Zero,
    /// There in the image.
    At(u64),
}

/// Why a file is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    #[error("it is no image of a session")]
    NoImage,
    #[error("it is of version {0}, and this is {VERSION}")]
    Version(u64),
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
}

impl Image {
    /// Those of an image, which can say whatever they like: what they say is in order, aligned and within the file.
    ///
    /// # Errors
    /// Where they are not.
    pub fn read(file: &File) -> Result<Self, ImageError> {
        Self::parse(file, rustix::param::page_size() as u64)
    }

    /// Has a file be this image which has its pages already, up to there.
    pub(super) fn write_tables(&self, file: &File, pages_end: u64) -> io::Result<()> {
        let (head, tables) = self.encode(pages_end, rustix::param::page_size() as u64);
        file.write_all_at(&head, 0)?;
        file.write_all_at(&tables, pages_end)?;
        Ok(ftruncate(file, pages_end + tables.len() as u64)?)
    }

    /// The head, as long as a page, and the tables, which stand at `tables_at` in the file.
    fn encode(&self, tables_at: u64, page: u64) -> (Vec<u8>, Vec<u8>) {
        let Self { place, mappings, runs } = self;
        let paths: Vec<u8> = mappings.iter().flat_map(|mapping| mapping.path()).copied().collect();
        let head = [
            MAGIC,
            VERSION,
            place.stack,
            place.program_break,
            place.thread_pointer,
            place.descriptors,
            mappings.len() as u64,
            runs.len() as u64,
            paths.len() as u64,
            tables_at,
        ];
        let mut words = Vec::with_capacity(mappings.len() * MAPPING_WORDS + runs.len() * RUN_WORDS);
        for Mapping { range, protection, source } in mappings {
            let Protection { may_read, may_write, may_execute } = *protection;
            let rights = u64::from(may_read) | u64::from(may_write) << 1 | u64::from(may_execute) << 2;
            let (kind, offset, path, identity) = match source {
                Source::Nothing => (0, 0, 0, None),
                Source::Base { offset } => (1, *offset, 0, None),
                Source::File { path, identity, offset } => (2, *offset, path.len(), Some(identity)),
                Source::Stack => (3, 0, 0, None),
                Source::Kernels => (4, 0, 0, None),
                Source::Image { offset, .. } => (5, *offset, 0, None),
            };
            let device = identity.map_or(0, Identity::device_word);
            let inode = match source {
                Source::Image { file, .. } => *file,
                _ => identity.map_or(0, |identity| identity.inode),
            };
            words.extend([range.start, range.end, rights, kind, offset, path as u64, device, inode]);
        }
        for Run { range, content } in runs {
            words.extend([
                range.start,
                range.end,
                match content {
                    Content::Zero => ZERO,
                    Content::At(at) => *at,
                },
            ]);
        }
        let bytes = |words: &[u64]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
        let mut head = bytes(&head);
        head.resize(usize::try_from(page).unwrap_or_default(), 0);
        (head, [bytes(&words), paths].concat())
    }

    fn parse(file: &File, page: u64) -> Result<Self, ImageError> {
        let file_bytes = file.metadata()?.len();
        let mut head = [[0; size_of::<u64>()]; HEAD_WORDS];
        if file_bytes < size_of_val(&head) as u64 {
            return Err(ImageError::NoImage);
        }
        file.read_exact_at(head.as_flattened_mut(), 0)?;
        let [magic, version, stack, program_break, thread_pointer, descriptors, mappings, runs, paths, tables_at] =
            head.map(u64::from_le_bytes);
        if magic != MAGIC {
            return Err(ImageError::NoImage);
        }
        if version != VERSION {
            return Err(ImageError::Version(version));
        }
        if mappings > MAPPINGS_MAX || runs > RUNS_MAX || paths > PATHS_BYTES_MAX {
            return Err(ImageError::Damaged("its tables are too long"));
        }
        let words = mappings * MAPPING_WORDS as u64 + runs * RUN_WORDS as u64;
        let table_bytes = words * size_of::<u64>() as u64 + paths;
        let is_whole = tables_at.checked_add(table_bytes).is_some_and(|end| end <= file_bytes);
        if !is_whole || tables_at < page {
            return Err(ImageError::Damaged("it is cut off"));
        }
        let mut bytes = vec![0; usize::try_from(table_bytes).map_err(|_| ImageError::Damaged("it is too large"))?];
        file.read_exact_at(&mut bytes, tables_at)?;
        let (words, mut paths) = bytes.split_at(bytes.len() - usize::try_from(paths).unwrap_or_default());
        let words: Vec<u64> = words.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let (mapping_words, run_words) = words.split_at(usize::try_from(mappings).unwrap_or_default() * MAPPING_WORDS);
        let in_order = |before: u64, range: &Range<u64>| {
            before <= range.start
                && range.start < range.end
                && range.start.is_multiple_of(page)
                && range.end.is_multiple_of(page)
        };
        let (mut found, mut before) = (Vec::new(), 0);
        for words in mapping_words.as_chunks::<MAPPING_WORDS>().0 {
            let [start, end, rights, kind, offset, path, device, inode] = *words;
            let range = start..end;
            if !in_order(before, &range) || !offset.is_multiple_of(page) {
                return Err(ImageError::Damaged("its mappings are not in order"));
            }
            before = range.end;
            let path = usize::try_from(path).ok().and_then(|length| paths.split_at_checked(length));
            let (path, rest) = path.ok_or(ImageError::Damaged("a path is cut off"))?;
            paths = rest;
            let source = match kind {
                0 => Source::Nothing,
                1 => Source::Base { offset },
                2 => Source::File { path: path.to_vec(), identity: Identity::of_words(device, inode), offset },
                3 => Source::Stack,
                4 => Source::Kernels,
                5 => Source::Image { file: inode, offset },
                _ => return Err(ImageError::Damaged("a mapping is of no known kind")),
            };
            let protection =
                Protection { may_read: rights & 1 != 0, may_write: rights & 2 != 0, may_execute: rights & 4 != 0 };
            found.push(Mapping { range, protection, source });
        }
        let (mut own, mut before, mut at) = (Vec::new(), 0, 0);
        for &[start, end, place] in run_words.as_chunks::<RUN_WORDS>().0 {
            let range = start..end;
            while found.get(at).is_some_and(|mapping| mapping.range.end <= start) {
                at += 1;
            }
            let is_within =
                found.get(at).is_some_and(|mapping| mapping.range.start <= start && end <= mapping.range.end);
            if !in_order(before, &range) || !is_within {
                return Err(ImageError::Damaged("its pages are not in order"));
            }
            before = end;
            let content = if place == ZERO { Content::Zero } else { Content::At(place) };
            let is_within = place >= page && place.checked_add(end - start).is_some_and(|end| end <= tables_at);
            let is_there = is_within && place.is_multiple_of(page);
            if content != Content::Zero && !is_there {
                return Err(ImageError::Damaged("it is cut off"));
            }
            own.push(Run { range, content });
        }
        let place = Place { stack, program_break, thread_pointer, descriptors };
        Ok(Self { place, mappings: found, runs: own })
    }
}

impl Mapping {
    fn path(&self) -> &[u8] {
        if let Source::File { path, .. } = &self.source { path } else { &[] }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: u64 = 4096;

    fn image() -> Image {
        let protection = Protection { may_read: true, may_write: true, may_execute: false };
        let identity = Identity { device: (0xfe, 3), inode: 12 };
        let file = Source::File { path: b"/lib/a.so".to_vec(), identity, offset: PAGE };
        let other = Source::Image { file: 3, offset: 2 * PAGE };
        let sources = [Source::Nothing, Source::Base { offset: 8 * PAGE }, file, Source::Stack, Source::Kernels, other];
        let mappings = (0..).zip(sources).map(|(index, source)| {
            let start = (1 + index * 16) * PAGE;
            Mapping { range: start..start + 8 * PAGE, protection, source }
        });
        let mappings: Vec<_> = mappings.collect();
        let runs = vec![
            Run { range: PAGE..3 * PAGE, content: Content::At(PAGE) },
            Run { range: 18 * PAGE..19 * PAGE, content: Content::Zero },
        ];
        let place = Place { stack: 0x1234, program_break: 0x5678, thread_pointer: 0x9abc, descriptors: 7 };
        Image { place, mappings, runs }
    }

    fn file(bytes: &[u8]) -> File {
        crate::memory_file(c"image", bytes).unwrap()
    }

    fn bytes() -> Vec<u8> {
        let (head, tables) = image().encode(3 * PAGE, PAGE);
        [head, vec![7; 2 * usize::try_from(PAGE).unwrap()], tables].concat()
    }

    #[test]
    fn an_image_is_read_as_it_was_written() {
        assert_eq!(Image::parse(&file(&bytes()), PAGE).unwrap(), image());
    }

    #[test]
    fn one_that_is_cut_off_at_any_place_is_refused() {
        let bytes = bytes();
        for length in (0..bytes.len()).step_by(7) {
            assert!(Image::parse(&file(&bytes[..length]), PAGE).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn whatever_was_changed_is_refused_or_in_order(changes in proptest::collection::vec((0..500usize, any::<u8>()), 1..4)) {
            let mut bytes = bytes();
            for (at, byte) in changes {
                // Neither the rest of the head nor what is in the pages means anything.
                let at = if at < HEAD_WORDS * 8 { at } else { at + 3 * 4096 - HEAD_WORDS * 8 };
                bytes[at] = byte;
            }
            if let Ok(Image { mappings, runs, .. }) = Image::parse(&file(&bytes), PAGE) {
                prop_assert!(mappings.is_sorted_by(|a, b| a.range.end <= b.range.start));
                prop_assert!(runs.is_sorted_by(|a, b| a.range.end <= b.range.start));
                for run in runs {
                    if let Content::At(at) = run.content {
                        prop_assert!(at >= PAGE && at + (run.range.end - run.range.start) <= bytes.len() as u64);
                    }
                }
            }
        }
    }
}
