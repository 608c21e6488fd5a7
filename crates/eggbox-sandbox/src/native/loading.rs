//! Becoming what an image says: from the mappings of this process to those of the image, in steps that the kernel does.
//!
//! Everything is read and checked first. Then there is no way back: whatever goes wrong ends the process.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags, open};

use crate::checkpoint::{
    Content, Found, Identity, Image, ImageError, Known, Mapping, Protection, Run, Source, read_maps,
};
use crate::sys::inside;
use crate::sys::suspension::{Arena, HAS_TO_BE, Span, Step, Work, code_address, program_break, thread_pointer};

/// Kept between an arena and anything else.
const ARENA_DISTANCE: u64 = 1 << 20;

/// What is there to load an image with.
struct Loader<'a> {
    image: &'a Image,
    given: &'a Given,
    /// Of the mappings that files have to be opened for.
    files: HashMap<&'a [u8], OwnedFd>,
    /// Where nothing that this process has written is to be left.
    cleared: Vec<Span>,
    steps: Vec<Step>,
    /// Then these are filled from the image, each from where it says.
    filled: Vec<(Span, u64)>,
    /// Then the rest.
    last_steps: Vec<Step>,
}

/// A mapping of this process as it is now.
type Own = (Range<u64>, Found);

/// What an image is loaded with.
#[derive(Debug)]
pub(super) struct Given {
    /// What the image is, but for its pages.
    pub(super) tables: File,
    /// These.
    pub(super) image: File,
    pub(super) base: File,
    /// Other images, by their numbers.
    pub(super) shown: Vec<File>,
    /// A run of so many bytes is shown from the image, which the server has room for.
    pub(super) shown_bytes_min: u64,
    /// See [`Place`](crate::checkpoint::Place).
    pub(super) descriptors: u64,
}

/// Has this process become what the image says, where `told` is what it hears then.
///
/// Returns only where that is not possible.
pub(super) fn become_image(given: Given, told: u64) -> io::Error {
    match try_become(given, told) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn try_become(given: Given, told: u64) -> io::Result<std::convert::Infallible> {
    let page = rustix::param::page_size() as u64;
    let image = Image::read(&given.tables, given.image.metadata()?.len(), page).map_err(|error| match error {
        ImageError::Read(error) => error,
        other => io::Error::other(other),
    })?;
    let mut loader = Loader {
        image: &image,
        given: &given,
        files: HashMap::new(),
        // All of the memory that this takes is there before it is looked at what there is.
        cleared: Vec::with_capacity(image.mappings.len() * 2 + image.runs.len() + 1024),
        steps: Vec::with_capacity(image.mappings.len() * 4 + image.runs.len() + 1024),
        filled: Vec::with_capacity(image.runs.len()),
        last_steps: Vec::with_capacity(image.runs.len() + 1024),
    };
    let known = Known { base: Identity::of(&given.base)?, kept: None, shown: &[] };
    let own = read_maps(&File::open("/proc/self/maps")?, known)?;
    check_place(&image, &given, &own)?;
    loader.open_files(&own)?;
    loader.plan(&own, program_break())?;
    let Loader { cleared, steps, filled, last_steps, files, .. } = loader;
    let work = Work {
        cleared: &cleared,
        steps: &steps,
        filled: &filled,
        image: given.image.as_raw_fd(),
        last_steps: &last_steps,
        stack: image.place.stack,
        told,
    };
    let bytes = work.arena_bytes();
    let place = gap(&own, &image.mappings, bytes as u64 + 2 * ARENA_DISTANCE);
    let place = place.ok_or_else(|| io::Error::other("there is no room for the memory to load it by"))?;
    let arena = Arena::map(place + ARENA_DISTANCE, bytes)?;
    // Until those of the image are there to take them.
    inside::block_signals(u64::MAX)?;
    // The steps close them.
    std::mem::forget(files);
    // SAFETY: see `plan`: nothing that the steps touch is the arena's, the kernel's or code of this library, which both
    // processes have from the nest.
    unsafe { arena.become_image(&work) }
}

impl<'a> Loader<'a> {
    /// Opens every file that a mapping of the image shows and this process does not.
    fn open_files(&mut self, own: &[Own]) -> io::Result<()> {
        for mapping in &self.image.mappings {
            let Source::File { path, identity, .. } = &mapping.source else { continue };
            let (_, there) = piece_at(own, mapping.range.start, mapping.range.end);
            let is_there = there.is_some_and(|(range, found)| is_same_at(found, range, mapping, &mapping.range));
            if is_there || self.files.contains_key(path.as_slice()) {
                continue;
            }
            let named = |error: io::Error| {
                io::Error::new(error.kind(), format!("{} is mapped: {error}", String::from_utf8_lossy(path)))
            };
            let name = CString::new(path.as_slice())?;
            let file = open(name.as_c_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            let file = file.map_err(|error| named(error.into()))?;
            if Identity::of(&file)? != *identity {
                return Err(named(io::Error::other("a copy of it is another file")));
            }
            self.files.insert(path, file);
        }
        Ok(())
    }

    /// All steps, in their order.
    fn plan(&mut self, own: &[Own], own_break: u64) -> io::Result<()> {
        let image = self.image;
        let wanted: Vec<_> = image.mappings.iter().map(|mapping| mapping.range.clone()).collect();
        let heap_end = image.place.program_break;
        // Before its end is unmapped: the kernel takes the break back only along with what is mapped there.
        self.call(libc::SYS_brk, [heap_end, 0, 0, 0, 0, 0]);
        for (range, found) in own {
            if !is_fixed(found) {
                for piece in subtract(range, &wanted) {
                    self.call(libc::SYS_munmap, [piece.start, piece.end - piece.start, 0, 0, 0, 0]);
                }
            }
        }
        // Where something was in the way before; it has to be there now, or the C library would use what is not.
        self.call(libc::SYS_brk, [heap_end, HAS_TO_BE, 0, 0, 0, 0]);
        let page = rustix::param::page_size() as u64;
        let grown = own_break.next_multiple_of(page)..heap_end.next_multiple_of(page);
        for mapping in &image.mappings {
            if matches!(mapping.source, Source::Stack | Source::Kernels) {
                continue;
            }
            let mut at = mapping.range.start;
            while at < mapping.range.end {
                let (piece, there) = piece_at(own, at, mapping.range.end);
                at = piece.end;
                match there {
                    Some((range, found)) if is_same_at(found, range, mapping, &piece) => {
                        if protection_of(found) != Some(mapping.protection) {
                            self.protect(&piece, mapping.protection);
                        }
                        self.clear(&piece, mapping);
                    }
                    _ if mapping.source == Source::Nothing && grown.start <= piece.start && piece.end <= grown.end => {
                        // Made by brk(2): by a step, or by what this process has allocated since.
                        self.protect(&piece, mapping.protection);
                        self.clear(&piece, mapping);
                    }
                    _ => self.map(&piece, mapping)?,
                }
            }
        }
        self.fill();
        let files: Vec<RawFd> = self.files.values().map(AsRawFd::as_raw_fd).collect();
        let given = [&self.given.tables, &self.given.image, &self.given.base].into_iter().chain(&self.given.shown);
        for file in files.into_iter().chain(given.map(AsRawFd::as_raw_fd)) {
            let arguments = [u64::from(file.cast_unsigned()), 0, 0, 0, 0, 0];
            self.last_steps.push(Step { call: libc::SYS_close.cast_unsigned(), arguments });
        }
        Ok(())
    }

    /// Puts the pages of the image in their places.
    fn fill(&mut self) {
        let (image, image_fd) = (self.image, self.given.image.as_raw_fd());
        let mut runs = image.runs.iter().peekable();
        for mapping in &image.mappings {
            let mut is_opened = mapping.protection.may_write;
            while let Some(Run { range, content }) = runs.next_if(|run| run.range.end <= mapping.range.end) {
                let length = range.end - range.start;
                match *content {
                    Content::At(at) if length >= self.given.shown_bytes_min && mapping.source != Source::Stack => {
                        self.show(range, mapping.protection, libc::MAP_PRIVATE, image_fd, at);
                    }
                    Content::At(at) => {
                        if !is_opened {
                            is_opened = true;
                            let writable = Protection { may_read: true, may_write: true, may_execute: false };
                            self.protect(&mapping.range, writable);
                            self.last_steps.push(protection_step(&mapping.range, mapping.protection));
                        }
                        self.filled.push((Span { start: range.start, end: range.end }, at));
                    }
                    Content::Zero => match mapping.source {
                        Source::Nothing => {}
                        _ => self.show(range, mapping.protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0),
                    },
                }
            }
        }
    }

    /// Has a piece of a mapping be as it was before this process wrote to it, but where it is overwritten anyway.
    fn clear(&mut self, piece: &Range<u64>, mapping: &Mapping) {
        let rest = subtract(piece, &copied(&self.image.runs, piece, mapping));
        self.cleared.extend(rest.into_iter().map(|Range { start, end }| Span { start, end }));
    }

    fn map(&mut self, piece: &Range<u64>, mapping: &Mapping) -> io::Result<()> {
        let skipped = piece.start - mapping.range.start;
        let (flags, file, offset) = match &mapping.source {
            Source::Nothing => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE, -1, 0),
            Source::Base { offset } => (libc::MAP_PRIVATE, self.given.base.as_raw_fd(), offset + skipped),
            Source::File { path, offset, .. } => {
                let file = self.files.get(path.as_slice()).ok_or(io::ErrorKind::NotFound)?;
                (libc::MAP_PRIVATE, file.as_raw_fd(), offset + skipped)
            }
            Source::Image { file, offset } => {
                let shown = usize::try_from(*file).ok().and_then(|file| self.given.shown.get(file));
                let shown = shown.ok_or_else(|| io::Error::other("an image that it shows parts of is not there"))?;
                (libc::MAP_PRIVATE, shown.as_raw_fd(), offset + skipped)
            }
            Source::Stack | Source::Kernels => return Ok(()),
        };
        self.show(piece, mapping.protection, flags, file, offset);
        Ok(())
    }

    fn show(&mut self, range: &Range<u64>, protection: Protection, flags: i32, file: RawFd, offset: u64) {
        let flags = u64::from((flags | libc::MAP_FIXED).cast_unsigned());
        let file = i64::from(file).cast_unsigned();
        self.call(libc::SYS_mmap, [range.start, range.end - range.start, protection.bits(), flags, file, offset]);
    }

    fn protect(&mut self, range: &Range<u64>, protection: Protection) {
        self.steps.push(protection_step(range, protection));
    }

    fn call(&mut self, call: i64, arguments: [u64; 6]) {
        self.steps.push(Step { call: call.cast_unsigned(), arguments });
    }
}

fn protection_step(range: &Range<u64>, protection: Protection) -> Step {
    let arguments = [range.start, range.end - range.start, protection.bits(), 0, 0, 0];
    Step { call: libc::SYS_mprotect.cast_unsigned(), arguments }
}

/// What neither process can have elsewhere.
fn is_fixed(found: &Found) -> bool {
    matches!(found, Found::Private { mapping, .. } if matches!(mapping.source, Source::Stack | Source::Kernels))
}

/// That the image is of a process which what the kernel knows of this one holds for, too: they are forks of one nest, or of two that
/// were started alike.
fn check_place(image: &Image, given: &Given, own: &[Own]) -> io::Result<()> {
    let elsewhere = |what: &str| Err(io::Error::other(format!("{what} elsewhere in this start of the interpreter")));
    if image.place.thread_pointer != thread_pointer() {
        return elsewhere("its thread's memory lies");
    }
    if image.place.descriptors != given.descriptors {
        return elsewhere("the descriptors that it is talked to by are");
    }
    let kernels = |mappings: &mut dyn Iterator<Item = &Mapping>| -> Vec<Range<u64>> {
        mappings.filter(|mapping| mapping.source == Source::Kernels).map(|mapping| mapping.range.clone()).collect()
    };
    let mut private = own.iter().filter_map(|(_, found)| match found {
        Found::Private { mapping, .. } => Some(mapping),
        Found::Shared(_) => None,
    });
    if kernels(&mut image.mappings.iter()) != kernels(&mut private) {
        return elsewhere("the kernel's own pages lie");
    }
    let stack_end = |source: &Source, end: u64| (*source == Source::Stack).then_some(end);
    let theirs = image.mappings.iter().find_map(|mapping| stack_end(&mapping.source, mapping.range.end));
    let ours = own.iter().find_map(|(range, found)| match found {
        Found::Private { mapping, .. } => stack_end(&mapping.source, range.end),
        Found::Shared(_) => None,
    });
    if theirs != ours {
        return elsewhere("its stack lies");
    }
    // What is run while everything else changes.
    let at = code_address();
    let is_there = image.mappings.iter().find(|mapping| mapping.range.contains(&at)).is_some_and(|mapping| {
        let (piece, there) = piece_at(own, mapping.range.start, mapping.range.end);
        piece.end == mapping.range.end && there.is_some_and(|(range, found)| is_same_at(found, range, mapping, &piece))
    });
    if is_there { Ok(()) } else { elsewhere("the code of its session lies") }
}

fn protection_of(found: &Found) -> Option<Protection> {
    match found {
        Found::Private { mapping, .. } => Some(mapping.protection),
        Found::Shared(_) => None,
    }
}

/// Whether `found`, a mapping of this process at `range`, shows the same as `mapping` does in all of `piece`.
fn is_same_at(found: &Found, range: &Range<u64>, mapping: &Mapping, piece: &Range<u64>) -> bool {
    let Found::Private { mapping: own, is_whole: false } = found else { return false };
    if piece.start < range.start || range.end < piece.end {
        return false;
    }
    let at = |start: u64, offset: u64| offset.wrapping_add(piece.start - start);
    match (&own.source, &mapping.source) {
        (Source::Nothing, Source::Nothing) => true,
        (Source::Base { offset: ours }, Source::Base { offset: theirs }) => {
            at(range.start, *ours) == at(mapping.range.start, *theirs)
        }
        (
            Source::File { identity: ours, offset: our_offset, .. },
            Source::File { identity: theirs, offset: their_offset, .. },
        ) => ours == theirs && at(range.start, *our_offset) == at(mapping.range.start, *their_offset),
        _ => false,
    }
}

/// What of `own` is at `at`, and how far that goes, at most to `end`.
fn piece_at(own: &[Own], at: u64, end: u64) -> (Range<u64>, Option<&Own>) {
    let next = own.partition_point(|(range, _)| range.end <= at);
    match own.get(next) {
        Some(there) if there.0.start <= at => (at..there.0.end.min(end), Some(there)),
        Some((range, _)) => (at..range.start.min(end), None),
        None => (at..end, None),
    }
}

/// What of `range` is not in `taken`, which is in order.
fn subtract(range: &Range<u64>, taken: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut rest = Vec::new();
    let mut at = range.start;
    for other in &taken[taken.partition_point(|other| other.end <= range.start)..] {
        if other.start >= range.end {
            break;
        }
        if at < other.start {
            rest.push(at..other.start);
        }
        at = at.max(other.end);
    }
    if at < range.end {
        rest.push(at..range.end);
    }
    rest
}

/// The parts of `range`, in `mapping`, that pages of the image are put in the place of.
fn copied(runs: &[Run], range: &Range<u64>, mapping: &Mapping) -> Vec<Range<u64>> {
    let first = runs.partition_point(|run| run.range.end <= range.start);
    let within = runs[first..].iter().take_while(|run| run.range.start < range.end);
    let is_put = |run: &&Run| run.content != Content::Zero || mapping.source != Source::Nothing;
    within.filter(is_put).map(|run| run.range.clone()).collect()
}

/// Where there is nothing, neither now nor in the image: the beginning of the middle of the largest such place that has so
/// many bytes.
fn gap(own: &[Own], wanted: &[Mapping], bytes: u64) -> Option<u64> {
    let mut taken: Vec<_> = own.iter().map(|(range, _)| range.clone()).collect();
    taken.extend(wanted.iter().map(|mapping| mapping.range.clone()));
    taken.sort_unstable_by_key(|range| range.start);
    let page = rustix::param::page_size() as u64;
    let (mut end, mut largest) = (taken.first()?.end, 0..0);
    for range in taken {
        // The kernel's page for old programs stands alone at the end of all addresses.
        if range.start > end && range.start - end > largest.end - largest.start && range.start < 1 << 47 {
            largest = end..range.start;
        }
        end = end.max(range.end);
    }
    let middle = (largest.start + (largest.end - largest.start) / 2) / page * page;
    (largest.end.saturating_sub(middle) > bytes).then_some(middle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_not_in_the_rest() {
        assert_eq!(subtract(&(10..20), &[0..5, 25..30]), [10..20]);
        assert_eq!(subtract(&(10..20), &[5..12, 14..16, 19..25]), [12..14, 16..19]);
        assert_eq!(subtract(&(10..20), &[5..25]), []);
    }
}
