//! Images without what they need not have.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::capture::PORTION_BYTES;
use super::image::{Content, Image, Mapping, Run, Source};

/// Has `to` be the same image as is in `from`, without pages that are as they would be if nobody had written to them, of which those of the
/// base are in `base`.
///
/// # Errors
/// Where a file cannot be read, or there is no room.
pub fn compact(image: &Image, from: &File, base: &File, to: &File) -> io::Result<Image> {
    let at = rustix::param::page_size() as u64;
    let runs = Vec::with_capacity(image.runs.len());
    let mut compactor = Compactor { from, base, to, at, pending: Vec::new(), runs };
    // Those that are shown from it come behind the others.
    for are_large in [false, true] {
        let mut runs = image.runs.iter().peekable();
        for mapping in &image.mappings {
            while let Some(run) = runs.next_if(|run| run.range.end <= mapping.range.end) {
                match run.content {
                    Content::At(place) if run.is_large() == are_large => {
                        compactor.copy(run, mapping, place, are_large)?
                    }
                    Content::Zero if !are_large => compactor.runs.push(run.clone()),
                    _ => {}
                }
            }
        }
    }
    compactor.flush()?;
    let Compactor { at, mut runs, .. } = compactor;
    runs.sort_unstable_by_key(|run| run.range.start);
    let compacted = Image { place: image.place, mappings: image.mappings.clone(), runs };
    compacted.write_tables(to, at)?;
    Ok(compacted)
}

/// Copies an image, piece after piece.
struct Compactor<'a> {
    from: &'a File,
    base: &'a File,
    to: &'a File,
    /// Where the next page comes.
    at: u64,
    /// Those before it that are not written yet.
    pending: Vec<u8>,
    runs: Vec<Run>,
}

impl Compactor<'_> {
    /// Copies a run of that mapping, which is there in the image; all of it where it is to stay `whole`.
    fn copy(&mut self, run: &Run, mapping: &Mapping, place: u64, whole: bool) -> io::Result<()> {
        let page = rustix::param::page_size();
        let mut portion = Vec::new();
        let mut start = run.range.start;
        while start < run.range.end {
            let range = start..run.range.end.min(start + PORTION_BYTES);
            portion.resize(usize::try_from(range.end - range.start).map_err(io::Error::other)?, 0);
            self.from.read_exact_at(&mut portion, place + (start - run.range.start))?;
            let same = if whole { Vec::new() } else { self.compare(&range, mapping, &portion)? };
            for ((index, address), content) in
                (range.start..range.end).step_by(page).enumerate().zip(portion.chunks_exact(page))
            {
                if same.get(index).is_none_or(|is_same| !is_same) {
                    self.keep(address..address + page as u64, mapping, self.at);
                    self.pending.extend(content);
                    self.at += page as u64;
                }
            }
            if self.pending.len() as u64 >= PORTION_BYTES {
                self.flush()?;
            }
            start = range.end;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.write_all_at(&self.pending, self.at - self.pending.len() as u64)?;
        self.pending.clear();
        Ok(())
    }

    /// Which of these pages are as they would be if nobody had written to them.
    fn compare(&self, range: &Range<u64>, mapping: &Mapping, bytes: &[u8]) -> io::Result<Vec<bool>> {
        let page = rustix::param::page_size();
        let pages = bytes.chunks_exact(page);
        Ok(match mapping.source {
            Source::Base { offset } => {
                let mut theirs = vec![0; bytes.len()];
                self.base.read_exact_at(&mut theirs, offset + (range.start - mapping.range.start))?;
                pages.zip(theirs.chunks_exact(page)).map(|(page, base)| page == base).collect()
            }
            Source::Nothing => pages.map(|page| page.iter().all(|byte| *byte == 0)).collect(),
            _ => Vec::new(),
        })
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
}

#[cfg(test)]
mod tests {
    use super::super::image::{Place, Protection};
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
}
