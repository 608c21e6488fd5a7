//! An execution as a sequence of events, the same for whoever reads it, whenever that is: from its first, from any of
//! them, while it runs, long after, under another server.

use std::io;
use std::sync::Arc;

use eggbox_sandbox::wire::{VALUE_HEADER_BYTES, ValueHeader, ValueKind};

use super::kept::Piece;
use super::{ExecutionView, History, Which, read_range};

/// Why an execution cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("execution {number} is not kept any more, or never was")]
    Forgotten { number: u64 },
    #[error("what was printed cannot be read")]
    Read(#[from] io::Error),
}

/// What happened in an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Started(ExecutionView),
    /// Text of one stream, which begins and ends between characters.
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    Value(Value),
    Finished(ExecutionView),
}

/// Something that a session shows beside its output. What it says of it is not to be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    pub kind: ValueKind,
    /// JSON, or should be.
    pub body: Vec<u8>,
}

/// An event and its number in its execution, from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    pub id: u64,
    pub event: Event,
}

/// Reads the events of one execution. It holds nothing but its place.
#[derive(Debug)]
pub struct EventReader {
    history: Arc<History>,
    number: u64,
    next: u64,
}

/// Where an event is to be had.
enum Next {
    Known(Event),
    At(Piece),
    NotYet,
    None,
}

impl EventReader {
    /// Of the execution of that number, from the event `next`.
    pub(crate) fn new(history: Arc<History>, number: u64, next: u64) -> Self {
        history.watch();
        Self { history, number, next }
    }

    /// The next event, once it is there; none after the last. Cancellation loses nothing.
    ///
    /// # Errors
    /// Where the execution was forgotten meanwhile.
    pub async fn next(&mut self) -> Result<Option<EventRecord>, HistoryError> {
        let event = loop {
            let changed = self.history.changed();
            match self.history.with(self.number, |kept| kept.event(self.next)) {
                None => return Err(HistoryError::Forgotten { number: self.number }),
                Some(Next::Known(event)) => break event,
                Some(Next::At(piece)) => break self.history.read_piece(self.number, piece)?,
                Some(Next::None) => return Ok(None),
                Some(Next::NotYet) => changed.await,
            }
        };
        let id = self.next;
        self.next += 1;
        Ok(Some(EventRecord { id, event }))
    }
}

impl super::Kept {
    fn event(&self, index: u64) -> Next {
        let Some(piece) = index.checked_sub(1) else { return Next::Known(Event::Started(self.view())) };
        let piece = usize::try_from(piece).unwrap_or(usize::MAX);
        match (self.pieces.get(piece), &self.finished) {
            (Some(piece), _) => Next::At(*piece),
            (None, None) => Next::NotYet,
            (None, Some(_)) if piece == self.pieces.len() => Next::Known(Event::Finished(self.view())),
            (None, Some(_)) => Next::None,
        }
    }
}

impl History {
    fn read_piece(&self, number: u64, Piece { which, at, bytes }: Piece) -> Result<Event, HistoryError> {
        let bytes = read_range(self.file(which), at, bytes.into())?;
        self.check(number)?;
        Ok(match which {
            Which::Stdout => Event::Stdout(bytes),
            Which::Stderr => Event::Stderr(bytes),
            Which::Values => Event::Value(read_value(bytes)),
        })
    }

    /// The head of the value that begins there, where there is a whole one before `end`.
    pub(crate) fn value_at(&self, at: u64, end: u64) -> io::Result<ValueAt> {
        if end < at + VALUE_HEADER_BYTES as u64 {
            return Ok(ValueAt::NotWhole);
        }
        let mut header = [0; VALUE_HEADER_BYTES];
        std::os::unix::fs::FileExt::read_exact_at(self.file(Which::Values), &mut header, at)?;
        Ok(match ValueHeader::decode(header) {
            None => ValueAt::Broken,
            Some(header) if end - at < (VALUE_HEADER_BYTES + header.length) as u64 => ValueAt::NotWhole,
            Some(header) => ValueAt::Whole(header),
        })
    }

    /// Whether the byte before `end` ends a line.
    pub(crate) fn ends_a_line(&self, which: Which, end: u64) -> io::Result<bool> {
        Ok(read_range(self.file(which), end - 1, 1)? == b"\n")
    }

    /// How many bytes before `end` belong to a character that is not whole; 0 where none do.
    pub(crate) fn cut_character_bytes(&self, which: Which, from: u64, end: u64) -> io::Result<u64> {
        let length = (end - from).min(4);
        let tail = read_range(self.file(which), end - length, length)?;
        Ok(cut_character_bytes(&tail) as u64)
    }
}

/// What stands somewhere in the stream of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueAt {
    Whole(ValueHeader),
    NotWhole,
    /// Nothing that can be told from what comes after it.
    Broken,
}

/// How many bytes at the end of `tail`, of at least the last four bytes, begin a character (RFC 3629) and do not end it.
fn cut_character_bytes(tail: &[u8]) -> usize {
    let back = tail.iter().rev().take(4).position(|byte| byte & 0xC0 != 0x80);
    let Some(back) = back else { return 0 };
    let wanted = match tail[tail.len() - 1 - back] {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    };
    if back + 1 < wanted { back + 1 } else { 0 }
}

/// A whole value with its head.
pub(super) fn read_value(bytes: Vec<u8>) -> Value {
    let header = bytes.first_chunk().copied().and_then(ValueHeader::decode);
    let body = bytes.get(VALUE_HEADER_BYTES..).unwrap_or_default().to_vec();
    Value { kind: header.map_or(ValueKind::Display, |header| header.kind), body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_that_is_not_whole_is_found() {
        for (tail, cut) in [
            (&b""[..], 0),
            (b"abcd", 0),
            ("é".as_bytes(), 0),
            (b"a\xc3", 1),
            (b"ab\xe2\x82", 2),
            ("€".as_bytes(), 0),
            (b"\xf0\x9f\xa5", 3),
            ("🥚".as_bytes(), 0),
            (b"\x80\x80\x80\x80", 0),
            (b"abc\xff", 0),
            (b"ab\xed\xa0\x80", 0),
        ] {
            assert_eq!(cut_character_bytes(tail), cut, "{tail:?}");
        }
    }
}
