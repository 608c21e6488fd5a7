//! Sessions that sleep: on the disk, with everything, and in no memory; awake again when somebody asks for them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::errand::{Errand, Reply};
use super::{Beginning, Registry, Request, Shared};
use crate::checkpoint_id::CheckpointId;
use crate::checkpoints::{CheckpointKind, Stored};
use crate::clock::Moment;
use crate::engine::{CheckpointError, ExecuteError, chain};
use crate::history::Record;
use crate::inheritance::{Ended, keep_end};
use crate::kept::gone_key;
use crate::names::{Names, Sleeper};
use crate::outcome::Death;
use crate::session::{Session, SessionError, WhatItIs};
use crate::session_id::SessionId;

/// How long it may take to wake one.
const WAKE_MAX: Duration = Duration::from_secs(30);
/// How many go to sleep at once when the server ends: others wait for room.
const AT_ONCE_MAX: usize = 4;
/// How often it is looked at what is to go to sleep, or has slept for too long.
const LOOK_PAUSE: Duration = Duration::from_millis(250);
/// Between two tries to have what sleeps be on the disk for certain, where one has failed.
const LASTING_PAUSE: Duration = Duration::from_secs(10);
/// How long nobody has used a session at least that goes to sleep for want of memory.
const COLD_MIN: Duration = Duration::from_secs(1);
/// How many go to sleep for that at one look.
const COLD_AT_ONCE_MAX: usize = 8;

/// A session that was written down, to go to sleep.
#[derive(Debug)]
pub(super) struct Asleep {
    stored: Arc<Stored>,
    /// What it was then.
    record: Record,
    what_it_was: WhatItIs,
    reply: Option<Reply<()>>,
}

impl Registry {
    /// Has the session of that name go to sleep, at its next rest. One that sleeps stays so.
    pub(crate) async fn hibernate(self: &Arc<Self>, id: &SessionId) -> Result<(), CheckpointError> {
        if self.names().asleep.contains_key(id) {
            return Ok(());
        }
        self.send_errand(id, |reply| Errand::Sleep { reply: Some(reply) }).await
    }

    /// Has all sessions go to sleep that can, where the operator has them do so by themselves, and all that sleep be on the disk for
    /// certain: this server is going to end.
    pub(crate) async fn end_asleep(self: &Arc<Self>) {
        if self.config.hibernation.idle.is_some() {
            self.hibernate_all().await;
        }
        self.make_lasting().await;
    }

    async fn hibernate_all(self: &Arc<Self>) {
        let ids: Vec<SessionId> = self.names().live.keys().cloned().collect();
        let of = ids.len();
        let mut sleeping = JoinSet::new();
        let (mut ids, mut awake) = (ids.into_iter(), Vec::new());
        loop {
            while sleeping.len() < AT_ONCE_MAX
                && let Some(id) = ids.next()
            {
                let registry = Arc::clone(self);
                sleeping.spawn(async move {
                    let asleep = registry.hibernate(&id).await;
                    asleep.map_err(|error| format!("{id} ({})", chain(&error)))
                });
            }
            match sleeping.join_next().await {
                Some(Ok(Err(why))) => awake.push(why),
                Some(_) => {}
                None => break,
            }
        }
        tracing::info!(count = of - awake.len(), of, "sessions sleep until the next server");
        if !awake.is_empty() {
            tracing::warn!(sessions = ?awake, "these sessions cannot sleep, and end with this server");
        }
    }

    /// Begins to wake a session that sleeps.
    pub(super) fn rouse(self: &Arc<Self>, names: &mut Names, id: &SessionId) -> Result<(), ExecuteError> {
        if !names.asleep.contains_key(id) {
            return Ok(());
        }
        self.check_room(names, id)?;
        if let Some(sleeper) = names.asleep.remove(id) {
            names.live.insert(id.clone(), self.start_task(id, Beginning::Asleep(sleeper), []));
        }
        Ok(())
    }

    /// Returns when the session of that name is awake, if there is one; or why it cannot be woken.
    pub(super) async fn wake_up(self: &Arc<Self>, id: &SessionId) -> Result<(), ExecuteError> {
        let held = {
            let mut names = self.names();
            if !names.asleep.contains_key(id) {
                return Ok(());
            }
            self.rouse(&mut names, id)?;
            names.live.get(id).map(|live| live.held.clone())
        };
        if let Some(mut held) = held {
            // An error where that has failed.
            let _ = held.wait_for(Option::is_some).await;
        }
        let names = self.names();
        let failure = names.asleep.get(id).and_then(|sleeper| sleeper.failure.as_ref());
        failure.map_or(Ok(()), |failure| Err(self.refusal(failure)))
    }

    /// A session that sleeps, awake. Nothing on the disk says any more that it sleeps.
    pub(super) async fn wake(&self, id: &SessionId, sleeper: &Sleeper) -> Result<Session, SessionError> {
        let Sleeper { stored, history, .. } = sleeper;
        let name = stored.manifest.record.environment.clone();
        let is_allowed = self.environments_of(id.owner()).contains(&name);
        let environment = self.environments.get(&name).filter(|_| is_allowed);
        let environment = environment.ok_or(SessionError::NoEnvironment { name })?;
        let asked = self.asked_of(id.owner());
        let session = environment.wake(stored, history.clone(), asked, &self.workers, WAKE_MAX).await?;
        if stored.manifest.kind == CheckpointKind::Asleep {
            self.remove_stored(Arc::clone(stored)).await;
        }
        // One that ended while no server was there has an end that nobody is to be told of now.
        self.keeper().remove(&gone_key(id)).await;
        Ok(session)
    }

    /// Writes a session at rest down, so that it can end. Nothing where it cannot be.
    pub(super) async fn lie_down(
        &self,
        session: &mut Session,
        reply: Option<Reply<()>>,
        shared: &Shared,
    ) -> Option<Asleep> {
        let id = CheckpointId::unique_beside(&session.id);
        let (record, what_it_was) = (session.history.record(), session.what_it_is());
        let stored = match self.draw(session, id, CheckpointKind::Asleep, shared.board.last()).await {
            Ok(sketch) => self.store(sketch).await,
            Err(error) => Err(error),
        };
        match stored {
            Ok(stored) => Some(Asleep { stored, record, what_it_was, reply }),
            Err(error) => {
                if let Some(reply) = reply {
                    reply.send(Err(error));
                }
                None
            }
        }
    }

    /// Takes a session that was written down out of the living, unless somebody wants something of it or has changed it since. Whether
    /// it sleeps.
    pub(super) async fn fall_asleep(
        &self,
        session: &mut Session,
        (queue, errands): (&mut mpsc::Receiver<Request>, &mut mpsc::Receiver<Errand>),
        shared: &Shared,
        Asleep { stored, record, what_it_was, reply }: Asleep,
    ) -> bool {
        let id = session.id.clone();
        let is_asleep = {
            // Whoever wants something of it says so under this lock.
            let mut names = self.names();
            let is_wanted = !queue.is_empty() || !errands.is_empty() || shared.restart.is_wanted();
            let is_other = session.what_it_is() != what_it_was || session.history.record() != record;
            let is_kept = is_wanted || is_other || session.has_file_users() || session.is_deleted();
            // From here on it is the process of no name: a server after this one does not take it for the session.
            if is_kept || session.history.update(|record| record.process = None).is_err() {
                if let Some(live) = names.live.get(&id) {
                    // It is asked again at its next rest, which may be this one.
                    live.asked_to_sleep.store(u64::MAX, Ordering::Relaxed);
                }
                false
            } else {
                if let Some(live) = names.live.remove(&id) {
                    live.board.close();
                }
                queue.close();
                errands.close();
                names.asleep.insert(id, Arc::clone(&stored).into());
                true
            }
        };
        if let Some(reply) = reply {
            let kept = || ExecuteError::NotCarried { why: "it was wanted, or changed, meanwhile".to_owned() };
            reply.send(if is_asleep { Ok(()) } else { Err(kept().into()) });
        }
        if is_asleep {
            // Whoever hears it comes first.
            tokio::task::yield_now().await;
            // It has said all that it had to say; whatever it would do now is not in what was written down.
            session.end(Death::Unobserved).await;
            session.forget().await;
            self.counts().session_slept();
        } else {
            self.remove_stored(stored).await;
        }
        is_asleep
    }

    /// Has those go to sleep that are to by the operator's wish, and ends what has slept for too long. Never returns.
    pub(crate) async fn keep_order(self: Arc<Self>) {
        let mut lasting = None::<JoinHandle<()>>;
        loop {
            tokio::time::sleep(LOOK_PAUSE).await;
            self.send_to_sleep();
            // It may take long, and nobody waits for it.
            if lasting.as_ref().is_none_or(JoinHandle::is_finished) {
                let registry = Arc::clone(&self);
                lasting = Some(tokio::spawn(async move {
                    if !registry.make_lasting().await {
                        tokio::time::sleep(LASTING_PAUSE).await;
                    }
                }));
            }
            let checkpoints = Arc::clone(self.checkpoints());
            let _ = tokio::task::spawn_blocking(move || checkpoints.expire()).await;
            for (stored, life_max) in self.too_old() {
                self.bury_asleep(stored, Death::Life { life_max }).await;
            }
        }
    }

    /// Has all that sleep be on the disk for certain; whether they are.
    async fn make_lasting(&self) -> bool {
        let checkpoints = Arc::clone(self.checkpoints());
        let lasting = tokio::task::spawn_blocking(move || checkpoints.make_lasting()).await;
        let lasting = lasting.unwrap_or_else(|error| Err(error.into()));
        if let Err(error) = &lasting {
            tracing::error!(%error, "sessions that sleep are not on the disk for certain: they would not outlive an end of the host");
        }
        lasting.is_ok()
    }

    fn send_to_sleep(&self) {
        let policy = self.config.hibernation;
        let is_short = policy.available_bytes_min.is_some_and(|min| available_bytes().is_some_and(|now| now < min));
        if policy.idle.is_none() && !is_short {
            return;
        }
        let (now, names) = (Moment::now(), self.names());
        let mut resting: Vec<_> = names
            .live
            .values()
            .filter_map(|live| {
                let since = live.held.borrow().as_ref()?.history.idle_since()?;
                (live.board.waiting().is_empty()).then_some((since, live))
            })
            .collect();
        resting.sort_by_key(|(since, _)| *since);
        let mut room = COLD_AT_ONCE_MAX;
        for (since, live) in resting {
            let rest = now.since(since.max(live.since));
            let is_due = policy.idle.is_some_and(|idle| rest >= idle);
            let is_cold = is_short && rest >= COLD_MIN && room > 0;
            // One that could not is not asked again before it was used.
            let is_asked = live.asked_to_sleep.load(Ordering::Relaxed) == since.nanos();
            if (is_due || is_cold) && !is_asked && live.errands.try_send(Errand::Sleep { reply: None }).is_ok() {
                live.asked_to_sleep.store(since.nanos(), Ordering::Relaxed);
                room = room.saturating_sub(1);
            }
        }
    }

    fn too_old(&self) -> Vec<(Arc<Stored>, Duration)> {
        let (now, limits) = (SystemTime::now(), self.limits());
        let names = self.names();
        let old = names.asleep.values().filter_map(|Sleeper { stored, .. }| {
            let record = &stored.manifest.record;
            let life_max = limits.lowered(&record.asked).life_max;
            let age = now.duration_since(record.created_at).unwrap_or_default();
            (age > life_max).then(|| (Arc::clone(stored), life_max))
        });
        old.collect()
    }

    /// Ends a session that sleeps, of which the next to ask is told.
    async fn bury_asleep(&self, stored: Arc<Stored>, death: Death) {
        let id = stored.manifest.session.clone();
        let ended = Ended { id: id.clone(), death, history: None };
        keep_end(self.keeper(), &ended).await;
        let buried = {
            let mut names = self.names();
            // Unless somebody has woken it in the last moment.
            names.asleep.remove(&id).is_some().then(|| names.bury(ended))
        };
        match buried {
            Some(buried) => {
                self.tell_keeper(buried).await;
                self.forget_automatic(&stored.manifest.record).await;
                self.remove_stored(stored).await;
            }
            None => self.keeper().remove(&gone_key(&id)).await,
        }
    }
}

/// What the host could give to processes (proc_meminfo(5)); none where it does not say.
fn available_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}
