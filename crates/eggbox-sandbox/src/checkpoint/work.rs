//! What has to be done to a process for it to become what an image says: from the mappings that it has to those of the image, in
//! steps that the kernel does. It is worked out here, from outside, where there is memory to do it in; the process maps what comes
//! of it, looks whether it is what it was, and does it.

mod layout;
mod head;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, memfd_create};

pub(crate) use self::head::{
    Batch, DESCRIPTORS_MAX, HAS_TO_BE, HEAD_BYTES, Head, NO_ARRIVAL, Piece, Span, Step, Table,
};
use self::head::{FILE_WORDS, WORD_BYTES, WantedFile};
#[cfg(feature = "native")]
pub(crate) use self::layout::mapped_pages;
pub use self::layout::{Layout, UsualPages};
use super::capture::PORTION_BYTES;
use super::image::{Content, Image, Mapping, Protection, Run, Source};
use super::image_memory::seal;
use super::maps::{Found, Own};
use crate::sys::memory::VECTOR_MAX;

/// Kept between an arena and anything else.
const ARENA_DISTANCE: u64 = 1 << 20;
/// Enough for one function that calls none but the kernel, and for what a build for debugging adds to that.
const STACK_BYTES: u64 = 256 * 1024;

/// What an image is loaded with, beside itself.
#[derive(Debug, Clone, Copy)]
pub struct Given {
    /// How many other images there are, that it may have parts of.
    pub shown: usize,
    /// A run of so many bytes is shown from the image, and not copied.
    pub shown_bytes_min: u64,
    /// Its base is the one that the session has.
    pub has_its_base: bool,
    /// Its pages are still to come: the descriptor behind that of the base says how far they have.
    pub is_coming: bool,
}

pub(crate) const IMAGE: u64 = 0;
const BASE: u64 = 1;
/// Says how far the image is there, where it is not whole.
const ARRIVAL: u64 = 2;

impl Given {
    /// How many descriptors there are before those of other images.
    fn first_shown(&self) -> usize {
        if self.is_coming { 3 } else { 2 }
    }
}

/// The work by which a session of that layout becomes what the image says, as a file in memory for it.
///
/// # Errors
/// Where no work could do that.
pub fn work(image: &Image, layout: &Layout, given: Given) -> io::Result<File> {
    check_place(image, layout)?;
    let mut worker = Worker::new(image, given);
    worker.plan(layout);
    let bytes = worker.encode(layout)?;
    let file = memfd_create(c"work", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?.into();
    File::write_all_at(&file, &bytes, 0)?;
    seal(&file)?;
    Ok(file)
}

/// That the image is of a process which what the kernel knows of this one holds for, too: they are forks of one nest, or of two that
/// were started alike.
fn check_place(image: &Image, layout: &Layout) -> io::Result<()> {
    let elsewhere = |what: &str| Err(io::Error::other(elsewhere(what)));
    let is_kernels = |mapping: &&Mapping| mapping.source == Source::Kernels;
    let range = |mapping: &Mapping| mapping.range.clone();
    let private = || {
        layout.mappings.iter().filter_map(|(_, found)| match found {
            Found::Private { mapping, .. } => Some(mapping),
            Found::Shared(_) => None,
        })
    };
    let theirs = image.mappings.iter().filter(is_kernels).map(range);
    if !theirs.eq(private().filter(is_kernels).map(range)) {
        return elsewhere("the kernel's own pages lie");
    }
    let is_stack = |mapping: &&Mapping| mapping.source == Source::Stack;
    let stack_end = |mapping: &Mapping| mapping.range.end;
    if image.mappings.iter().find(is_stack).map(stack_end) != private().find(is_stack).map(stack_end) {
        return elsewhere("its stack lies");
    }
    Ok(())
}

/// What is said where something lies elsewhere in the process than in the image.
pub(crate) fn elsewhere(what: &str) -> String {
    format!("{what} elsewhere in this start of the interpreter")
}

/// Where a process is to have nothing of its own.
struct Cleared {
    span: Span,
    /// Where in the base is what shows there then, if it can be written there: whoever has written to it is likely to do so again,
    /// and has a page for it already.
    base: Option<u64>,
}

/// What is known of the work so far.
struct Worker<'a> {
    image: &'a Image,
    given: Given,
    files: Vec<WantedFile>,
    numbers: HashMap<&'a [u8], u64>,
    cleared: Vec<Cleared>,
    steps: Vec<Step>,
    /// Each from where it is in the image.
    filled: Vec<(Range<u64>, u64)>,
    last_steps: Vec<Step>,
}

impl<'a> Worker<'a> {
    fn new(image: &'a Image, given: Given) -> Self {
        Self {
            image,
            given,
            files: Vec::new(),
            numbers: HashMap::new(),
            cleared: Vec::with_capacity(image.mappings.len() + image.runs.len()),
            steps: Vec::with_capacity(image.mappings.len()),
            filled: Vec::with_capacity(image.runs.len()),
            last_steps: Vec::new(),
        }
    }

    /// All steps, in their order.
    fn plan(&mut self, layout: &Layout) {
        let (image, own) = (self.image, &layout.mappings);
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
        for mapping in &image.mappings {
            if matches!(mapping.source, Source::Stack | Source::Kernels) {
                continue;
            }
            let mut at = mapping.range.start;
            while at < mapping.range.end {
                let (piece, there) = piece_at(own, at, mapping.range.end);
                at = piece.end;
                match there {
                    Some((range, found)) if self.is_same_at(found, range, mapping, &piece) => {
                        if protection_of(found) != Some(mapping.protection) {
                            self.steps.push(protection_step(&piece, mapping.protection));
                        }
                        self.clear(&piece, mapping);
                    }
                    _ => self.map(&piece, mapping),
                }
            }
        }
        self.fill();
    }

    /// Whether `found`, a mapping of the process at `range`, shows the same as `mapping` does in all of `piece`.
    fn is_same_at(&self, found: &Found, range: &Range<u64>, mapping: &Mapping, piece: &Range<u64>) -> bool {
        let Found::Private { mapping: own, is_whole: false } = found else { return false };
        if piece.start < range.start || range.end < piece.end {
            return false;
        }
        let at = |start: u64, offset: u64| offset.wrapping_add(piece.start - start);
        match (&own.source, &mapping.source) {
            (Source::Nothing, Source::Nothing) => true,
            (Source::Base { offset: ours }, Source::Base { offset: theirs }) => {
                self.given.has_its_base && at(range.start, *ours) == at(mapping.range.start, *theirs)
            }
            (
                Source::File { identity: ours, offset: our_offset, .. },
                Source::File { identity: theirs, offset: their_offset, .. },
            ) => ours == theirs && at(range.start, *our_offset) == at(mapping.range.start, *their_offset),
            _ => false,
        }
    }

    /// Puts the pages of the image in their places.
    fn fill(&mut self) {
        let image = self.image;
        let mut runs = image.runs.iter().peekable();
        for mapping in &image.mappings {
            let mut is_opened = mapping.protection.may_write;
            while let Some(Run { range, content }) = runs.next_if(|run| run.range.end <= mapping.range.end) {
                let length = range.end - range.start;
                match *content {
                    Content::At(at) if length >= self.given.shown_bytes_min && mapping.source != Source::Stack => {
                        self.show(range, mapping.protection, libc::MAP_PRIVATE, IMAGE, at);
                    }
                    Content::At(at) => {
                        if !is_opened {
                            is_opened = true;
                            let writable = Protection { may_read: true, may_write: true, may_execute: false };
                            self.steps.push(protection_step(&mapping.range, writable));
                            self.last_steps.push(protection_step(&mapping.range, mapping.protection));
                        }
                        self.filled.push((range.clone(), at));
                    }
                    Content::Zero => match mapping.source {
                        Source::Nothing => {}
                        _ => self.show(range, mapping.protection, NO_FILE, u64::MAX, 0),
                    },
                }
            }
        }
    }

    /// Has a piece of a mapping be as it was before the process wrote to it, but where it is overwritten anyway.
    fn clear(&mut self, piece: &Range<u64>, mapping: &Mapping) {
        let rest = subtract(piece, &copied(&self.image.runs, piece, mapping));
        let base = |start: u64| match mapping.source {
            Source::Base { offset } if mapping.protection.may_write => {
                Some(offset.wrapping_add(start - mapping.range.start))
            }
            _ => None,
        };
        let cleared = |Range { start, end }| Cleared { span: Span { start, end }, base: base(start) };
        self.cleared.extend(rest.into_iter().map(cleared));
    }

    fn map(&mut self, piece: &Range<u64>, mapping: &'a Mapping) {
        let skipped = piece.start - mapping.range.start;
        let (flags, file, offset) = match &mapping.source {
            Source::Nothing => (NO_FILE | libc::MAP_NORESERVE, u64::MAX, 0),
            Source::Base { offset } => (libc::MAP_PRIVATE, BASE, offset.wrapping_add(skipped)),
            Source::File { path, identity, offset } => {
                let number = *self.numbers.entry(path).or_insert_with(|| {
                    self.files.push(WantedFile { path: path.clone(), identity: *identity });
                    (self.given.first_shown() + self.given.shown + self.files.len() - 1) as u64
                });
                (libc::MAP_PRIVATE, number, offset.wrapping_add(skipped))
            }
            Source::Image { file, offset } => (
                libc::MAP_PRIVATE,
                (self.given.first_shown() as u64).saturating_add(*file),
                offset.wrapping_add(skipped),
            ),
            Source::Stack | Source::Kernels => return,
        };
        self.show(piece, mapping.protection, flags, file, offset);
    }

    fn show(&mut self, range: &Range<u64>, protection: Protection, flags: i32, file: u64, offset: u64) {
        let flags = u64::from((flags | libc::MAP_FIXED).cast_unsigned());
        self.call(libc::SYS_mmap, [range.start, range.end - range.start, protection.bits(), flags, file, offset]);
    }

    fn call(&mut self, call: i64, arguments: [u64; 6]) {
        self.steps.push(Step { call: call.cast_unsigned(), arguments });
    }

    /// The file that has it.
    fn encode(&self, layout: &Layout) -> io::Result<Vec<u8>> {
        let Self { image, given, files, cleared, steps, filled, last_steps, .. } = self;
        let shown_max = image.mappings.iter().filter_map(|mapping| match mapping.source {
            Source::Image { file, .. } => Some(file),
            _ => None,
        });
        if shown_max.max().is_some_and(|file| file >= given.shown as u64) {
            return Err(io::Error::other("an image that it shows parts of is not there"));
        }
        let descriptors = given.first_shown() + given.shown + files.len();
        if descriptors > DESCRIPTORS_MAX {
            return Err(io::Error::other("it has mapped too many files"));
        }
        let (mut written, mut from_base) = (Vec::new(), Vec::new());
        for Cleared { span, base } in cleared {
            for Range { start, end } in common(span, &layout.written) {
                match base {
                    Some(base) => from_base.push((start..end, base.wrapping_add(start - span.start))),
                    None => written.push(Span { start, end }),
                }
            }
        }
        let (mut batches, mut pieces) = (Vec::new(), Vec::with_capacity(filled.len() + from_base.len()));
        add_batches(IMAGE, filled, &mut batches, &mut pieces);
        add_batches(BASE, &from_base, &mut batches, &mut pieces);
        let mut words = vec![0; HEAD_BYTES / WORD_BYTES];
        let mut table = |items: &mut dyn Iterator<Item = u64>, words_each: usize| {
            let first = words.len();
            words.extend(items);
            let count = (words.len() - first) / words_each;
            Table { first: (first * WORD_BYTES) as u64, count: count as u64 }
        };
        let step = |step: &Step| [step.call].into_iter().chain(step.arguments);
        let span = |span: &Span| [span.start, span.end];
        let cleared = table(&mut cleared.iter().flat_map(|cleared| span(&cleared.span)), 2);
        let written = table(&mut written.iter().flat_map(span), 2);
        let steps = table(&mut steps.iter().flat_map(step), 7);
        let batches =
            table(&mut batches.iter().flat_map(|batch| [batch.file, batch.place, batch.first, batch.count]), 4);
        let pieces = table(&mut pieces.iter().flat_map(|piece| [piece.start, piece.bytes]), 2);
        let last_steps = table(&mut last_steps.iter().flat_map(step), 7);
        let descriptors = table(&mut std::iter::repeat_n(0, descriptors), 1);
        let file =
            |WantedFile { path, identity }: &WantedFile| [path.len() as u64, identity.device_word(), identity.inode];
        let files_table = table(&mut files.iter().flat_map(file), FILE_WORDS);
        let paths = files.iter().map(|file| file.path.len()).sum::<usize>();
        let page = rustix::param::page_size() as u64;
        let file_bytes = (words.len() * WORD_BYTES + paths) as u64;
        let mapped_bytes = file_bytes.next_multiple_of(page);
        let bytes = mapped_bytes + STACK_BYTES;
        let place = gap(&layout.mappings, &image.mappings, bytes + 2 * ARENA_DISTANCE);
        let start = place.ok_or_else(|| io::Error::other("there is no room for the memory to load it by"))?;
        let head = Head {
            start: start + ARENA_DISTANCE,
            file_bytes: mapped_bytes,
            bytes,
            pages: layout.pages,
            stack: image.place.stack,
            thread_pointer: image.place.thread_pointer,
            numbers: image.place.descriptors,
            told: 0,
            arrival: if given.is_coming { ARRIVAL } else { NO_ARRIVAL },
            cleared,
            written,
            steps,
            batches,
            pieces,
            last_steps,
            files: files_table,
            descriptors,
        };
        for (word, of_head) in words.iter_mut().zip(head.words()) {
            *word = of_head;
        }
        let mut encoded: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        for file in files {
            encoded.extend(&file.path);
        }
        encoded.resize(usize::try_from(mapped_bytes).map_err(io::Error::other)?, 0);
        Ok(encoded)
    }
}

const NO_FILE: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;

/// As much as comes at once, where it comes.
const BATCH_BYTES: u64 = PORTION_BYTES;

/// What is read by one call lies in one piece in the file. It is not much, so that it need not wait long for the last of it.
fn add_batches(file: u64, filled: &[(Range<u64>, u64)], batches: &mut Vec<Batch>, pieces: &mut Vec<Piece>) {
    let mut end = None;
    for (Range { start, end: piece_end }, place) in filled {
        let bytes = piece_end - start;
        let has_room = |batch: &Batch| batch.count < VECTOR_MAX as u64 && place + bytes - batch.place <= BATCH_BYTES;
        match batches.last_mut().filter(|batch| end == Some(*place) && has_room(batch)) {
            Some(batch) => batch.count += 1,
            None => batches.push(Batch { file, place: *place, first: pieces.len() as u64, count: 1 }),
        }
        end = Some(place.wrapping_add(bytes));
        pieces.push(Piece { start: *start, bytes });
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

fn protection_of(found: &Found) -> Option<Protection> {
    match found {
        Found::Private { mapping, .. } => Some(mapping.protection),
        Found::Shared(_) => None,
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

/// What of the span is in `ranges`, which are in order.
fn common(span: &Span, ranges: &[Range<u64>]) -> impl Iterator<Item = Range<u64>> {
    let first = ranges.partition_point(|range| range.end <= span.start);
    let within = ranges[first..].iter().take_while(|range| range.start < span.end);
    within.map(|range| range.start.max(span.start)..range.end.min(span.end))
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
mod tests;
