//! Takes an image of a session from outside, while it stands still.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::process::Pid;

use super::image::{Content, Image, Mapping, Place, Run, SHARED_BYTES_MIN, SHOWN_BYTES_MIN, Source};
use super::maps::{Found, Identity, Known, read_memory};
use crate::sys::memory::{OwnPages, VECTOR_MAX, read_process};

/// Copied at once.
const PORTION_BYTES: u64 = 256 << 10;

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
}

/// What was captured.
#[derive(Debug)]
pub struct Captured {
    pub image: Image,
    /// The largest parts.
    pub large: Vec<LargeRun>,
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

/// An empty file in memory for an image.
///
/// # Errors
/// Where the kernel refuses one.
pub fn image_file() -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    Ok(File::from(memfd_create(c"checkpoint", flags)?))
}

/// Has nobody write to such a file any more.
///
/// # Errors
/// Where it is none.
pub fn seal(file: &File) -> io::Result<()> {
    // Nobody has mapped it to write to it. `WRITE`, which looks for that, fails now and then while the kernel looks at its pages.
    let seals = SealFlags::FUTURE_WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    Ok(fcntl_add_seals(file, seals)?)
}

/// Fills `file`, all of it, with an image of the process `pid`, which stands still at `place` and shares `base` with its
/// nest. Its memory is its own affair: where it lies about its place, or does not stand still, whoever loads the image fares
/// accordingly.
///
///
/// # Errors
/// Where it has what no image can carry, its memory cannot be read, or there is no room for it.
pub fn capture(
    pid: Pid,
    base: impl AsFd,
    place: Place,
    Bounds { bytes_max, kept, shown }: Bounds<'_>,
    file: &File,
) -> Result<Captured, CaptureError> {
    let open = |name| File::open(format!("/proc/{}/{name}", pid.as_raw_pid()));
    let (maps, pagemap, memory) = (open("maps")?, open("pagemap")?, open("mem")?);
    let shown = shown.iter().map(Identity::of).collect::<io::Result<Vec<_>>>()?;
    let known = Known { base: Identity::of(base)?, kept: Some(kept), shown: &shown };
    let (mappings, own) = read_memory(&maps, &pagemap, known)?;
    let mut found = Vec::with_capacity(mappings.len());
    for (_, mapping) in mappings {
        match mapping {
            Found::Shared(name) => return Err(CaptureError::Shared { name }),
            Found::Private { mapping, is_whole } => found.push((mapping, is_whole)),
        }
    }
    let pages = pages_of(&own, &found);
    let mappings: Vec<_> = found.into_iter().map(|(mapping, _)| mapping).collect();
    let page = rustix::param::page_size() as u64;
    let head_bytes = Image::head_bytes(&mappings, pages.len(), page);
    let mut end = head_bytes;
    let mut runs: Vec<_> =
        pages.iter().map(|pages| Run { range: pages.range.clone(), content: Content::Zero }).collect();
    // Those that are copied by whoever loads it lie one after the other, and behind them those that are shown.
    for is_shown in [false, true] {
        let stored = runs.iter_mut().zip(&pages).filter(|(_, pages)| !pages.are_zero);
        for (Run { range, content }, _) in stored.filter(|(run, _)| run.is_large() == is_shown) {
            *content = Content::At(end);
            end += range.end - range.start;
        }
    }
    if end > bytes_max {
        return Err(CaptureError::TooLarge { bytes: end, bytes_max });
    }
    ftruncate(file, end).map_err(io::Error::from)?;
    let mut stored: Vec<(u64, Range<u64>)> =
        runs.iter().filter_map(|run| Some((run.place()?, run.range.clone()))).collect();
    stored.sort_unstable_by_key(|(place, _)| *place);
    copy(pid, &memory, &stored, file)?;
    let image = Image { place, mappings, runs };
    let mut head = image.encode();
    head.resize(usize::try_from(head_bytes).map_err(io::Error::other)?, 0);
    file.write_all_at(&head, 0)?;
    Ok(Captured { large: image.large_runs(), image })
}

impl Image {
    /// Nothing of it is ever shown to whoever loads it.
    #[must_use]
    pub fn is_only_copied(&self) -> bool {
        self.runs.iter().all(|run| !run.is_large() || run.content == Content::Zero)
    }

    fn large_runs(&self) -> Vec<LargeRun> {
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

/// The pages of these mappings that are the process's own, each within one of them.
fn pages_of(own: &[OwnPages], mappings: &[(Mapping, bool)]) -> Vec<OwnPages> {
    let mut pages = Vec::new();
    for (Mapping { range, source, .. }, is_whole) in mappings {
        if *source == Source::Kernels {
            continue;
        }
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

/// Copies memory to its places in the file, which lie one after the other.
fn copy(pid: Pid, memory: &File, mut stored: &[(u64, Range<u64>)], file: &File) -> io::Result<()> {
    let mut portion = Vec::new();
    while let Some((start, first)) = stored.first() {
        let length = |range: &Range<u64>| range.end - range.start;
        if length(first) > PORTION_BYTES {
            copy_large(memory, first, *start, &mut portion, file)?;
            stored = &stored[1..];
            continue;
        }
        let mut bytes = 0;
        let count = stored.iter().take(VECTOR_MAX).take_while(|(_, range)| {
            bytes += length(range);
            bytes <= PORTION_BYTES
        });
        let (now, rest) = stored.split_at(count.count());
        let bytes: u64 = now.iter().map(|(_, range)| length(range)).sum();
        portion.resize(usize::try_from(bytes).map_err(io::Error::other)?, 0);
        let ranges: Vec<_> = now.iter().map(|(_, range)| range.clone()).collect();
        // What is closed to the process itself is not to be had this way.
        if !read_process(pid, &ranges, &mut portion).is_ok_and(|count| count as u64 == bytes) {
            let mut at = 0;
            for range in &ranges {
                let length = usize::try_from(length(range)).map_err(io::Error::other)?;
                memory.read_exact_at(&mut portion[at..at + length], range.start)?;
                at += length;
            }
        }
        file.write_all_at(&portion, *start)?;
        stored = rest;
    }
    Ok(())
}

fn copy_large(memory: &File, range: &Range<u64>, start: u64, portion: &mut Vec<u8>, file: &File) -> io::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let length = (range.end - at).min(PORTION_BYTES);
        portion.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
        memory.read_exact_at(portion, at)?;
        file.write_all_at(portion, start + (at - range.start))?;
        at += length;
    }
    Ok(())
}

impl Run {
    fn is_large(&self) -> bool {
        self.range.end - self.range.start >= SHOWN_BYTES_MIN
    }

    fn place(&self) -> Option<u64> {
        match self.content {
            Content::Zero => None,
            Content::At(place) => Some(place),
        }
    }
}
