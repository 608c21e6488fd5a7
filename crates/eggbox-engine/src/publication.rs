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
    /// What there was at the last try: of what was left then, nothing can be made before there is more.
    tried: [u64; 3],
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
        let (events, last, waiting_since, tried, is_broken) = (0, None, None, ends, false);
        Self { history, stdout_at, ends, events, last, waiting_since, tried, is_broken, lines_asked }
    }

    pub(crate) fn lines_asked(&self) -> u64 {
        self.lines_asked
    }

    /// When there is something to be published that was left for later.
    pub(crate) fn due(&self, ends: [u64; 3]) -> Option<Moment> {
        let line = self.waiting_since.map(|since| since.after(LINE_PAUSE));
        let pause = self.last.filter(|_| self.events > FREE_EVENTS).map(|last| last.after(PAUSE));
        line.max(pause).filter(|_| ends != self.tried)
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
        (self.waiting_since, self.tried) = (None, ends);
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

    /// How many bytes of values nothing was made of.
    pub(crate) fn left(&self, ends: [u64; 3]) -> u64 {
        let values = Which::Values.index();
        ends[values].saturating_sub(self.ends[values])
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
            self.take(Which::Stdout, before, false, &mut pieces)?;
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

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::FileExt;

    use eggbox_sandbox::wire::ValueHeader;
    use proptest::prelude::*;

    use super::*;
    use crate::history::{Finished, Record};
    use crate::outcome::{Outcome, Usage};
    use crate::session_id::SessionId;

    /// What happens to an execution.
    #[derive(Debug, Clone)]
    enum Step {
        Print(bool, Vec<u8>),
        Show {
            length: usize,
            mark: u64,
        },
        /// Bytes that are no value.
        Junk(Vec<u8>),
        Publish,
        /// The server is killed, and another one goes on.
        Kill,
    }

    fn step() -> impl Strategy<Value = Step> {
        let text =
            prop_oneof!["[aé€🥚\n]{0,8}".prop_map(String::into_bytes), proptest::collection::vec(any::<u8>(), 0..6),];
        prop_oneof![
            4 => (any::<bool>(), text).prop_map(|(is_stderr, text)| Step::Print(is_stderr, text)),
            2 => (0..40_usize, 0..60_u64).prop_map(|(length, mark)| Step::Show { length, mark }),
            1 => proptest::collection::vec(any::<u8>(), 1..20).prop_map(Step::Junk),
            3 => Just(Step::Publish),
            1 => Just(Step::Kill),
        ]
    }

    fn reopened(history: &History) -> History {
        History::from_array(history.as_array().map(|file| OwnedFd::from(file.try_clone().unwrap()))).unwrap()
    }

    fn append(history: &History, which: Which, bytes: &[u8], ends: &mut [u64; 3]) {
        history.file(which).write_all_at(bytes, ends[which.index()]).unwrap();
        ends[which.index()] += bytes.len() as u64;
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_told_twice_whatever_happens(steps in proptest::collection::vec(step(), 0..40)) {
            let mut history = History::new(Record::new(SessionId::unique(), 0)).unwrap();
            let begun = history.begin(Begun::of_test(1)).unwrap();
            let (mut printed, mut shown, mut is_broken) = ([Vec::new(), Vec::new()], Vec::new(), false);
            let mut ends = [0; 3];
            let mut told = Vec::new();
            for step in &steps {
                match step {
                    Step::Print(is_stderr, text) => {
                        printed[usize::from(*is_stderr)].extend_from_slice(text);
                        append(&history, if *is_stderr { Which::Stderr } else { Which::Stdout }, text, &mut ends);
                    }
                    Step::Show { length, mark } => {
                        let header = ValueHeader { kind: ValueKind::Display, length: *length, stdout_bytes: *mark };
                        let value = [&header.encode().unwrap()[..], &vec![b'v'; *length]].concat();
                        append(&history, Which::Values, &value, &mut ends);
                        shown.extend((!is_broken).then_some(*length));
                    }
                    Step::Junk(bytes) => {
                        append(&history, Which::Values, &[&[255; 5], &bytes[..]].concat(), &mut ends);
                        is_broken = true;
                    }
                    Step::Publish => {
                        // Whatever the pauses are; one that goes on knows no more than the journal.
                        let pieces = Publication::new(&history, &begun).pieces(ends, false).unwrap();
                        history.go_on(&pieces, None).unwrap();
                    }
                    Step::Kill => {
                        told = history.events_of_test(1);
                        history = reopened(&history);
                        // What was told stays so.
                        prop_assert_eq!(&history.events_of_test(1)[..], &told[..]);
                    }
                }
            }
            let mut last = Publication::new(&history, &begun);
            let rest = last.rest(ends).unwrap();
            history.go_on(&rest, Some(Finished::now(Outcome::Ok, Usage::default(), [0; 3]))).unwrap();
            prop_assert_eq!(&history.events_of_test(1)[..told.len()], &told[..]);
            let output = history.output(1).unwrap();
            prop_assert_eq!(output.map(|output| output.bytes), printed);
            let lengths: Vec<_> = history.values(1).unwrap().iter().map(|value| value.body.len()).collect();
            prop_assert_eq!(lengths, shown);
            // No character is cut by what is told of a text.
            for which in [Which::Stdout, Which::Stderr] {
                let pieces = history.texts_of_test(1, which);
                let whole = String::from_utf8_lossy(&pieces.concat()).into_owned();
                let cut: String = pieces.iter().map(|piece| String::from_utf8_lossy(piece).into_owned()).collect();
                if std::str::from_utf8(&pieces.concat()).is_ok() {
                    prop_assert_eq!(cut, whole);
                }
            }
        }
    }
}
