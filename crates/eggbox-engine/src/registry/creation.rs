//! Sessions that somebody asks for as such, and how they are.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Beginning, InFlight, Registry};
use crate::engine::{CreateError, ExecuteError, chain};
use crate::kept::gone_key;
use crate::names::{Gone, Sleeper};
use crate::owner::Owner;
use crate::session_id::SessionId;
use crate::view::{self, Held, SessionView};
use crate::wanted::{SessionChange, WantedSession};
use crate::workspace::Workspace;

/// Somebody who waits for a session to be there.
#[derive(Debug)]
pub(super) struct Creation {
    pub(super) reply: oneshot::Sender<Result<Held, ExecuteError>>,
    /// The number of the end of an earlier session of that name, which nobody was told of.
    pub(super) untold: Option<u64>,
    pub(super) _in_flight: InFlight,
}

impl Registry {
    /// The session of that name as it is now, or as it was when it ended where nobody was told so yet. One that is being
    /// started is waited for.
    pub(crate) async fn view(&self, id: &SessionId) -> Option<SessionView> {
        let live = self.names().live.get(id).map(|live| live.held.clone());
        if let Some(mut live) = live
            // An error where it could not be started.
            && let Ok(held) = live.wait_for(Option::is_some).await.map(|held| held.clone())
        {
            return held.map(|held| held.view());
        }
        if let Some(sleeper) = self.names().asleep.get(id) {
            return Some(self.view_asleep(sleeper));
        }
        let gone = self.names().gone.get(id).map(|Gone { death, history, .. }| (death.clone(), history.clone()));
        let (death, history) = gone?;
        Some(view::of_ended(id.clone(), death, history.as_deref(), self.limits(), self.config.policy.files.workspace))
    }

    fn view_asleep(&self, Sleeper { stored, failure, .. }: &Sleeper) -> SessionView {
        let obstacle = failure.as_ref().map(|failure| chain(failure));
        view::of_asleep(&stored.manifest, obstacle, self.limits(), self.config.policy.files.workspace)
    }

    /// Sessions of `owner` after that id, in the order of their ids, that `takes` takes: at most `count`.
    pub(crate) fn list(
        &self,
        owner: Option<&Owner>,
        after: Option<&SessionId>,
        count: usize,
        takes: impl Fn(&SessionView) -> bool,
    ) -> Vec<SessionView> {
        let is_after = |id: &&SessionId| id.owner() == owner && after.is_none_or(|after| *id > after);
        let mut ids: Vec<SessionId> = {
            let names = self.names();
            names.live.keys().chain(names.asleep.keys()).chain(names.gone.keys()).filter(is_after).cloned().collect()
        };
        ids.sort_unstable();
        ids.dedup();
        ids.iter().filter_map(|id| self.view_now(id)).filter(takes).take(count).collect()
    }

    /// One that is being started is not there yet.
    fn view_now(&self, id: &SessionId) -> Option<SessionView> {
        let (live, gone) = {
            let names = self.names();
            if let Some(sleeper) = names.asleep.get(id) {
                return Some(self.view_asleep(sleeper));
            }
            let live = names.live.get(id).map(|live| live.held.borrow().clone());
            (live, names.gone.get(id).map(|Gone { death, history, .. }| (death.clone(), history.clone())))
        };
        match live {
            Some(held) => held.map(|held| held.view()),
            None => gone.map(|(death, history)| {
                view::of_ended(id.clone(), death, history.as_deref(), self.limits(), self.config.policy.files.workspace)
            }),
        }
    }

    /// Changes a session that lives; none where there is none.
    pub(crate) async fn change(
        self: &Arc<Self>,
        id: &SessionId,
        SessionChange { labels, checkpoints, idle_max, life_max }: SessionChange,
    ) -> Result<Option<SessionView>, ExecuteError> {
        let Some(held) = self.awake(id).await? else { return Ok(None) };
        // Under the lock: one that goes to sleep looks there whether it has changed.
        let names = self.names();
        if !names.live.contains_key(id) {
            return Err(ExecuteError::FallsAsleep);
        }
        held.history
            .update(|record| {
                record.labels = labels.unwrap_or_else(|| std::mem::take(&mut record.labels));
                record.checkpoints = checkpoints.unwrap_or(record.checkpoints);
                record.asked.idle_max = idle_max.or(record.asked.idle_max);
                record.asked.life_max = life_max.or(record.asked.life_max);
            })
            .map_err(|error| ExecuteError::Internal(error.into()))?;
        drop(names);
        Ok(Some(held.view()))
    }

    /// The session of that name, awake and ready, as it can be looked at; none where there is none.
    async fn awake(self: &Arc<Self>, id: &SessionId) -> Result<Option<Held>, ExecuteError> {
        self.wake_up(id).await?;
        let Some(mut held) = self.names().live.get(id).map(|live| live.held.clone()) else { return Ok(None) };
        // An error where it could not be started.
        Ok(held.wait_for(Option::is_some).await.ok().and_then(|held| held.clone()))
    }

    /// The files of the session of that name, as soon as it is there; none where none of that name lives.
    pub(crate) async fn workspace(self: &Arc<Self>, id: &SessionId) -> Result<Option<Workspace>, ExecuteError> {
        if self.awake(id).await?.is_none() {
            return Ok(None);
        }
        // Under the lock: one that goes to sleep looks there whether somebody has its files.
        let names = self.names();
        let held = names.live.get(id).ok_or(ExecuteError::FallsAsleep)?.held.borrow();
        Ok(held.as_ref().map(|held| Workspace::new(held.workspace.clone(), Arc::clone(&self.workers))))
    }

    /// Gives the session of that name another interpreter, and returns it as it is then; none where there is none. What runs in
    /// it is ended with that, what waits goes on.
    pub(crate) async fn restart(self: &Arc<Self>, id: &SessionId) -> Result<Option<SessionView>, ExecuteError> {
        let (reply, restarted) = oneshot::channel();
        self.wake_up(id).await?;
        match self.names().live.get(id) {
            Some(live) => {
                // Before what runs is ended for it.
                if let Some(held) = &*live.held.borrow() {
                    self.environment_of(id, &held.history).map_err(|error| self.refusal(&error))?;
                }
                live.restart.want(reply);
            }
            None => return Ok(None),
        }
        match restarted.await {
            Ok(restarted) => restarted?,
            // It has ended meanwhile.
            Err(_) => return Ok(None),
        }
        Ok(self.view(id).await)
    }

    /// Makes a session of that name, which may use what is asked, and returns when it is there. The end of an earlier one
    /// that nobody was told of is forgotten with that.
    pub(crate) async fn create(
        self: &Arc<Self>,
        id: SessionId,
        wanted: WantedSession,
    ) -> Result<SessionView, CreateError> {
        let (reply, created) = oneshot::channel();
        let from = wanted.from.clone();
        let from = from.map(|from| self.find_checkpoint(&from).ok_or(CreateError::NoCheckpoint)).transpose()?;
        {
            let mut names = self.names();
            match names.live.get(&id) {
                Some(live) if !live.queue.is_closed() => return Err(CreateError::Exists),
                Some(_) => {}
                None if names.asleep.contains_key(&id) => return Err(CreateError::Exists),
                None => self.check_room(&names, &id)?,
            }
            let untold = names.gone.get(&id).map(|gone| gone.number);
            let beginning =
                Beginning::Created(Box::new(wanted), from, Creation { reply, untold, _in_flight: InFlight::new(self) });
            names.live.insert(id.clone(), self.start_task(&id, beginning, []));
        }
        let internal = |cause: Box<dyn std::error::Error + Send + Sync>| ExecuteError::Internal(cause);
        let held = created.await.unwrap_or_else(|_| Err(internal("the session's task ended without a word".into())))?;
        Ok(held.view())
    }

    /// Forgets that end, now that there is another session of that name; not the end of that one, which may have come
    /// already.
    pub(super) async fn forget_end(&self, id: &SessionId, untold: Option<u64>) {
        let is_forgotten = {
            let mut names = self.names();
            let is_old = untold.is_some() && names.gone.get(id).map(|gone| gone.number) == untold;
            is_old && names.gone.remove(id).is_some()
        };
        if is_forgotten {
            self.keeper().remove(&gone_key(id)).await;
        }
    }
}
