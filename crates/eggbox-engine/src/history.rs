//! What a session has run and what came of it, in files in memory that have no name and outlive the server: a record of
//! the session, behind it a journal of its executions, and what these have printed.
//!
//! Bytes reach the files from the session's pipes without passing through this process (see [`crate::output`]). Which of
//! them belong together as one event is what the journal says, and once it has said so it never changes.

mod journal;
mod kept;
mod events;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use eggbox_sandbox::policy::WorkspacePolicy;
use rustix::fs::{FallocateFlags, MemfdFlags, fallocate, memfd_create};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::checkpoint_id::CheckpointId;
use crate::clock::Moment;
use crate::environment_name::EnvironmentName;
use crate::outcome::{Death, Outcome, Usage};
use crate::session_id::SessionId;
use crate::session_limits::AskedLimits;
use crate::wanted::Checkpointing;
use crate::workspace::copy_content;
pub(crate) use events::ValueAt;
pub use events::{Event, EventReader, EventRecord, HistoryError, Value};
pub(crate) use journal::{Begun, Finished, Which};
use journal::{EACH, Entry};
pub(crate) use kept::Pin;
pub use kept::{ExecutionState, ExecutionView};
use kept::{Kept, Piece};

/// The most bytes that a record takes: one page, which is written as a whole even by a process that is being killed.
const RECORD_BYTES_MAX: usize = 4096;
/// Behind the record: where the journal begins (u64), and how much of each file's output was dropped (three u64).
const START_AT: u64 = RECORD_BYTES_MAX as u64;
const DROPPED_AT: u64 = START_AT + 8;
/// Behind those: the journal, unless its beginning was dropped.
const JOURNAL_AT: u64 = START_AT + 64;
/// What memory is given back in.
const PAGE_BYTES: u64 = 4096;

/// What the files are called, in their order.
const FILES: [&str; 4] = ["record", "stdout", "stderr", "values"];

/// How many executions are kept before the last one at least, and how many bytes of theirs.
pub const EXECUTIONS_KEPT_MAX: usize = 100;
/// How many more there may be before they are forgotten.
const FORGOTTEN_AT_ONCE: usize = 20;
const BYTES_KEPT_MAX: u64 = 1024 * 1024;

/// The files of one session, and what stands in them.
#[derive(Debug)]
pub(crate) struct History {
    /// The record, and behind it the journal.
    record: File,
    /// What was printed, by [`Which`].
    printed: [File; 3],
    state: Mutex<State>,
    /// Told whenever an execution begins, goes on or ends.
    changed: Arc<Notify>,
    /// Somebody reads the events of the execution that runs, or will.
    is_watched: AtomicBool,
    /// Told when somebody begins to.
    watched: Notify,
}

#[derive(Debug)]
struct State {
    record: Record,
    /// Variables that were given to its interpreter, and are to the next.
    variables: BTreeMap<String, String>,
    /// Where that stands in the journal.
    variables_at: u64,
    /// Oldest first; the last may be running.
    executions: Vec<Kept>,
    journal: Span,
    /// As far as the journal says.
    printed_end: [u64; 3],
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u64,
    end: u64,
}

/// What a session is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: SessionId,
    pub(crate) created: Moment,
    /// The same by the time of day.
    pub(crate) created_at: SystemTime,
    /// What it was to have less of than others.
    pub(crate) asked: AskedLimits,
    /// Of which it is. One of a server that had only one has none written down.
    #[serde(default)]
    pub(crate) environment: EnvironmentName,
    /// What whoever made it wants to find it by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
    /// What code may do to the files of its workspace, where that was asked for.
    #[serde(default)]
    pub(crate) files: Option<WorkspacePolicy>,
    /// What its control group had counted of out-of-memory kills before it began.
    pub(crate) kills_before: u64,
    /// The generation of the streams that it writes to.
    pub(crate) generation: u32,
    /// That which it was forked from, if it was.
    #[serde(default)]
    pub(crate) parent: Option<SessionId>,
    /// That from which it goes on, if there is one.
    #[serde(default)]
    pub(crate) checkpoint: Option<CheckpointId>,
    /// The nest whose memory it has, where that is not the one that it is in.
    #[serde(default)]
    pub(crate) base: Option<String>,
    /// Whether it takes others by itself.
    #[serde(default)]
    pub(crate) checkpoints: Checkpointing,
    /// How often an execution was undone as it ended the interpreter.
    #[serde(default)]
    pub(crate) rewinds: u32,
    /// How often it was given another interpreter.
    #[serde(default)]
    pub(crate) restarts: u32,
    /// When the process was forked that it is of; none of one that was made ahead and is nobody's.
    #[serde(default)]
    pub(crate) process: Option<Moment>,
}

impl History {
    pub(crate) fn new(record: Record) -> io::Result<Self> {
        let file = |name| memfd_create(name, MemfdFlags::CLOEXEC).map(File::from);
        let state = State {
            record,
            variables: BTreeMap::new(),
            variables_at: 0,
            executions: Vec::new(),
            journal: Span { start: JOURNAL_AT, end: JOURNAL_AT },
            printed_end: [0; 3],
        };
        let printed = [file("stdout")?, file("stderr")?, file("values")?];
        let history = Self::hold(file("record")?, printed, state);
        history.write_record(&history.state().record)?;
        Ok(history)
    }

    /// In the order in which they are kept elsewhere.
    pub(crate) fn as_array(&self) -> [&File; 4] {
        let [stdout, stderr, values] = &self.printed;
        [&self.record, stdout, stderr, values]
    }

    /// Reads what another server has written.
    pub(crate) fn from_array(files: [OwnedFd; 4]) -> io::Result<Self> {
        let [record, stdout, stderr, values] = files.map(File::from);
        let mut page = [0; RECORD_BYTES_MAX];
        record.read_exact_at(&mut page, 0)?;
        // It is padded.
        let read = serde_json::from_slice(page.trim_ascii_end())?;
        let start = read_number(&record, START_AT)?.max(JOURNAL_AT);
        let mut bytes = vec![0; usize::try_from(length(&record)?.saturating_sub(start)).map_err(io::Error::other)?];
        record.read_exact_at(&mut bytes, start)?;
        let mut state = State {
            record: read,
            variables: BTreeMap::new(),
            variables_at: 0,
            executions: Vec::new(),
            journal: Span { start, end: start },
            printed_end: [0; 3],
        };
        let mut rest = &bytes[..];
        while let Some((entry, taken)) = Entry::decode(rest)? {
            state.take(entry);
            state.journal.end += taken as u64;
            rest = &rest[taken..];
        }
        // A server that was killed may have begun another.
        record.set_len(state.journal.end.max(JOURNAL_AT))?;
        Ok(Self::hold(record, [stdout, stderr, values], state))
    }

    /// Writes everything to files in that folder.
    pub(crate) fn write_to(&self, folder: &Path) -> io::Result<u64> {
        let _state = self.state();
        let written = self.as_array().into_iter().zip(FILES).map(|(from, name)| {
            let file = File::options().write(true).create_new(true).mode(0o600).open(folder.join(name))?;
            copy_content(from, &file)
        });
        written.sum()
    }

    /// The same in memory again.
    pub(crate) fn read(folder: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        for name in FILES {
            let file = File::from(memfd_create(name, MemfdFlags::CLOEXEC)?);
            copy_content(&File::open(folder.join(name))?, &file)?;
            files.push(OwnedFd::from(file));
        }
        Self::from_array(files.try_into().map_err(|_| io::ErrorKind::InvalidData)?)
    }

    /// Its session goes on as that process, maybe after another start of the host, whose clock is another.
    pub(crate) fn wake(&self, kills_before: u64, process: Moment) -> io::Result<()> {
        self.update(|record| {
            let age = SystemTime::now().duration_since(record.created_at).unwrap_or_default();
            record.created = Moment::now().before(age);
            (record.kills_before, record.generation) = (kills_before, 0);
            record.process = Some(process);
        })
    }

    fn hold(record: File, printed: [File; 3], state: State) -> Self {
        // Of what runs already, by a server before this one.
        let running = state.executions.last().filter(|last| last.finished.is_none());
        let is_watched = AtomicBool::new(running.is_some_and(|running| running.begun.options != 0));
        let (state, changed) = (Mutex::new(state), Arc::default());
        Self { record, printed, state, changed, is_watched, watched: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self) -> Record {
        self.state().record.clone()
    }

    /// When it was made, and what it was to have less of than others.
    pub(crate) fn age(&self) -> (Moment, AskedLimits) {
        let record = &self.state().record;
        (record.created, record.asked)
    }

    /// Returns when something has changed since it was called.
    pub(crate) fn changed(&self) -> OwnedNotified {
        Arc::clone(&self.changed).notified_owned()
    }

    /// Has events made of the execution that runs as it goes.
    fn watch(&self) {
        if !self.is_watched.swap(true, Ordering::Relaxed) {
            self.watched.notify_one();
        }
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Relaxed)
    }

    /// Returns when somebody begins to watch.
    pub(crate) async fn watched(&self) {
        self.watched.notified().await;
    }

    /// Changes the record and writes it down.
    ///
    /// # Errors
    /// Where it would be longer than a page; it is as it was then.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Record)) -> io::Result<()> {
        let mut state = self.state();
        let mut record = state.record.clone();
        change(&mut record);
        self.write_record(&record)?;
        state.record = record;
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    fn write_record(&self, record: &Record) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(record)?;
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(io::Error::other("a record is longer than a page"));
        }
        bytes.resize(RECORD_BYTES_MAX, b' ');
        self.record.write_all_at(&bytes, 0)
    }

    /// The file that output goes to.
    pub(crate) fn file(&self, which: Which) -> &File {
        &self.printed[which.index()]
    }

    /// Where its next output goes.
    pub(crate) fn printed_end(&self) -> [u64; 3] {
        self.state().printed_end
    }

    pub(crate) fn write_dropped(&self, which: Which, bytes: u64) -> io::Result<()> {
        self.record.write_all_at(&bytes.to_le_bytes(), DROPPED_AT + 8 * which.index() as u64)
    }

    pub(crate) fn read_dropped(&self, which: Which) -> io::Result<u64> {
        read_number(&self.record, DROPPED_AT + 8 * which.index() as u64)
    }

    pub(crate) fn set_variables(&self, variables: BTreeMap<String, String>) -> io::Result<()> {
        self.append(&mut self.state(), [Entry::Variables(variables)])
    }

    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        self.state().variables.clone()
    }

    /// Writes down that an execution begins, and forgets what is too long ago. Returns where its output goes.
    pub(crate) fn begin(&self, mut begun: Begun) -> io::Result<Begun> {
        self.is_watched.store(begun.options != 0, Ordering::Relaxed);
        let mut state = self.state();
        begun.at = state.printed_end;
        // What could not be made events of.
        for (at, file) in begun.at.iter_mut().zip(&self.printed).skip(Which::Values.index()) {
            *at = if begun.options == 0 { *at } else { length(file)? };
        }
        if state.executions.last().is_some_and(|last| last.has_dropped()) {
            self.record.write_all_at(&[0; 24], DROPPED_AT)?;
        }
        self.append(&mut state, [Entry::Begun(begun.clone())])?;
        self.forget_old(&mut state)?;
        drop(state);
        self.changed.notify_waiters();
        Ok(begun)
    }

    /// Writes down that the execution that has begun begins only now.
    pub(crate) fn begin_again(&self, begun: Begun) -> io::Result<()> {
        self.append(&mut self.state(), [Entry::Begun(begun)])
    }

    /// Writes down what the execution that runs has produced, and how it ended, if it has.
    pub(crate) fn go_on(&self, pieces: &[(Which, u32)], finished: Option<Finished>) -> io::Result<()> {
        let pieces = pieces.iter().map(|&(which, bytes)| Entry::Piece { which, bytes });
        self.append(&mut self.state(), pieces.chain(finished.map(Entry::Finished)))?;
        self.changed.notify_waiters();
        Ok(())
    }

    fn append(&self, state: &mut State, entries: impl IntoIterator<Item = Entry>) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(512);
        let entries: Vec<Entry> = entries.into_iter().collect();
        for entry in &entries {
            entry.encode(&mut bytes)?;
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.record.write_all_at(&bytes, state.journal.end)?;
        for entry in entries {
            state.take(entry);
        }
        state.journal.end += bytes.len() as u64;
        Ok(())
    }

    /// Gives back the memory of executions beyond those that are kept. In an order in which a server that is killed in between
    /// leaves either what was there or what is to be.
    fn forget_old(&self, state: &mut State) -> io::Result<()> {
        let Some((_, before)) = state.executions.split_last() else { return Ok(()) };
        let too_many = match before.len() {
            // Some at once: it takes system calls.
            count if count >= EXECUTIONS_KEPT_MAX + FORGOTTEN_AT_ONCE => count - EXECUTIONS_KEPT_MAX,
            _ => 0,
        };
        let mut bytes = 0;
        let fitting = before.iter().rev().take_while(|kept| {
            bytes += kept.bytes();
            bytes <= BYTES_KEPT_MAX
        });
        let too_large = before.len() - fitting.count();
        let pinned = before.iter().position(Kept::is_pinned).unwrap_or(before.len());
        let forgotten = too_many.max(too_large).min(pinned);
        let (Some(first), Some(kept)) = (state.executions.first(), state.executions.get(forgotten)) else {
            return Ok(());
        };
        if forgotten == 0 {
            return Ok(());
        }
        let (from, start, at) = (first.begun.at, kept.journal_at, kept.begun.at);
        if !state.variables.is_empty() && state.variables_at < start {
            let variables = Entry::Variables(state.variables.clone());
            self.append(state, [variables])?;
        }
        self.record.write_all_at(&start.to_le_bytes(), START_AT)?;
        // But for the page with what stands before the journal.
        give_back(&self.record, state.journal.start.max(START_AT + PAGE_BYTES), start)?;
        for which in EACH {
            give_back(self.file(which), from[which.index()], at[which.index()])?;
        }
        state.journal.start = start;
        state.executions.drain(..forgotten);
        Ok(())
    }

    /// The execution that runs has ended in a way that cannot be written down as it was.
    pub(crate) fn abandon(&self, death: &Death) {
        let Some(running) = self.running() else { return };
        let usage = Usage { wall: Moment::now().since(running.began), ..Usage::default() };
        // Where even this fails, its readers wait for what will not come until the session is forgotten.
        let _ = self.go_on(&[], Some(Finished::now(Outcome::Died(death.clone()), usage, [0; 3])));
    }

    /// The execution that has ended last was undone.
    pub(crate) fn rewound(&self) -> io::Result<()> {
        self.update(|record| record.rewinds += 1)?;
        let mut state = self.state();
        let finished = state.executions.last().and_then(|last| last.finished.clone());
        let rewound = finished.map(|finished| Finished { outcome: finished.outcome.clone().rewound(), ..finished });
        self.append(&mut state, rewound.map(Entry::Finished))
    }

    /// Whether its interpreter has ended with the last execution.
    pub(crate) fn last_ended_it(&self) -> bool {
        let state = self.state();
        let last = state.executions.last().and_then(|last| last.finished.as_ref());
        last.is_some_and(|finished| finished.outcome.death().is_some())
    }

    /// The number of the execution before that which was begun last; 0 where there is none.
    pub(crate) fn number_before_last(&self) -> u64 {
        self.state().executions.iter().rev().nth(1).map_or(0, |kept| kept.begun.number)
    }

    pub(crate) fn restarts(&self) -> u32 {
        self.state().record.restarts
    }

    /// Whether its last execution was ended for another interpreter that it never got.
    pub(crate) fn awaits_restart(&self) -> bool {
        let state = self.state();
        state.executions.last().is_some_and(|last| {
            let is_restarted =
                last.finished.as_ref().is_some_and(|ended| ended.outcome == Outcome::Died(Death::Restarted));
            is_restarted && last.begun.restarts == state.record.restarts
        })
    }
}

impl Record {
    /// Of a session that is made now.
    pub(crate) fn new(id: SessionId, kills_before: u64) -> Self {
        Self {
            id,
            created: Moment::now(),
            created_at: SystemTime::now(),
            asked: AskedLimits::default(),
            environment: EnvironmentName::default(),
            labels: BTreeMap::new(),
            files: None,
            kills_before,
            generation: 0,
            parent: None,
            checkpoint: None,
            base: None,
            checkpoints: Checkpointing::Off,
            rewinds: 0,
            restarts: 0,
            process: None,
        }
    }
}

impl State {
    fn take(&mut self, entry: Entry) {
        match entry {
            // Never sent to the session by the server that has begun it.
            Entry::Begun(again) if again.number == self.executions.last().map_or(0, |last| last.begun.number) => {
                if let Some(last) = self.executions.last_mut() {
                    last.begun = again;
                }
            }
            Entry::Begun(begun) => {
                self.printed_end = begun.at;
                self.executions.push(Kept::new(begun, self.journal.end));
            }
            Entry::Variables(variables) => {
                (self.variables, self.variables_at) = (variables, self.journal.end);
            }
            Entry::Piece { which, bytes } => {
                let at = self.printed_end[which.index()];
                self.printed_end[which.index()] += u64::from(bytes);
                if let Some(last) = self.executions.last_mut() {
                    last.take(Piece { which, at, bytes });
                }
            }
            Entry::Finished(finished) => {
                if let Some(last) = self.executions.last_mut() {
                    last.finished = Some(finished);
                }
            }
        }
    }
}

/// Punches the whole pages before `to`, from the one of `from` on: what is before that is forgotten, too.
fn give_back(file: &File, from: u64, to: u64) -> io::Result<()> {
    let from = from / PAGE_BYTES * PAGE_BYTES;
    let length = (to / PAGE_BYTES * PAGE_BYTES).saturating_sub(from);
    if length == 0 {
        return Ok(());
    }
    Ok(fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, from, length)?)
}

fn read_number(file: &File, at: u64) -> io::Result<u64> {
    let mut bytes = [0; 8];
    let length = file.read_at(&mut bytes, at)?;
    Ok(if length == bytes.len() { u64::from_le_bytes(bytes) } else { 0 })
}

fn length(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.len())
}

/// The bytes of a file that only this server writes.
pub(crate) fn read_whole(file: &File) -> io::Result<Vec<u8>> {
    read_range(file, 0, length(file)?)
}

fn read_range(file: &File, at: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    if length > 0 {
        file.read_exact_at(&mut bytes, at)?;
    }
    Ok(bytes)
}
