//! Makes events of what an execution has produced: decides which bytes belong together, and in which order what came by
//! different ways is told.

use std::io;
use std::time::Duration;

use eggbox_sandbox::wire::{VALUE_HEADER_BYTES, ValueKind};

use crate::clock::Moment;
use crate::history::{Begun, History, ValueAt, Which};

/// The most bytes of one event of output.
const PIECE_BYTES_MAX: u64 = 256 * 1024;
/// An execution that has produced more events than this produces one of output a [`PAUSE`] at most, so that printing byte
/// by byte does not fill the server's memory with events.
const FREE_EVENTS: usize = 4096;
const PAUSE: Duration = Duration::from_millis(20);

/// How long the beginning of a line waits for the rest of it: `print` writes what it is given and the end of the line one
/// after the other.
const LINE_PAUSE: Duration = Duration::from_millis(2);

/// How much of an execution events were made of.
#[derive(Debug)]
pub(crate) struct Publication<'a> {
    history: &'a History,
    stdout_at: u64,
    /// How far in each file.
    ends: [u64; 3],
    events: usize,
    last: Option<Moment>,
    /// Since when the beginning of a line waits.
    waiting_since: Option<Moment>,
    /// The stream of values makes no sense any more.
    is_broken: bool,
    /// How many lines the code has asked for.
    lines_asked: u64,
}

pub(crate) type Pieces = Vec<(Which, u32)>;

impl<'a> Publication<'a> {
    /// Of an execution of which nothing was published, or what the journal says.
    pub(crate) fn new(history: &'a History, begun: &Begun) -> Self {
        let (ends, lines_asked) = (history.printed_end(), history.lines_asked(begun.number));
        let stdout_at = begun.at[0];
        Self { history, stdout_at, ends, events: 0, last: None, waiting_since: None, is_broken: false, lines_asked }
    }

    pub(crate) fn lines_asked(&self) -> u64 {
        self.lines_asked
    }

    /// When there is something to be published that was left for later.
    pub(crate) fn due(&self, ends: [u64; 3]) -> Option<Moment> {
        let line = self.waiting_since.map(|since| since.after(LINE_PAUSE));
        let pause = self.last.filter(|_| self.events > FREE_EVENTS).map(|last| last.after(PAUSE));
        line.max(pause).filter(|_| ends != self.ends)
    }

    /// Writes down what is in the files up to these places.
    pub(crate) fn go_on(&mut self, ends: [u64; 3]) -> io::Result<()> {
        let now = Moment::now();
        if self.waiting_since.is_none() && self.is_within_a_line(ends)? {
            self.waiting_since = Some(now);
        }
        if self.due(ends).is_some_and(|due| due > now) {
            return Ok(());
        }
        self.waiting_since = None;
        let pieces = self.pieces(ends, false)?;
        if pieces.is_empty() {
            return Ok(());
        }
        self.events += pieces.len();
        self.last = Some(now);
        self.history.go_on(&pieces, None)
    }

    /// The rest, at the end of the execution.
    pub(crate) fn rest(&mut self, ends: [u64; 3]) -> io::Result<Pieces> {
        self.pieces(ends, true)
    }

    /// Whether what is new is no more than the beginning of a line.
    fn is_within_a_line(&self, ends: [u64; 3]) -> io::Result<bool> {
        let [stdout, stderr, values] = ends;
        let is_new = |which: Which| ends[which.index()] > self.ends[which.index()];
        for (which, end) in [(Which::Stdout, stdout), (Which::Stderr, stderr)] {
            if is_new(which) && self.history.ends_a_line(which, end)? {
                return Ok(false);
            }
        }
        Ok(values == self.ends[Which::Values.index()])
    }

    fn pieces(&mut self, ends: [u64; 3], is_last: bool) -> io::Result<Pieces> {
        let [stdout_end, stderr_end, values_end] = ends;
        let mut pieces = Pieces::new();
        while !self.is_broken {
            let [stdout, _, at] = self.ends;
            let header = match self.history.value_at(at, values_end)? {
                ValueAt::Whole(header) => header,
                ValueAt::NotWhole => break,
                ValueAt::Broken => {
                    self.is_broken = true;
                    break;
                }
            };
            // What was printed before it; what it says of that cannot go beyond what there is.
            let before = self.stdout_at.saturating_add(header.stdout_bytes).clamp(stdout, stdout_end);
            self.take(Which::Stdout, before, true, &mut pieces)?;
            self.take(Which::Stderr, stderr_end, is_last, &mut pieces)?;
            let length = (VALUE_HEADER_BYTES + header.length) as u64;
            self.ends[2] += length;
            self.lines_asked += u64::from(header.kind == ValueKind::InputRequest);
            pieces.push((Which::Values, u32::try_from(length).map_err(io::Error::other)?));
        }
        self.take(Which::Stdout, stdout_end, is_last, &mut pieces)?;
        self.take(Which::Stderr, stderr_end, is_last, &mut pieces)?;
        Ok(pieces)
    }

    /// Up to `end`, or to the last whole character before it unless it is `whole`.
    fn take(&mut self, which: Which, end: u64, whole: bool, pieces: &mut Pieces) -> io::Result<()> {
        let index = usize::from(which == Which::Stderr);
        while self.ends[index] < end {
            let from = self.ends[index];
            let to = end.min(from + PIECE_BYTES_MAX);
            let is_whole = whole && to == end;
            let cut = if is_whole { 0 } else { self.history.cut_character_bytes(which, from, to)? };
            let bytes = to - cut - from;
            if bytes == 0 {
                break;
            }
            self.ends[index] += bytes;
            pieces.push((which, u32::try_from(bytes).map_err(io::Error::other)?));
        }
        Ok(())
    }
}
