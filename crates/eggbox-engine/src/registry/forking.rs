//! Sessions that go on as another one does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use super::creation::Creation;
use super::errand::Errand;
use super::{Beginning, InFlight, Registry};
use crate::checkpoint_id::CheckpointId;
use crate::engine::{CreateError, ExecuteError, ForkError, chain};
use crate::environment::{Blank, not_carried, undo};
use crate::outcome::Death;
use crate::session::{Session, SessionError};
use crate::session_id::SessionId;
use crate::session_limits::AskedLimits;
use crate::view::SessionView;
use crate::workspace::Files;

/// The wish that a session be forked, for its task.
#[derive(Debug)]
pub(crate) struct Fork {
    /// Those that it is to become, and who waits for each.
    children: Vec<(SessionId, Forked)>,
    _in_flight: InFlight,
}

/// How long the forks of one wish may take together; nothing else is done in their session meanwhile.
const FORK_MAX: Duration = Duration::from_secs(8);

/// Where a session goes that was forked.
type Forked = oneshot::Sender<Result<Session, SessionError>>;

impl Registry {
    /// Makes sessions of these names that go on as the one of that name does, and returns when all of them are there: at its
    /// next rest, before what waits for it. None is left where one of them cannot be had.
    pub(crate) async fn fork(
        self: &Arc<Self>,
        id: &SessionId,
        names: Vec<SessionId>,
    ) -> Result<Vec<SessionView>, ForkError> {
        let mut waiting = Vec::new();
        self.wake_up(id).await?;
        {
            let mut registered = self.names();
            let parent = registered.live.get(id).filter(|live| !live.queue.is_closed());
            let (last, errands) =
                parent.map(|live| (live.board.last(), live.errands.clone())).ok_or(ForkError::NoSession)?;
            // Before any of them is there, and under one lock: no other can take its name or its room.
            if names.iter().any(|name| registered.is_named(name)) {
                return Err(CreateError::Exists.into());
            }
            self.check_room_for(&registered, id, names.len())?;
            let permit = errands.try_reserve().map_err(|refused| match refused {
                TrySendError::Full(()) => {
                    ForkError::from(ExecuteError::QueueFull { queue_max: self.config.limits.queue_max })
                }
                TrySendError::Closed(()) => ForkError::NoSession,
            })?;
            let mut children = Vec::new();
            for name in names {
                let (reply, created) = oneshot::channel();
                let (sender, forked) = oneshot::channel();
                let untold = registered.gone.get(&name).map(|gone| gone.number);
                let creation = Creation { reply, untold, _in_flight: InFlight::new(self) };
                let live = self.start_task(&name, Beginning::Forked { forked, last, creation }, []);
                registered.live.insert(name.clone(), live);
                children.push((name.clone(), sender));
                waiting.push((name, created));
            }
            permit.send(Errand::Fork(Fork { children, _in_flight: InFlight::new(self) }));
        }
        let (mut views, mut made, mut failure) = (Vec::new(), Vec::new(), None);
        for (name, created) in waiting {
            match created.await {
                Ok(Ok(held)) => {
                    views.push(held.view());
                    made.push(name);
                }
                Ok(Err(error)) => failure = failure.or(Some(error)),
                Err(_) => failure = failure.or(Some(ExecuteError::Internal("a forked session is gone".into()))),
            }
        }
        let Some(failure) = failure else { return Ok(views) };
        for name in made {
            self.delete(&name).await;
        }
        Err(failure.into())
    }

    /// Does what is wished, for a session at rest. It goes on with its next request.
    pub(super) async fn fork_now(&self, session: &mut Session, Fork { children, _in_flight }: Fork) {
        let end = Instant::now() + FORK_MAX;
        let left = || end.saturating_duration_since(Instant::now());
        let (record, files) = (session.history.record(), Files::OfSession(session.place()));
        let (parent, workers) = (session.id.clone(), &self.workers);
        let mut first = None::<Blank>;
        let captured = async {
            let environment = self.environment_of(&session.id, &session.history)?;
            environment.check_original(session).await?;
            // Its first child comes to be while it comes to a rest, and has its files while its memory is looked at.
            let begin = environment.blank(&record, &files, workers);
            let (still, begun) = tokio::join!(session.stand_still(left()), begin);
            let blank = first.insert(begun?);
            let still = still?;
            let since = still.since;
            blank.files.begin(workers, &still.files).await.map_err(not_carried)?;
            let original = environment.original(session, still, left()).await?;
            Ok((original, environment, since))
        };
        let mut captured: Result<_, SessionError> = captured.await;
        for (name, forked) in children {
            let blank = first.take();
            let child = match &mut captured {
                Ok((original, environment, _)) => {
                    let made = match blank {
                        Some(blank) => environment.go_on_as(blank, original, workers, left()).await,
                        None => environment.session_from(original, None, AskedLimits::default(), workers, left()).await,
                    };
                    self.begin_child(made, name, parent.clone(), None).await
                }
                Err(error) => {
                    if let Some(blank) = blank {
                        blank.undo().await;
                    }
                    Err(again(error))
                }
            };
            if let Err(error) = &child {
                // None of them is wanted any more, and each might take as long.
                captured = captured.and_then(|_| Err(again(error)));
            }
            if let Err(Ok(mut unwanted)) = forked.send(child) {
                // Nobody waits for it any more.
                unwanted.end(Death::Deleted).await;
                unwanted.forget().await;
            }
        }
        if let Ok((.., since)) = captured {
            self.counts().stood_still(since.elapsed());
        }
    }
}

impl Registry {
    /// Makes one that goes on as another the session of that name.
    pub(super) async fn begin_child(
        &self,
        made: Result<Session, SessionError>,
        name: SessionId,
        parent: SessionId,
        checkpoint: Option<CheckpointId>,
    ) -> Result<Session, SessionError> {
        let mut session = made?;
        match session.begin_as_child(name, parent, checkpoint).await {
            Ok(()) => Ok(session),
            Err(error) => {
                undo(session).await;
                Err(error.into())
            }
        }
    }
}

/// The same for another who waits.
pub(super) fn again(error: &SessionError) -> SessionError {
    match error {
        SessionError::NotCarried { why } => SessionError::NotCarried { why: why.clone() },
        SessionError::NoEnvironment { name } => SessionError::NoEnvironment { name: name.clone() },
        SessionError::ShuttingDown => SessionError::ShuttingDown,
        SessionError::NotLoaded { why } => SessionError::NotLoaded { why: why.clone() },
        SessionError::ForksBusy => SessionError::ForksBusy,
        SessionError::NoDiskSpace => SessionError::NoDiskSpace,
        other => SessionError::NotLoaded { why: chain(other) },
    }
}
