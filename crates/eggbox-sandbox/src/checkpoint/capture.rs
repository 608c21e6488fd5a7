//! Takes an image of a session from outside, while it stands still: looks at its memory, and copies what it has of its own.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;

use rustix::process::Pid;

use super::image::{Content, Image, Mapping, Place, Run, SHARED_BYTES_MIN, SHOWN_BYTES_MIN, Source};
use super::image_memory::ImageMemory;
use super::maps::{Found, Identity, Known, Names, read_memory};
use crate::sys::memory::{OwnPages, VECTOR_MAX, read_process};

/// Copied at once: what the processor's caches have room for.
pub(super) const PORTION_BYTES: u64 = 256 << 10;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error("memory that is shared with others is mapped: {name}")]
    Shared { name: String },
    #[error("it has {bytes} bytes of memory, more than the {bytes_max} that an image may have")]
    TooLarge { bytes: u64, bytes_max: u64 },
    #[error("its memory is in too many pieces")]
    Scattered,
    #[error("its memory cannot be read")]
    Read(#[source] io::Error),
}

impl From<io::Error> for CaptureError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::QuotaExceeded { Self::Scattered } else { Self::Read(error) }
    }
}

/// What an image is taken within.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    pub bytes_max: u64,
    /// A folder, without links on the way, of files that no session can open by their paths: images that it was loaded from.
    pub kept: &'a Path,
    /// Images that are there where this one is loaded: what is shown of them need not be copied.
    pub shown: &'a [&'a File],
    /// What files are called that it may have mapped, as far as that is known.
    pub names: &'a Names,
}

/// A part of an image that is so large that its session can be shown it, in the place of the memory that it was copied from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LargeRun {
    pub start: u64,
    pub end: u64,
    /// In the image.
    pub place: u64,
    /// As of mmap(2).
    pub protection: u64,
}

/// Where an image goes.
#[derive(Debug)]
pub enum Target<'a> {
    /// All that there will be of it: its tables, too.
    File(&'a File),
    /// Its pages.
    Memory(&'a mut ImageMemory),
}

/// The memory of a session that stands still: what an image of it has where. The pages are still to be copied.
#[derive(Debug)]
pub struct Survey {
    pid: Pid,
    memory: File,
    image: Arc<Image>,
    /// What is copied by whoever loads it, in the order in which it comes in the image, in pieces of [`PORTION_BYTES`] at most.
    small: Vec<Piece>,
    /// What may be shown from it, which comes behind that.
    large: Vec<Piece>,
    /// Of the image, but for its tables.
    bytes: u64,
}

/// Pages, and where they come in the image.
#[derive(Debug)]
struct Piece {
    range: Range<u64>,
    place: u64,
}

/// Looks at the memory of the process `pid`, which stands still at `place` and shares `base` with its nest. Its memory is its own affair:
/// where it lies about its place, or does not stand still, whoever loads the image fares accordingly.
///
/// # Errors
/// Where it has what no image can carry, or its memory cannot be looked at.
pub fn survey(
    pid: Pid,
    base: &File,
    place: Place,
    Bounds { bytes_max, kept, shown, names }: Bounds<'_>,
) -> Result<Survey, CaptureError> {
    let open = |name| File::open(format!("/proc/{}/{name}", pid.as_raw_pid()));
    let (maps, pagemap, memory) = (open("maps")?, open("pagemap")?, open("mem")?);
    let shown = shown.iter().map(Identity::of).collect::<io::Result<Vec<_>>>()?;
    let known = Known { base: Identity::of(base)?, kept: Some(kept), shown: &shown, names };
    let (mappings, own) = read_memory(&maps, &pagemap, known)?;
    let mut found = Vec::with_capacity(mappings.len());
    for (_, mapping) in mappings {
        match mapping {
            Found::Shared(name) => return Err(CaptureError::Shared { name }),
            Found::Private { mapping, is_whole } => found.push((mapping, is_whole)),
        }
    }
    let pages = pages_of(&own, &found, place.stack);
    let length = |pages: &OwnPages| pages.range.end - pages.range.start;
    let stored = || pages.iter().filter(|pages| !pages.are_zero).map(length);
    let page = rustix::param::page_size() as u64;
    let bytes = page + stored().sum::<u64>();
    if bytes > bytes_max {
        return Err(CaptureError::TooLarge { bytes, bytes_max });
    }
    let (mut small, mut large) = (Vec::with_capacity(pages.len()), Vec::new());
    let mut small_at = page;
    let mut large_at = page + stored().filter(|length| *length < SHOWN_BYTES_MIN).sum::<u64>();
    let run = |pages: OwnPages| {
        let length = length(&pages);
        let content = if pages.are_zero {
            Content::Zero
        } else if length >= SHOWN_BYTES_MIN {
            large.push(Piece { range: pages.range.clone(), place: large_at });
            large_at += length;
            Content::At(large_at - length)
        } else {
            small.extend(pieces(&pages.range, small_at));
            small_at += length;
            Content::At(small_at - length)
        };
        Run { range: pages.range, content }
    };
    let runs = pages.into_iter().map(run).collect();
    let mappings = found.into_iter().map(|(mapping, _)| mapping).collect();
    let image = Arc::new(Image { place, mappings, runs });
    Ok(Survey { pid, memory, image, small, large, bytes })
}

/// What there is of it, in pieces that are copied at once.
fn pieces(range: &Range<u64>, place: u64) -> impl Iterator<Item = Piece> + use<> {
    let Range { start, end } = range.clone();
    let starts = (start..end).step_by(usize::try_from(PORTION_BYTES).unwrap_or(usize::MAX));
    starts.map(move |at| Piece { range: at..end.min(at + PORTION_BYTES), place: place + (at - start) })
}

impl Survey {
    /// The process that it is of.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// What stands at the beginning of the image.
    #[must_use]
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// How many the image has, but for its tables.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Copies the pages, and where it goes into a file the tables, too. Calls `has_come` after each portion with up to where the image is
    /// there.
    ///
    /// # Errors
    /// Where its memory cannot be read, or there is no room.
    pub fn copy(&self, target: Target<'_>, has_come: impl FnMut(u64) -> io::Result<()>) -> io::Result<()> {
        match target {
            Target::File(file) => {
                write_beside(file, |output| self.copy_to(output, has_come))?;
                self.image.write_tables(file, self.bytes)
            }
            Target::Memory(memory) => self.copy_to(&mut Output::Memory(memory.room(self.bytes)?), has_come),
        }
    }

    fn copy_to(&self, output: &mut Output<'_>, mut has_come: impl FnMut(u64) -> io::Result<()>) -> io::Result<()> {
        let mut small = &self.small[..];
        while let Some(first) = small.first() {
            let mut bytes = 0;
            let count = small.iter().take(VECTOR_MAX).take_while(|piece| {
                bytes += piece.range.end - piece.range.start;
                bytes <= PORTION_BYTES
            });
            let (now, rest) = small.split_at(count.count());
            let bytes = now.iter().map(|piece| piece.range.end - piece.range.start).sum();
            output.put(first.place, bytes, |portion| self.read(now, portion))?;
            has_come(first.place + bytes)?;
            small = rest;
        }
        for Piece { range, place } in &self.large {
            for Piece { range, place } in pieces(range, *place) {
                // By the kernel, which says where there is no memory for it; a page fault would not.
                output
                    .put(place, range.end - range.start, |portion| self.memory.read_exact_at(portion, range.start))?;
            }
        }
        has_come(self.bytes)
    }

    fn read(&self, pieces: &[Piece], portion: &mut [u8]) -> io::Result<()> {
        let ranges: Vec<_> = pieces.iter().map(|piece| piece.range.clone()).collect();
        // What is closed to the process itself is not to be had this way.
        if read_process(self.pid, &ranges, portion).is_ok_and(|count| count == portion.len()) {
            return Ok(());
        }
        let mut rest = portion;
        for range in ranges {
            let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
            let (first, behind) = rest.split_at_mut_checked(length).ok_or(io::ErrorKind::UnexpectedEof)?;
            self.memory.read_exact_at(first, range.start)?;
            rest = behind;
        }
        Ok(())
    }
}

/// Where it is copied to.
enum Output<'a> {
    /// Another thread, which writes it where it says.
    Writer {
        full: SyncSender<(u64, Vec<u8>)>,
        empty: Receiver<Vec<u8>>,
    },
    Memory(&'a mut [u8]),
}

/// Portions that wait to be written.
const PORTIONS_MAX: usize = 2;

/// Calls `copy` with what has a file written by another thread, while that goes on.
fn write_beside(file: &File, copy: impl FnOnce(&mut Output<'_>) -> io::Result<()>) -> io::Result<()> {
    let (full, portions) = sync_channel::<(u64, Vec<u8>)>(PORTIONS_MAX);
    let (used, empty) = channel();
    thread::scope(|scope| {
        let writer = thread::Builder::new().name("image".to_owned()).spawn_scoped(scope, move || {
            portions.into_iter().try_for_each(|(at, portion)| {
                file.write_all_at(&portion, at)?;
                // None is wanted any more behind the last of them.
                let _ = used.send(portion);
                Ok(())
            })
        })?;
        let mut output = Output::Writer { full, empty };
        let copied = copy(&mut output);
        drop(output);
        let written = writer.join().unwrap_or_else(|_| Err(io::Error::other("a thread that wrote has panicked")));
        // Where it could not write, that is why no more was copied.
        written.and(copied)
    })
}

impl Output<'_> {
    /// Has so many bytes there be what `fill` makes them.
    fn put(&mut self, at: u64, bytes: u64, fill: impl FnOnce(&mut [u8]) -> io::Result<()>) -> io::Result<()> {
        let size = |bytes| usize::try_from(bytes).map_err(io::Error::other);
        match self {
            Output::Writer { full, empty } => {
                let mut portion = empty.try_recv().unwrap_or_default();
                portion.resize(size(bytes)?, 0);
                fill(&mut portion)?;
                full.send((at, portion)).map_err(|_| io::ErrorKind::BrokenPipe.into())
            }
            Output::Memory(memory) => {
                fill(memory.get_mut(size(at)?..size(at + bytes)?).ok_or(io::ErrorKind::UnexpectedEof)?)
            }
        }
    }
}

impl Image {
    /// Nothing of it is ever shown to whoever loads it.
    #[must_use]
    pub fn is_only_copied(&self) -> bool {
        self.runs.iter().all(|run| !run.is_large() || run.content == Content::Zero)
    }

    /// The largest parts of it.
    #[must_use]
    pub fn large_runs(&self) -> Vec<LargeRun> {
        let mut mappings = self.mappings.iter().peekable();
        let large = self.runs.iter().filter_map(|run| {
            while mappings.next_if(|mapping| mapping.range.end <= run.range.start).is_some() {}
            let mapping = mappings.peek().filter(|mapping| mapping.source != Source::Stack)?;
            let (place, protection) = (run.place()?, mapping.protection.bits());
            let Range { start, end } = run.range;
            (end - start >= SHARED_BYTES_MIN).then_some(LargeRun { start, end, place, protection })
        });
        large.collect()
    }
}

/// The pages of these mappings that are the process's own, each within one of them; of the stack from where the process stands on: what
/// is below that, calls have left that are over.
fn pages_of(own: &[OwnPages], mappings: &[(Mapping, bool)], stands_at: u64) -> Vec<OwnPages> {
    let mut pages = Vec::new();
    for (Mapping { range, source, .. }, is_whole) in mappings {
        let range = match source {
            Source::Kernels => continue,
            Source::Stack if range.contains(&stands_at) => page_of(stands_at)..range.end,
            _ => range.clone(),
        };
        if *is_whole {
            pages.push(OwnPages { range: range.clone(), are_zero: false });
            continue;
        }
        let first = own.partition_point(|pages| pages.range.end <= range.start);
        for OwnPages { range: own, are_zero } in own[first..].iter().take_while(|own| own.range.start < range.end) {
            let range = own.start.max(range.start)..own.end.min(range.end);
            pages.push(OwnPages { range, are_zero: *are_zero });
        }
    }
    pages
}

fn page_of(address: u64) -> u64 {
    address - address % rustix::param::page_size() as u64
}

impl Run {
    pub(super) fn is_large(&self) -> bool {
        self.range.end - self.range.start >= SHOWN_BYTES_MIN
    }

    fn place(&self) -> Option<u64> {
        match self.content {
            Content::Zero => None,
            Content::At(place) => Some(place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_taken_again_has_nothing_of_the_one_before() {
        let page = rustix::param::page_size() as u64;
        let mut memory = ImageMemory::new().unwrap();
        memory.room(3 * page).unwrap().fill(7);
        assert_eq!(memory.room(page).unwrap().len() as u64, page);
        let again = memory.room(8 * page).unwrap();
        assert_eq!(again.iter().filter(|byte| **byte == 7).count() as u64, page);
        let sealed = memory.sealed().unwrap();
        assert!(sealed.write_at(b"x", 0).is_err() && sealed.set_len(0).is_err());
    }
}
