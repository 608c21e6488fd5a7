//! Takes an image of a session from outside, while it stands still.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::ftruncate;
use rustix::process::Pid;

use super::image::{Content, Image, Mapping, Place, Run, SHARED_BYTES_MIN, SHOWN_BYTES_MIN, Source};
use super::image_memory::ImageMemory;
use super::maps::{Found, Identity, Known, Names, read_memory};
use crate::sys::memory::{OwnPages, VECTOR_MAX, read_process};

/// Copied at once: what the processor's caches have room for.
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
    /// What files are called that it may have mapped, as far as that is known.
    pub names: &'a Names,
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

/// Where an image goes.
#[derive(Debug)]
pub enum Target<'a> {
    /// All that there will be of it: its tables, too.
    File(&'a File),
    /// Its pages.
    Memory(&'a mut ImageMemory),
}

/// Takes an image of the process `pid`, which stands still at `place` and shares `base` with its nest. Its memory is its own affair:
/// where it lies about its place, or does not stand still, whoever loads the image fares accordingly.
///
/// # Errors
/// Where it has what no image can carry, its memory cannot be read, or there is no room for it.
pub fn capture(
    pid: Pid,
    base: &File,
    place: Place,
    Bounds { bytes_max, kept, shown, names }: Bounds<'_>,
    target: Target<'_>,
) -> Result<Captured, CaptureError> {
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
    let pages = pages_of(&own, &found);
    let mappings: Vec<_> = found.into_iter().map(|(mapping, _)| mapping).collect();
    let page = rustix::param::page_size() as u64;
    let stored = pages.iter().filter(|pages| !pages.are_zero).map(|pages| pages.range.end - pages.range.start);
    let bytes = stored.sum::<u64>() + page;
    if bytes > bytes_max {
        return Err(CaptureError::TooLarge { bytes, bytes_max });
    }
    let output = match target {
        Target::File(file) => Output::File(file),
        Target::Memory(memory) => Output::Memory(memory.room(bytes)?),
    };
    let mut copier = Copier::new(Some(pid), &memory, None, output);
    let mut own = pages.into_iter().peekable();
    for mapping in &mappings {
        while let Some(OwnPages { range, are_zero }) = own.next_if(|pages| pages.range.end <= mapping.range.end) {
            let at = if are_zero { None } else { Some(range.start) };
            copier.take(range, mapping, at);
        }
    }
    let copied = copier.copy()?;
    let image = copied.finish(place, mappings)?;
    Ok(Captured { large: image.large_runs(), image })
}

/// Has `to` be the same image as is in `from`, without pages that are as they would be if nobody had written to them, of which those of the
/// base are in `base`.
///
/// # Errors
/// Where a file cannot be read, or there is no room.
pub fn compact(image: &Image, from: &File, base: &File, to: &File) -> io::Result<Image> {
    let mut copier = Copier::new(None, from, Some(base), Output::File(to));
    let mut runs = image.runs.iter().peekable();
    for mapping in &image.mappings {
        while let Some(run) = runs.next_if(|run| run.range.end <= mapping.range.end) {
            copier.take(run.range.clone(), mapping, run.place());
        }
    }
    copier.copy()?.finish(image.place, image.mappings.clone())
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

/// Copies memory into an image, piece after piece.
struct Copier<'a, 'm> {
    /// The process that it is of, where there is a faster way to it than by `from`.
    pid: Option<Pid>,
    from: &'a File,
    /// Where pages are compared with it.
    base: Option<&'a File>,
    output: Output<'a>,
    /// Where the next page comes.
    at: u64,
    small: Vec<Piece<'m>>,
    large: Vec<Piece<'m>>,
    runs: Vec<Run>,
}

/// Where it is copied to.
enum Output<'a> {
    File(&'a File),
    Memory(&'a mut [u8]),
}

/// What is there when all is copied but the tables.
struct Copied<'a> {
    /// Where they come.
    at: u64,
    output: Output<'a>,
    runs: Vec<Run>,
}

impl Copied<'_> {
    /// The image, which is in the file then.
    fn finish(self, place: Place, mappings: Vec<Mapping>) -> io::Result<Image> {
        let Self { at, output, mut runs } = self;
        runs.sort_unstable_by_key(|run| run.range.start);
        let image = Image { place, mappings, runs };
        if let Output::File(file) = output {
            let (head, tables) = image.encode(at, rustix::param::page_size() as u64);
            file.write_all_at(&head, 0)?;
            file.write_all_at(&tables, at)?;
            ftruncate(file, at + tables.len() as u64)?;
        }
        Ok(image)
    }
}

/// Memory that is to be copied, of one mapping.
struct Piece<'a> {
    range: Range<u64>,
    mapping: &'a Mapping,
    /// Where it is had from.
    at: u64,
}

impl Piece<'_> {
    fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }
}

impl<'a, 'm> Copier<'a, 'm> {
    fn new(pid: Option<Pid>, from: &'a File, base: Option<&'a File>, output: Output<'a>) -> Self {
        let at = rustix::param::page_size() as u64;
        Self { pid, from, base, output, at, small: Vec::new(), large: Vec::new(), runs: Vec::new() }
    }

    /// Has memory be copied that is had from there; it is zero where that is nowhere.
    fn take(&mut self, range: Range<u64>, mapping: &'m Mapping, at: Option<u64>) {
        let Some(at) = at else {
            self.runs.push(Run { range, content: Content::Zero });
            return;
        };
        if range.end - range.start >= SHOWN_BYTES_MIN {
            self.large.push(Piece { range, mapping, at });
            return;
        }
        let mut start = range.start;
        while start < range.end {
            let end = range.end.min(start + PORTION_BYTES);
            self.small.push(Piece { range: start..end, mapping, at: at + (start - range.start) });
            start = end;
        }
    }

    /// Copies all of it.
    fn copy(mut self) -> io::Result<Copied<'a>> {
        let small = std::mem::take(&mut self.small);
        self.copy_small(&small)?;
        // Behind those that are copied by whoever loads it.
        for piece in std::mem::take(&mut self.large) {
            self.copy_large(&piece)?;
        }
        let Self { at, output, runs, .. } = self;
        Ok(Copied { at, output, runs })
    }

    fn copy_small(&mut self, mut pieces: &[Piece<'m>]) -> io::Result<()> {
        let Output::File(file) = self.output else {
            return pieces.chunks(VECTOR_MAX).try_for_each(|pieces| self.copy_at_once(pieces));
        };
        let mut portion = Vec::new();
        while !pieces.is_empty() {
            let mut bytes = 0;
            let count = pieces.iter().take(VECTOR_MAX).take_while(|piece| {
                bytes += piece.bytes();
                bytes <= PORTION_BYTES
            });
            let (now, rest) = pieces.split_at(count.count());
            let bytes: u64 = now.iter().map(Piece::bytes).sum();
            portion.resize(usize::try_from(bytes).map_err(io::Error::other)?, 0);
            read(self.pid, self.from, now, &mut portion)?;
            self.write(now, &mut portion, file)?;
            pieces = rest;
        }
        Ok(())
    }

    /// Into memory, where all of it stays.
    fn copy_at_once(&mut self, pieces: &[Piece<'m>]) -> io::Result<()> {
        let bytes = pieces.iter().map(Piece::bytes).sum();
        let (pid, from) = (self.pid, self.from);
        read(pid, from, pieces, self.memory(bytes)?)?;
        for Piece { range, mapping, .. } in pieces {
            self.keep(range.clone(), mapping, self.at);
            self.at += range.end - range.start;
        }
        Ok(())
    }

    /// The next bytes of it.
    fn memory(&mut self, bytes: u64) -> io::Result<&mut [u8]> {
        let Output::Memory(memory) = &mut self.output else { return Err(io::ErrorKind::InvalidInput.into()) };
        let range = usize::try_from(self.at).ok().zip(usize::try_from(self.at + bytes).ok());
        range.and_then(|(start, end)| memory.get_mut(start..end)).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Writes what has to be kept of it.
    fn write(&mut self, pieces: &[Piece<'_>], portion: &mut [u8], file: &File) -> io::Result<()> {
        let page = rustix::param::page_size();
        let (mut from, mut to) = (0, 0);
        let mut same = Vec::new();
        for Piece { range, mapping, .. } in pieces {
            self.compare(range, mapping, portion.get(from..).unwrap_or_default(), &mut same)?;
            for (address, index) in (range.start..range.end).step_by(page).zip(0..) {
                if same.get(index).is_none_or(|is_same| !is_same) {
                    if to < from {
                        portion.copy_within(from..from + page, to);
                    }
                    self.keep(address..address + page as u64, mapping, self.at + to as u64);
                    to += page;
                }
                from += page;
            }
        }
        file.write_all_at(portion.get(..to).unwrap_or_default(), self.at)?;
        self.at += to as u64;
        Ok(())
    }

    /// Which of the pages at the beginning of `bytes` are as they would be if nobody had written to them.
    fn compare(&self, range: &Range<u64>, mapping: &Mapping, bytes: &[u8], same: &mut Vec<bool>) -> io::Result<()> {
        same.clear();
        let Some(base) = self.base else { return Ok(()) };
        let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        let pages = bytes.get(..length).unwrap_or_default().chunks_exact(rustix::param::page_size());
        match mapping.source {
            Source::Base { offset } => {
                let mut theirs = vec![0; length];
                base.read_exact_at(&mut theirs, offset + (range.start - mapping.range.start))?;
                same.extend(
                    pages.zip(theirs.chunks_exact(rustix::param::page_size())).map(|(page, base)| page == base),
                );
            }
            Source::Nothing => same.extend(pages.map(|page| page.iter().all(|byte| *byte == 0))),
            _ => {}
        }
        Ok(())
    }

    /// A part of that mapping, which is there in the image.
    fn keep(&mut self, part: Range<u64>, mapping: &Mapping, place: u64) {
        // Each run is within one mapping.
        let is_within = part.start > mapping.range.start;
        match self.runs.last_mut() {
            Some(Run { range, content: Content::At(at) })
                if is_within && range.end == part.start && *at + (range.end - range.start) == place =>
            {
                range.end = part.end;
            }
            _ => self.runs.push(Run { range: part, content: Content::At(place) }),
        }
    }

    fn copy_large(&mut self, piece: &Piece<'_>) -> io::Result<()> {
        self.runs.push(Run { range: piece.range.clone(), content: Content::At(self.at) });
        let (from, mut portion, mut done) = (self.from, Vec::new(), 0);
        while done < piece.bytes() {
            let length = (piece.bytes() - done).min(PORTION_BYTES);
            if let Output::File(file) = self.output {
                portion.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
                from.read_exact_at(&mut portion, piece.at + done)?;
                file.write_all_at(&portion, self.at)?;
            } else {
                // By the kernel, which says where there is no memory for it; a page fault would not.
                from.read_exact_at(self.memory(length)?, piece.at + done)?;
            }
            (done, self.at) = (done + length, self.at + length);
        }
        Ok(())
    }
}

/// Reads pieces of a process, or of a file.
fn read(pid: Option<Pid>, from: &File, pieces: &[Piece<'_>], portion: &mut [u8]) -> io::Result<()> {
    if let Some(pid) = pid {
        let ranges: Vec<_> = pieces.iter().map(|piece| piece.range.clone()).collect();
        // What is closed to the process itself is not to be had this way.
        if read_process(pid, &ranges, portion).is_ok_and(|count| count == portion.len()) {
            return Ok(());
        }
    }
    let mut rest = portion;
    let mut pieces = pieces.iter().peekable();
    while let Some(piece) = pieces.next() {
        let mut end = piece.at + piece.bytes();
        while let Some(next) = pieces.next_if(|next| next.at == end) {
            end += next.bytes();
        }
        let length = usize::try_from(end - piece.at).map_err(io::Error::other)?;
        let (first, behind) = rest.split_at_mut_checked(length).ok_or(io::ErrorKind::UnexpectedEof)?;
        from.read_exact_at(first, piece.at)?;
        rest = behind;
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

#[cfg(test)]
mod tests {
    use super::super::image::Protection;
    use super::*;

    #[test]
    fn an_image_is_the_same_without_pages_that_are_as_they_were() {
        let page = rustix::param::page_size() as u64;
        let filled = |bytes: &[u8]| -> Vec<u8> {
            bytes.iter().flat_map(|byte| std::iter::repeat_n(*byte, usize::try_from(page).unwrap())).collect()
        };
        let protection = Protection { may_read: true, may_write: true, may_execute: false };
        let mapping =
            |pages: Range<u64>, source| Mapping { range: pages.start * page..pages.end * page, protection, source };
        let run = |pages: Range<u64>, at| Run {
            range: pages.start * page..pages.end * page,
            content: Content::At(at * page),
        };
        // One that is next to the other, and may not be taken for the same.
        let mappings = vec![mapping(10..14, Source::Base { offset: page }), mapping(14..17, Source::Nothing)];
        let place = Place { stack: 1, program_break: 2, thread_pointer: 3, descriptors: 4 };
        let image = Image { place, mappings, runs: vec![run(10..14, 1), run(14..17, 5)] };
        let base = crate::memory_file(c"base", &filled(&[9, 1, 2, 3, 4])).unwrap();
        let from = crate::memory_file(c"image", &filled(&[0, 1, 7, 3, 8, 5, 0, 6])).unwrap();
        let to = crate::memory_file(c"compact", b"").unwrap();
        let compacted = compact(&image, &from, &base, &to).unwrap();
        assert_eq!(compacted.runs, [run(11..12, 1), run(13..14, 2), run(14..15, 3), run(16..17, 4)]);
        assert_eq!(Image::read(&to).unwrap(), compacted);
        let mut pages = vec![0; usize::try_from(4 * page).unwrap()];
        to.read_exact_at(&mut pages, page).unwrap();
        assert_eq!(pages, filled(&[7, 8, 5, 6]));
    }

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
