//! What a server takes over from the one before it: nests, sessions that live in them, and ends that nobody was told of.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use eggbox_sandbox::wire::{Exit, WIRE_VERSION};
use rustix::process::Signal;

use crate::checkpoints::Bases;
use crate::clock::Moment;
use crate::code_file::CodeFile;
use crate::config::EngineConfig;
use crate::engine::chain;
use crate::history::{Finished, History, Which};
use crate::keeper::{Entry, Keeper};
use crate::kept::{self, GoneNote, NestDescriptors, NestNote, SessionNote};
use crate::nest::{Inventory, Nest, NestError};
use crate::outcome::{Death, Outcome, Usage};
use crate::output::Collector;
use crate::publication::Publication;
use crate::session::Session;
use crate::session_id::SessionId;
use crate::session_limits::SessionLimits;
use crate::session_process::{SessionDescriptors, SessionProcess, stream};
use crate::slots::Slots;
use crate::watchdog::Watchdog;

/// Sessions of the server before.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    pub(crate) living: Vec<Session>,
    /// Those that have ended without anybody having been told.
    pub(crate) ended: Vec<Ended>,
}

/// A session that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) id: SessionId,
    pub(crate) death: Death,
    /// What it has run, where that is still there.
    pub(crate) history: Option<Arc<History>>,
}

/// Who takes over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heir<'a> {
    pub(crate) config: &'a Arc<EngineConfig>,
    pub(crate) slots: &'a Slots,
    pub(crate) watchdog: &'a Watchdog,
    pub(crate) keeper: &'a Arc<Keeper>,
    pub(crate) bases: &'a Bases,
}

/// A session as the keeper had it.
struct KeptSession {
    key: String,
    note: SessionNote,
    descriptors: SessionDescriptors,
    code: CodeFile,
    history: History,
}

type Nests = HashMap<String, (Arc<Nest>, Inventory)>;

impl Heir<'_> {
    /// Takes over what the keeper holds.
    pub(crate) async fn inherit(self, entries: Vec<Entry>) -> (Vec<Arc<Nest>>, Inherited) {
        let (mut nests, mut inherited): (Nests, _) = (HashMap::new(), Inherited::default());
        let (mut sessions, mut late) = (Vec::new(), Vec::new());
        for entry in entries {
            if kept::is_nest(&entry.key) {
                self.take_nest(entry, &mut nests).await;
            } else if kept::is_session(&entry.key) {
                sessions.extend(self.read_session(entry).await);
            } else if let Some((name, generation)) = kept::parse_late_key(&entry.key) {
                late.push((name.to_owned(), generation, entry));
            } else if kept::is_gone(&entry.key)
                && let Ok(GoneNote { id, death }) = serde_json::from_str(&entry.note)
            {
                let history = kept::history_from_kept(entry.descriptors).map(Arc::new);
                inherited.ended.push(Ended { id, death, history });
            }
        }
        self.take_sessions(sessions, &mut nests, &mut inherited).await;
        for (name, generation, entry) in late {
            match inherited.living.iter_mut().find(|session| session.kept_name() == name) {
                Some(session) => session.late.adopt(generation, entry),
                None => self.keeper.remove(&entry.key).await,
            }
        }
        let nests: Vec<_> = nests.into_values().map(|(nest, _)| nest).collect();
        if !nests.is_empty() {
            let (living, ended) = (inherited.living.len(), inherited.ended.len());
            tracing::info!(nests = nests.len(), sessions = living, ended, "took over what the server before left");
        }
        (nests, inherited)
    }

    async fn take_nest(self, entry: Entry, nests: &mut Nests) {
        match adopt_nest(&entry.note, entry.descriptors, self.slots).await {
            Ok((nest, inventory)) => {
                nests.insert(nest.note.name.clone(), (nest, inventory));
            }
            Err(error) => {
                tracing::error!(error = chain(&error), "a nest of the server before this one cannot be taken over");
                self.keeper.remove(&entry.key).await;
            }
        }
    }

    async fn read_session(self, Entry { key, note, descriptors }: Entry) -> Option<KeptSession> {
        let read = read_session(&key, &note, descriptors).and_then(|session| {
            // What an operator takes from an owner holds for the sessions that live, too.
            if let Some(owner) = session.history.record().id.owner().and_then(|owner| self.config.owners.get(owner)) {
                session.history.update(|record| record.asked = record.asked.and(&owner.of_session))?;
            }
            Ok(session)
        });
        match read {
            Ok(session) => Some(session),
            Err(error) => {
                tracing::error!(%error, key, "a session of the server before this one cannot be read");
                self.keeper.remove(&key).await;
                None
            }
        }
    }

    /// The living first: an end that a session of the same name has outlived was told, or nobody needs to be told of.
    async fn take_sessions(self, sessions: Vec<KeptSession>, nests: &mut Nests, inherited: &mut Inherited) {
        let mut youngest: HashMap<(String, u32), Moment> = HashMap::new();
        for SessionNote { nest, slot, created } in sessions.iter().map(|session| &session.note) {
            let known = youngest.entry((nest.clone(), *slot)).or_insert(*created);
            *known = (*known).max(*created);
        }
        let mut ended = Vec::new();
        for session in sessions {
            let SessionNote { nest, slot, created } = session.note.clone();
            let has_slot = youngest.get(&(nest.clone(), slot)) == Some(&created);
            let end = nests
                .get_mut(&nest)
                .filter(|_| has_slot)
                .and_then(|(nest, inventory)| inventory.living.remove(&slot).map(|end| (Arc::clone(nest), end)));
            let Some((nest, end)) = end else {
                ended.push(session);
                continue;
            };
            let KeptSession { key, note, descriptors, code, history } = session;
            let id = history.record().id;
            let adopted = SessionProcess::new(slot, descriptors, end)
                .and_then(|process| Session::adopt(&nest, process, code, history, note, self));
            match adopted {
                // One that was made ahead, or whose place another has taken.
                Ok(session) if !session.is_current() => session.dismiss(),
                Ok(session) => inherited.living.push(session),
                Err(error) => {
                    tracing::error!(%error, session = %id, "a session of the server before this one cannot be taken over");
                    self.tell_later(Ended { id, death: Death::Unobserved, history: None }, &key, inherited).await;
                }
            }
        }
        let living: HashSet<_> = inherited.living.iter().map(|session| session.id.clone()).collect();
        let known: HashSet<_> = inherited.ended.iter().map(|ended| ended.id.clone()).collect();
        inherited.ended.retain(|ended| !living.contains(&ended.id));
        for session in ended {
            let record = session.history.record();
            let id = record.id;
            let is_current = record.process == Some(session.note.created);
            if living.contains(&id) || known.contains(&id) || !is_current {
                self.keeper.remove(&session.key).await;
                continue;
            }
            let limits = SessionLimits::of(self.config).lowered(&record.asked);
            let death = why_ended(&session, nests, limits);
            let KeptSession { key, descriptors, history, .. } = session;
            if let Err(error) = close(descriptors, &history, &death, limits.output_bytes_max) {
                tracing::error!(%error, session = %id, "what a session has printed last is lost");
                history.abandon(&death);
            }
            self.tell_later(Ended { id, death, history: Some(Arc::new(history)) }, &key, inherited).await;
        }
    }

    /// In this order: a server that is killed here leaves the end to the next one in any case.
    async fn tell_later(self, ended: Ended, key: &str, inherited: &mut Inherited) {
        keep_end(self.keeper, &ended).await;
        self.keeper.remove(key).await;
        inherited.ended.push(ended);
    }
}

/// Of a session that is no more: takes what it has printed out of its pipes, and writes down what its execution came to,
/// if one was under way.
fn close(descriptors: SessionDescriptors, history: &History, death: &Death, output_bytes_max: usize) -> io::Result<()> {
    let Some(running) = history.running() else { return Ok(()) };
    let (mut ends, mut dropped_bytes) = ([0; 3], [0; 3]);
    let SessionDescriptors { stdout, stderr, values, .. } = descriptors;
    for (pipe, which) in [(stdout, Which::Stdout), (stderr, Which::Stderr), (values, Which::Values)] {
        let index = which.index();
        let mut collector = Collector::of_begun(history, which, running.at[index], output_bytes_max)?;
        if which != Which::Values || running.options != 0 {
            collector.drain(&stream(pipe)?);
        }
        (ends[index], dropped_bytes[index]) = (collector.end(), collector.dropped_bytes());
    }
    let rest = Publication::new(history, &running).rest(ends)?;
    let usage = Usage { wall: Moment::now().since(running.began), ..Usage::default() };
    let finished = Finished::now(Outcome::Died(death.clone()), usage, dropped_bytes);
    history.go_on(&rest, Some(finished))
}

fn read_session(key: &str, note: &str, descriptors: Vec<OwnedFd>) -> io::Result<KeptSession> {
    let note = serde_json::from_str(note)?;
    let (descriptors, code, history) = kept::session_from_kept(descriptors)?;
    Ok(KeptSession { key: key.to_owned(), note, descriptors, code, history })
}

async fn adopt_nest(note: &str, descriptors: Vec<OwnedFd>, slots: &Slots) -> Result<(Arc<Nest>, Inventory), NestError> {
    let note: NestNote = serde_json::from_str(note).map_err(io::Error::from)?;
    if note.wire_version != WIRE_VERSION {
        let why = format!("it speaks version {} of our protocol, this server {WIRE_VERSION}", note.wire_version);
        return Err(io::Error::other(why).into());
    }
    let descriptors = NestDescriptors::from_kept(descriptors).ok_or(io::Error::other("descriptors are missing"))?;
    let (nest, inventory) = Nest::adopt(note, descriptors, slots).await?;
    Ok((Arc::new(nest), inventory))
}

/// Why a session has ended while no server was there.
fn why_ended(session: &KeptSession, nests: &Nests, limits: SessionLimits) -> Death {
    let SessionNote { nest, slot, .. } = &session.note;
    let Some((nest, inventory)) = nests.get(nest) else { return Death::Nest };
    let Some(exit) = inventory.exits.get(slot) else { return Death::Unobserved };
    let is_killed = *exit == Exit::Signal(Signal::KILL.as_raw());
    // Its group is as it left it: its slot was not used again.
    if let (true, Ok(Some(group))) = (is_killed, nest.group(*slot))
        && group.out_of_memory_kills().is_ok_and(|kills| kills > session.history.kills_before())
    {
        let memory_bytes_max = nest.limits(limits).lowered(&session.history.record().asked).memory_bytes_max;
        return Death::OutOfMemory { memory_bytes_max };
    }
    Death::from(*exit)
}

/// Lets a server after this one tell of an end, too.
pub(crate) async fn keep_end(keeper: &Keeper, Ended { id, death, history }: &Ended) {
    let descriptors: Vec<_> = history.iter().flat_map(|history| history.as_array()).map(AsFd::as_fd).collect();
    let kept = match serde_json::to_string(&GoneNote { id: id.clone(), death: death.clone() }) {
        Ok(note) => keeper.put(&kept::gone_key(id), note, &descriptors).await,
        Err(error) => Err(error.into()),
    };
    if let Err(error) = kept {
        tracing::error!(%error, session = %id, "the end of a session would not be told by a server after this one");
    }
}
