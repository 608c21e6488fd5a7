//! An execution that is remembered.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use eggbox_sandbox::wire::ValueKind;

use super::events::{Value, read_value};
use super::{Begun, Finished, History, HistoryError, Which, length, read_range};
use crate::outcome::{Outcome, Output, Usage};
use crate::request::Idempotency;

/// What the journal has of it.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) begun: Begun,
    /// Where in the journal it begins.
    pub(super) journal_at: u64,
    pub(super) pieces: Vec<Piece>,
    /// How much of each file that is.
    lengths: [u64; 3],
    pub(super) finished: Option<Finished>,
    /// Whoever has a copy of it may still want to read this.
    pin: Arc<()>,
}

/// Keeps an execution from being forgotten.
#[derive(Debug, Clone)]
pub(crate) struct Pin(#[expect(dead_code, reason = "it is counted")] Arc<()>);

/// Bytes of a file that are one event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) which: Which,
    pub(super) at: u64,
    pub(super) bytes: u32,
}

/// An execution as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionView {
    /// In its session, from 1.
    pub number: u64,
    pub state: ExecutionState,
    pub began_at: SystemTime,
}

/// How far an execution is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecutionState {
    Running,
    Finished {
        outcome: Outcome,
        usage: Usage,
        ended_at: SystemTime,
        /// Of stdout, of stderr, of values: what is kept, and what came after that.
        kept_bytes: [u64; 3],
        dropped_bytes: [u64; 3],
    },
}

impl Kept {
    pub(super) fn new(begun: Begun, journal_at: u64) -> Self {
        Self { begun, journal_at, pieces: Vec::new(), lengths: [0; 3], finished: None, pin: Arc::default() }
    }

    /// It goes on with this.
    pub(super) fn take(&mut self, piece: Piece) {
        self.lengths[piece.which.index()] += u64::from(piece.bytes);
        self.pieces.push(piece);
    }

    /// How much it printed that is kept.
    pub(super) fn bytes(&self) -> u64 {
        self.lengths.iter().sum()
    }

    pub(super) fn is_pinned(&self) -> bool {
        Arc::strong_count(&self.pin) > 1
    }

    pub(super) fn has_dropped(&self) -> bool {
        self.finished.as_ref().is_none_or(|finished| finished.dropped_bytes != [0; 3])
    }

    pub(super) fn view(&self) -> ExecutionView {
        let Begun { number, began_at, .. } = self.begun;
        let state = self.finished.as_ref().map_or(ExecutionState::Running, |finished| ExecutionState::Finished {
            outcome: finished.outcome.clone(),
            usage: finished.usage,
            ended_at: finished.ended_at,
            kept_bytes: self.lengths,
            dropped_bytes: finished.dropped_bytes,
        });
        ExecutionView { number, state, began_at }
    }

    /// Where what it has printed to that file so far is.
    fn range(&self, which: Which) -> (u64, u64) {
        (self.begun.at[which.index()], self.lengths[which.index()])
    }
}

impl History {
    /// Of executions that are not forgotten, from the oldest.
    pub(crate) fn executions(&self) -> Vec<ExecutionView> {
        self.state().executions.iter().map(Kept::view).collect()
    }

    pub(crate) fn execution(&self, number: u64) -> Option<ExecutionView> {
        self.with(number, Kept::view)
    }

    /// Has it kept until the pin is dropped; none where it is forgotten.
    pub(crate) fn pin(&self, number: u64) -> Option<Pin> {
        self.with(number, |kept| Pin(Arc::clone(&kept.pin)))
    }

    /// The last that was begun.
    pub(crate) fn last(&self) -> Option<ExecutionView> {
        self.state().executions.last().map(Kept::view)
    }

    /// Its number; 0 before the first.
    pub(crate) fn last_number(&self) -> u64 {
        self.state().executions.last().map_or(0, |kept| kept.begun.number)
    }

    /// The execution under way.
    pub(crate) fn running(&self) -> Option<Begun> {
        let state = self.state();
        state.executions.last().filter(|last| last.finished.is_none()).map(|last| last.begun.clone())
    }

    /// Since when nobody has used it; none while something runs.
    pub(crate) fn idle_since(&self) -> Option<crate::clock::Moment> {
        let state = self.state();
        match state.executions.last() {
            None => Some(state.record.created),
            // One of before another start of the host may seem to be ahead.
            Some(last) => last.finished.as_ref().map(|finished| finished.ended.min(crate::clock::Moment::now())),
        }
    }

    /// What its control group had counted of out-of-memory kills before the last execution.
    pub(crate) fn kills_before(&self) -> u64 {
        let state = self.state();
        state.executions.last().map_or(state.record.kills_before, |last| last.begun.kills_before)
    }

    /// The execution that was asked for under this key, and whether the same was asked.
    pub(crate) fn asked(&self, idempotency: Idempotency) -> Option<(u64, bool)> {
        self.state().executions.iter().rev().find_map(|kept| {
            let is_same = kept.begun.idempotency?.matches(idempotency)?;
            Some((kept.begun.number, is_same))
        })
    }

    /// What it has printed to stdout and stderr.
    pub(crate) fn output(&self, number: u64) -> Result<[Output; 2], HistoryError> {
        let (stdout, stderr, dropped) = self
            .with(number, |kept| {
                let dropped = kept.finished.as_ref().map(|finished| finished.dropped_bytes);
                (kept.range(Which::Stdout), kept.range(Which::Stderr), dropped)
            })
            .ok_or(HistoryError::Forgotten { number })?;
        let is_running = dropped.is_none();
        let dropped = dropped.unwrap_or_default();
        let read = |which, (at, kept), dropped_bytes| -> io::Result<Output> {
            // No events may have been made of the last of it.
            let bytes = if is_running { length(self.file(which))?.saturating_sub(at) } else { kept };
            Ok(Output { bytes: read_range(self.file(which), at, bytes)?, dropped_bytes })
        };
        let output = [read(Which::Stdout, stdout, dropped[0])?, read(Which::Stderr, stderr, dropped[1])?];
        self.check(number)?;
        Ok(output)
    }

    /// How much it has printed and shown that is kept.
    pub(crate) fn output_bytes(&self, number: u64) -> u64 {
        self.with(number, Kept::bytes).unwrap_or(0)
    }

    /// What it has shown beside its output, in its order.
    pub(crate) fn values(&self, number: u64) -> Result<Vec<Value>, HistoryError> {
        let pieces: Vec<Piece> = self
            .with(number, |kept| kept.pieces.iter().filter(|piece| piece.which == Which::Values).copied().collect())
            .ok_or(HistoryError::Forgotten { number })?;
        let values = pieces
            .into_iter()
            .map(|piece| Ok(read_value(read_range(self.file(Which::Values), piece.at, piece.bytes.into())?)))
            .collect::<io::Result<_>>()?;
        self.check(number)?;
        Ok(values)
    }

    /// How many lines it has asked for.
    pub(crate) fn lines_asked(&self, number: u64) -> u64 {
        let values = self.values(number).unwrap_or_default();
        values.iter().filter(|value| value.kind == ValueKind::InputRequest).count() as u64
    }

    pub(super) fn with<T>(&self, number: u64, act: impl FnOnce(&Kept) -> T) -> Option<T> {
        let state = self.state();
        let at = state.executions.binary_search_by_key(&number, |kept| kept.begun.number).ok()?;
        state.executions.get(at).map(act)
    }

    /// What was read of it was still there.
    pub(super) fn check(&self, number: u64) -> Result<(), HistoryError> {
        self.with(number, |_| ()).ok_or(HistoryError::Forgotten { number })
    }
}
