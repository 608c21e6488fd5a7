//! Checkpoints of sessions: taken when they are asked for or by themselves, and gone back to.

use std::sync::Arc;
use std::time::Duration;

use super::errand::{Errand, Reply};
use super::{Registry, Shared};
use crate::checkpoint_id::CheckpointId;
use crate::checkpoint_view::CheckpointView;
use crate::checkpoints::{CheckpointKind, Drawn, Manifest, StoreError, Stored};
use crate::engine::{CheckpointError, ExecuteError, chain};
use crate::environment::{Environment, Original, not_carried};
use crate::history::{History, Record};
use crate::inheritance::Ended;
use crate::names::Sleeper;
use crate::obstacle::Obstacle;
use crate::outcome::Death;
use crate::owner::Owner;
use crate::session::{Session, SessionError};
use crate::session_id::SessionId;
use crate::wanted::{Checkpointing, WantedSession};
use crate::workspace::Copying;

/// How long it may take to write one down, or to go back to one.
const CHECKPOINT_MAX: Duration = Duration::from_secs(30);

/// What is to become a checkpoint.
pub(super) struct Sketch {
    drawn: Drawn,
    /// Its files, which may still be being written.
    files: Copying,
    manifest: Manifest,
    history: Arc<History>,
    /// Where it is said why that could not be written down.
    obstacle: Obstacle,
}

impl Registry {
    /// Writes down how the session of that name is, under a name that no other checkpoint of its owner has.
    pub(crate) async fn checkpoint(
        self: &Arc<Self>,
        session: &SessionId,
        id: CheckpointId,
    ) -> Result<CheckpointView, CheckpointError> {
        if self.checkpoints().find(&id).is_some() {
            return Err(CheckpointError::Exists);
        }
        let stored = self.send_errand(session, |reply| Errand::Checkpoint { id, reply }).await?;
        Ok(self.shown(&stored))
    }

    /// Has the session of that name go on from a checkpoint, of itself or of another of its environment.
    pub(crate) async fn restore(
        self: &Arc<Self>,
        session: &SessionId,
        id: &CheckpointId,
    ) -> Result<(), CheckpointError> {
        if !self.names().is_named(session) {
            return Err(CheckpointError::NoSession);
        }
        let checkpoint = self.find_checkpoint(id).ok_or(CheckpointError::NoCheckpoint)?;
        self.send_errand(session, |reply| Errand::Restore { checkpoint, reply }).await
    }

    /// One that can be gone back to.
    pub(super) fn find_checkpoint(&self, id: &CheckpointId) -> Option<Arc<Stored>> {
        self.checkpoints().find(id).filter(|stored| stored.manifest.kind != CheckpointKind::Asleep)
    }

    pub(crate) fn view_checkpoint(&self, id: &CheckpointId) -> Option<CheckpointView> {
        self.find_checkpoint(id).map(|stored| self.shown(&stored))
    }

    /// Those of an owner, from the oldest: of that session, or of all.
    pub(crate) fn list_checkpoints(&self, owner: Option<&Owner>, session: Option<&SessionId>) -> Vec<CheckpointView> {
        self.checkpoints().list(owner, session).iter().map(|stored| self.shown(stored)).collect()
    }

    /// Removes it; whether it was there.
    pub(crate) async fn remove_checkpoint(&self, id: &CheckpointId) -> bool {
        match self.find_checkpoint(id) {
            Some(stored) => self.remove_stored(stored).await,
            None => false,
        }
    }

    pub(super) async fn remove_stored(&self, stored: Arc<Stored>) -> bool {
        let checkpoints = Arc::clone(self.checkpoints());
        tokio::task::spawn_blocking(move || checkpoints.remove(&stored)).await.unwrap_or(false)
    }

    /// Removes what a session has taken by itself that is gone for good.
    pub(super) async fn forget_automatic(&self, session: &Record) {
        let (checkpoints, session) = (Arc::clone(self.checkpoints()), session.clone());
        let _ = tokio::task::spawn_blocking(move || checkpoints.forget_session(&session)).await;
    }

    fn shown(&self, stored: &Stored) -> CheckpointView {
        CheckpointView::of(&stored.manifest, self.checkpoints().expires(stored.manifest.created_at))
    }

    /// Takes down how a session at rest is. It can go on before that is written to the disk.
    pub(super) async fn draw(
        &self,
        session: &mut Session,
        id: CheckpointId,
        kind: CheckpointKind,
        last_number: u64,
    ) -> Result<Sketch, CheckpointError> {
        let drawn = self.try_draw(session, id, kind, last_number).await;
        drawn.inspect_err(|error| note_obstacle(&session.obstacle, error))
    }

    async fn try_draw(
        &self,
        session: &mut Session,
        id: CheckpointId,
        kind: CheckpointKind,
        last_number: u64,
    ) -> Result<Sketch, CheckpointError> {
        let refused = |error: SessionError| CheckpointError::from(self.refusal(&error));
        let environment = self.environment_of(&session.id, &session.history).map_err(refused)?;
        // Nobody waits for the disk but whoever has asked for it.
        let goes_on = kind == CheckpointKind::Asked;
        let drawn = environment.draw(session, goes_on, &self.workers, CHECKPOINT_MAX).await;
        let (mut drawn, files) = drawn.map_err(refused)?;
        let history = Arc::clone(&session.history);
        let nests = [drawn.home.nest.clone(), drawn.home.base.clone()];
        let mut manifest = Manifest::new(id, kind, history.record(), nests);
        manifest.variables = history.variables();
        manifest.open_files = std::mem::take(&mut drawn.open_files);
        (manifest.executions, manifest.last_number) = (history.last_number(), last_number);
        Ok(Sketch { drawn, files, manifest, history, obstacle: session.obstacle.clone() })
    }

    /// Writes that to the disk.
    pub(super) async fn store(&self, sketch: Sketch) -> Result<Arc<Stored>, CheckpointError> {
        let Sketch { drawn, mut files, mut manifest, history, obstacle } = sketch;
        let refused = |error| {
            let error = CheckpointError::from(self.refusal(&not_carried(error)));
            note_obstacle(&obstacle, &error);
            error
        };
        manifest.bytes += files.written().await.map_err(refused)?;
        obstacle.set(None);
        let checkpoints = Arc::clone(self.checkpoints());
        let stored = tokio::task::spawn_blocking(move || {
            if manifest.kind == CheckpointKind::Asleep {
                manifest.bytes += history.write_to(&drawn.draft.history_folder()?)?;
            }
            checkpoints.commit(manifest, drawn)
        });
        Ok(stored.await.map_err(|error| StoreError::Io(error.into()))??)
    }

    /// Has a checkpoint that was asked for be written down while its session goes on.
    pub(super) async fn checkpoint_now(
        self: &Arc<Self>,
        session: &mut Session,
        id: CheckpointId,
        last_number: u64,
        reply: Reply<Arc<Stored>>,
    ) {
        let sketch = match self.draw(session, id, CheckpointKind::Asked, last_number).await {
            Ok(sketch) => sketch,
            Err(error) => return reply.send(Err(error)),
        };
        let (registry, history) = (Arc::clone(self), Arc::clone(&session.history));
        // What comes after goes on from it.
        let goes_on_from = move |from: Option<CheckpointId>, now: Option<CheckpointId>| {
            let updated = history.update(|record| {
                if record.checkpoint == from {
                    record.checkpoint = now;
                }
            });
            if let Err(error) = updated {
                tracing::error!(%error, "which checkpoint a session goes on from is not written down");
            }
        };
        let (id, before) = (sketch.manifest.id.clone(), sketch.manifest.record.checkpoint.clone());
        goes_on_from(before.clone(), Some(id.clone()));
        tokio::spawn(async move {
            let stored = registry.store(sketch).await;
            if stored.is_err() {
                goes_on_from(Some(id), before);
            }
            reply.send(stored);
        });
    }

    /// Has a session that takes checkpoints by itself take one, unless it has one of what it is now.
    pub(super) async fn draw_by_itself(&self, session: &mut Session) {
        let now = session.what_it_is();
        let last = session.history.last_number();
        let has_one = || self.checkpoints().last_automatic(&session.history.record(), last).is_some();
        if session.tried == Some(now) && (session.obstacle.is_there() || has_one()) {
            return;
        }
        session.tried = Some(now);
        let id = CheckpointId::unique_beside(&session.id);
        let stored = match self.draw(session, id, CheckpointKind::Automatic, last).await {
            Ok(sketch) => self.store(sketch).await,
            Err(error) => Err(error),
        };
        match stored {
            Ok(_) => {}
            Err(error) => {
                if let CheckpointError::Refused(ExecuteError::ForksBusy) = error {
                    session.tried = None;
                }
                tracing::debug!(session = %session.id, error = chain(&error), "a session has no checkpoint");
            }
        }
    }

    /// Gives the session back what it was before its execution, which was begun after that of the number `before` and has ended
    /// its interpreter. Whether that could be done.
    pub(super) async fn rewind(&self, session: &mut Session, before: u64, death: &Death, shared: &Shared) -> bool {
        let is_wanted = session.history.record().checkpoints == Checkpointing::Each;
        if !is_wanted || !self.revive(session, before, death, shared).await {
            return false;
        }
        self.counts().session_rewound();
        if let Err(error) = session.history.rewound() {
            tracing::error!(session = %session.id, %error, "that a session was rewound is not written down");
        }
        true
    }

    /// A session that has ended while no server was there, where it goes on from a checkpoint that it had taken by itself.
    pub(super) fn revivable(&self, Ended { death, history, .. }: &Ended) -> Option<Sleeper> {
        let history = history.clone()?;
        let record = history.record();
        if record.checkpoints != Checkpointing::Each || !(death.can_be_undone() || *death == Death::Unobserved) {
            return None;
        }
        let was_running = history.last_ended_it();
        let after = if was_running { history.number_before_last() } else { history.last_number() };
        let stored = self.checkpoints().last_automatic(&record, after)?;
        if was_running && let Err(error) = history.rewound() {
            tracing::error!(session = %record.id, %error, "that a session was rewound is not written down");
        }
        Some(Sleeper { stored, history: Some(history), failure: None })
    }

    /// Has a session that has ended go on as it was after that execution, where it has taken a checkpoint then by itself. Whether it
    /// does.
    pub(super) async fn revive(&self, session: &mut Session, after: u64, death: &Death, shared: &Shared) -> bool {
        if !death.can_be_undone() || session.is_deleted() || self.environments().common.is_closing() {
            return false;
        }
        let Some(stored) = self.checkpoints().last_automatic(&session.history.record(), after) else { return false };
        match self.go_back(session, &stored, shared).await {
            Ok(before) => {
                before.over().await;
                true
            }
            Err(error) => {
                tracing::warn!(session = %session.id, error = chain(&error), "a session could not be revived");
                false
            }
        }
    }

    /// A new session that goes on from a checkpoint, and has what else is wanted.
    pub(super) async fn start_from(
        &self,
        environment: &Environment,
        id: &SessionId,
        wanted: WantedSession,
        stored: &Arc<Stored>,
    ) -> Result<Session, SessionError> {
        let manifest = &stored.manifest;
        check_environment(stored, environment)?;
        let mut original = Original::of_stored(stored)?;
        if !wanted.labels.is_empty() {
            original.record.labels = wanted.labels;
        }
        original.record.files = wanted.files.or(original.record.files);
        original.record.checkpoints = wanted.checkpoints;
        let made = environment.session_from(&original, None, wanted.limits, &self.workers, CHECKPOINT_MAX).await;
        self.begin_child(made, id.clone(), manifest.session.clone(), Some(manifest.id.clone())).await
    }

    /// Has a session at rest go on from a checkpoint.
    pub(super) async fn restore_now(
        &self,
        session: &mut Session,
        checkpoint: &Arc<Stored>,
        reply: Reply<()>,
        shared: &Shared,
    ) {
        match self.go_back(session, checkpoint, shared).await {
            Ok(before) => {
                // Nobody has to wait until that is gone.
                reply.send(Ok(()));
                // Whoever hears it comes first.
                tokio::task::yield_now().await;
                before.over().await;
            }
            Err(error) => reply.send(Err(self.refusal(&error).into())),
        }
    }

    /// Has it go on from there. Returns what it was before, which is still to be ended.
    async fn go_back(
        &self,
        session: &mut Session,
        stored: &Arc<Stored>,
        shared: &Shared,
    ) -> Result<Session, SessionError> {
        let environment = self.environment_of(&session.id, &session.history)?;
        check_environment(stored, environment)?;
        let original = Original::of_stored(stored)?;
        let id = stored.manifest.id.clone();
        let mut successor = environment.go_back(session, &original, &self.workers, CHECKPOINT_MAX).await?;
        // What there is of it now is in that checkpoint.
        successor.tried = (stored.manifest.session == session.id).then(|| successor.what_it_is());
        let before = self.put_in_place(session, successor, shared);
        if let Err(error) = session.history.update(|record| record.checkpoint = Some(id)) {
            tracing::error!(session = %session.id, %error, "what a session goes on from is not written down");
        }
        Ok(before)
    }
}

/// Says why a session could not be written down, unless that goes by.
fn note_obstacle(obstacle: &Obstacle, error: &CheckpointError) {
    match error {
        CheckpointError::Refused(ExecuteError::ForksBusy) => {}
        CheckpointError::Refused(error) => obstacle.set(Some(chain(error))),
        _ => {}
    }
}

fn check_environment(stored: &Stored, environment: &Environment) -> Result<(), SessionError> {
    let (theirs, ours) = (&stored.manifest.record.environment, &environment.name);
    if theirs == ours {
        return Ok(());
    }
    let why = format!("it is of the environment {theirs}, and the session of {ours}");
    Err(SessionError::NotLoaded { why })
}
