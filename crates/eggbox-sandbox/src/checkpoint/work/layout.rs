//! How the memory of a session lies that has run no code: what the work to become something else begins with.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use rustix::process::Pid;

use super::head::Span;
use super::{common, subtract};
use crate::checkpoint::image::{Content, Image, Mapping, Run, Source};
use crate::checkpoint::maps::{Found, Identity, Known, Names, Own, read_memory};

/// Where everything lies in the memory of a session that waits for its first code, and what of it is its own.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    pub(super) mappings: Vec<Own>,
    /// How much is mapped, by which the session knows whether anything has come or gone since.
    pub(super) pages: u64,
    /// Where it has written.
    pub(super) written: Vec<Range<u64>>,
}

/// Where sessions of a nest usually have pages of their own of what they share with it, in order: where the last one had them that an
/// image was taken of.
#[derive(Debug, Default)]
pub struct UsualPages(pub(super) Vec<Range<u64>>);

/// As many as a session that is made ahead may be given in vain.
pub(super) const USUAL_BYTES_MAX: u64 = 4 << 20;

impl UsualPages {
    /// Those of a session that this is an image of.
    #[must_use]
    pub fn of(image: &Image) -> Self {
        let mut runs = image.runs.iter().peekable();
        let (mut pages, mut bytes) = (Vec::new(), 0);
        for mapping in &image.mappings {
            while let Some(Run { range, content }) = runs.next_if(|run| run.range.end <= mapping.range.end) {
                let length = range.end - range.start;
                let is_usual = matches!(mapping.source, Source::Base { .. }) && *content != Content::Zero;
                if is_usual && bytes + length <= USUAL_BYTES_MAX {
                    bytes += length;
                    pages.push(range.clone());
                }
            }
        }
        Self(pages)
    }
}

impl Layout {
    /// That of a session which has its nest's base, and does nothing.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(pid: Pid, base: impl AsFd, names: &Names) -> io::Result<Self> {
        let open = |name| File::open(format!("/proc/{}/{name}", pid.as_raw_pid()));
        let known = Known { base: Identity::of(base)?, kept: None, shown: &[], names };
        let (maps, pagemap) = (open("maps")?, open("pagemap")?);
        let (mappings, written) = read_memory(&maps, &pagemap, known)?;
        let written = written.into_iter().map(|pages| pages.range).collect();
        Ok(Self { mappings, pages: mapped_pages(&open("statm")?)?, written })
    }

    /// Has the session, whose `/proc/PID/mem` this is and which does nothing yet, have pages of its own of what it shares with its nest where these are, as far as it may
    /// write there: it need not be given them when it becomes what has them. What is in them stays the same.
    ///
    /// # Errors
    /// Where its memory cannot be reached. It is what it was then, too.
    pub fn own(&mut self, memory: &File, usual: &UsualPages) -> io::Result<()> {
        let missing = self.missing(usual);
        let mut content = Vec::new();
        for Range { start, end } in &missing {
            content.resize(usize::try_from(end - start).map_err(io::Error::other)?, 0);
            memory.read_exact_at(&mut content, *start)?;
            memory.write_all_at(&content, *start)?;
        }
        self.written.extend(missing);
        self.written.sort_unstable_by_key(|range| range.start);
        Ok(())
    }

    /// What of these pages it has not written to and may.
    pub(super) fn missing(&self, UsualPages(usual): &UsualPages) -> Vec<Range<u64>> {
        let shared = self.mappings.iter().filter_map(|(range, found)| match found {
            Found::Private { mapping: Mapping { source: Source::Base { .. }, protection, .. }, .. } => {
                protection.may_write.then_some(Span { start: range.start, end: range.end })
            }
            _ => None,
        });
        let usual = shared.flat_map(|span| common(&span, usual).collect::<Vec<_>>());
        usual.flat_map(|range| subtract(&range, &self.written)).collect()
    }
}

/// How many pages are mapped, of the process whose `statm` this is (proc_pid_statm(5)). Writes to no memory but the stack.
pub(crate) fn mapped_pages(mut statm: &File) -> io::Result<u64> {
    let mut text = [0; 256];
    let count = io::Read::read(&mut statm, &mut text)?;
    let first = text.get(..count).and_then(|text| text.split(|byte| *byte == b' ').next());
    let number = first.and_then(|word| std::str::from_utf8(word).ok()).and_then(|word| word.parse().ok());
    number.ok_or_else(|| io::ErrorKind::InvalidData.into())
}
