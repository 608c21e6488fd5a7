//! Sessions that are made like others: with a fresh interpreter, or going on from an image.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use eggbox_sandbox::checkpoint::{Given, Image, Layout, work};
use eggbox_sandbox::plan::SessionNamespaces;

use super::Environment;
use super::original::Original;
use crate::checkpoints::{Base, LocateError, Stored};
use crate::engine::chain;
use crate::history::{History, Record};
use crate::nest::Nest;
use crate::outcome::Death;
use crate::session::{Session, SessionError, not_copied, on_this_thread};
use crate::session_id::SessionId;
use crate::session_limits::AskedLimits;
use crate::wanted::WantedSession;
use crate::workspace::{Copying, Files, Workers, Workspace, WorkspaceError};

/// A session that is nobody's yet and has run nothing, and the files that it is to have.
#[derive(Debug)]
pub(crate) struct Blank {
    session: Session,
    pub(crate) files: Copying,
}

impl Blank {
    pub(crate) async fn undo(mut self) {
        self.files.give_up().await;
        undo(self.session).await;
    }
}

/// Why a session has no fresh interpreter.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestartError {
    #[error("failed to start one")]
    Session(#[from] SessionError),
    #[error("failed to bring its files along")]
    Files(#[from] WorkspaceError),
}

impl Environment {
    /// A session with a fresh interpreter and everything else of `other`, which stands still then, and is to be ended; or, where
    /// there is none, goes on.
    pub(crate) async fn restart_session(
        &self,
        other: &Session,
        workers: &Arc<Workers>,
    ) -> Result<Session, RestartError> {
        other.process.halt(true);
        let started = self.start_beside(other, workers).await;
        if started.is_err() {
            other.process.halt(false);
        }
        started
    }

    async fn start_beside(&self, other: &Session, workers: &Arc<Workers>) -> Result<Session, RestartError> {
        let nest = self.living_nest().await?;
        let mut session = self.session_like(&other.history.record(), other.history.variables(), &nest).await?;
        let made = async {
            let [from, to] = [other, &session].map(|session| Workspace::new(session.place(), Arc::clone(workers)));
            from.copy_to(&to).await?;
            session.take_place_of(other).await.map_err(|error| RestartError::from(SessionError::Channel(error)))
        };
        match made.await {
            Ok(()) => Ok(session),
            Err(error) => {
                undo(session).await;
                Err(error)
            }
        }
    }

    /// One that is nobody's yet, with the limits and labels of `record` and these variables.
    async fn session_like(
        &self,
        record: &Record,
        variables: BTreeMap<String, String>,
        nest: &Arc<Nest>,
    ) -> Result<Session, SessionError> {
        let Record { asked, labels, files, checkpoints, .. } = record.clone();
        let environment = self.name.clone();
        let wanted = WantedSession { environment, limits: asked, labels, variables, files, checkpoints, from: None };
        let mut session = self.unnamed_session(nest, files).await?;
        match session.settle(SessionId::unique(), wanted, None, nest).await {
            Ok(()) => {
                session.end_by(Arc::default());
                Ok(session)
            }
            Err(error) => {
                undo(session).await;
                Err(error)
            }
        }
    }

    /// The base that an image has, where that is not the nest's own.
    fn foreign_base(&self, original: &Original, nest: &Nest) -> Result<Option<Arc<Base>>, SessionError> {
        base_in(nest)?;
        if original.base == nest.note.name {
            return Ok(None);
        }
        let found = self.common.checkpoints.bases().find(&original.base);
        let lost = |_| SessionError::NotLoaded { why: LocateError::NoBase.to_string() };
        found.map(Some).map_err(lost)
    }

    /// What a session of that layout has to do to become it.
    fn work(
        &self,
        original: &Original,
        nest: &Nest,
        layout: &Layout,
        has_its_base: bool,
    ) -> Result<OwnedFd, SessionError> {
        let Original { image, coming, tables, shown, .. } = original;
        let (file, tables) = (image.file(), tables.clone());
        let (shown, shown_bytes_min, is_coming) = (shown.len(), image.shown_bytes_min(), coming.is_some());
        let given = Given { shown, shown_bytes_min, has_its_base, is_coming };
        let is_from_elsewhere = original.nest != nest.note.name;
        let home = if is_from_elsewhere { Some(nest.home(&self.common.config.build)?) } else { None };
        let (checkpoints, base) = (&self.common.checkpoints, &original.base);
        // It may have to read files, and what it works out may be large.
        let worked_out = on_this_thread(|| {
            let tables = match tables {
                Some(tables) => tables,
                None => Arc::new(Image::read(file).map_err(|error| chain(&error))?),
            };
            let tables = match home {
                Some(home) => {
                    let located = checkpoints.bases().locate(base, (*tables).clone(), &home);
                    Arc::new(located.map_err(|error| error.to_string())?)
                }
                None => tables,
            };
            work(&tables, layout, given).map_err(|error| error.to_string())
        });
        worked_out.map(OwnedFd::from).map_err(|why| SessionError::NotLoaded { why })
    }

    /// Has a session that has run no code become what was taken there, when it has its files.
    async fn load(
        &self,
        Blank { session, files }: &mut Blank,
        original: &Original,
        nest: &Arc<Nest>,
        wait_max: Duration,
    ) -> Result<(), SessionError> {
        let foreign = self.foreign_base(original, nest)?;
        let base = match &foreign {
            Some(base) => base.as_fd(),
            None => base_in(nest)?,
        };
        let mut is_again = false;
        loop {
            let layout = session.layout(nest, is_again).await?;
            let work = self.work(original, nest, &layout, foreign.is_none())?;
            files.written().await.map_err(not_carried)?;
            let arrival = original.coming.as_ref().map(|coming| coming.arrival.as_fd());
            let became = session.become_image(work.as_fd(), &original.image, base, arrival, &original.shown, wait_max);
            match became.await {
                // It has done something since it was looked at. It does nothing now.
                Err(SessionError::LayoutChanged) if !is_again => is_again = true,
                other => break other?,
            }
        }
        session.set_base(foreign.clone())?;
        Ok(session.history.set_variables(original.variables.clone())?)
    }

    /// A session that is nobody's yet and has run nothing, with the limits, labels and policy of `record`, ready to be given those files.
    pub(crate) async fn blank(&self, record: &Record, files: &Files, workers: &Workers) -> Result<Blank, SessionError> {
        self.image_is_wanted();
        let nest = self.living_nest().await?;
        // What variables it has, it has from the image.
        let session = self.session_like(record, BTreeMap::new(), &nest).await?;
        match Copying::prepare(files, &Files::OfSession(session.place()), workers) {
            Ok(files) => Ok(Blank { session, files }),
            Err(error) => {
                undo(session).await;
                Err(not_carried(error))
            }
        }
    }

    /// Has it go on from there.
    pub(crate) async fn go_on(
        &self,
        mut blank: Blank,
        original: &Original,
        workers: &Workers,
        wait_max: Duration,
    ) -> Result<Session, SessionError> {
        let loaded = async {
            // What has to be done is worked out meanwhile.
            blank.files.begin(workers, &original.open_files).await.map_err(not_carried)?;
            let nest = self.living_nest().await?;
            self.load(&mut blank, original, &nest, wait_max).await
        };
        match loaded.await {
            Ok(()) => Ok(blank.session),
            Err(error) => {
                blank.undo().await;
                Err(error)
            }
        }
    }

    /// The same from an original that may still be coming, of a session that stands still. It is whole then.
    pub(crate) async fn go_on_as(
        &self,
        blank: Blank,
        original: &mut Original,
        workers: &Workers,
        wait_max: Duration,
    ) -> Result<Session, SessionError> {
        let copied = original.coming.as_mut().and_then(|coming| coming.copied.take());
        let copied = async {
            let Some(copied) = copied else { return Ok(()) };
            copied.await.map_err(io::Error::other)?.map_err(not_copied)
        };
        let (made, copied) = tokio::join!(self.go_on(blank, original, workers, wait_max), copied);
        original.coming = None;
        match (made, copied) {
            (made, Ok(())) => made,
            (Ok(session), Err(error)) => {
                undo(session).await;
                Err(error)
            }
            (Err(_), Err(error)) => Err(error),
        }
    }

    /// A session that is nobody's yet, and goes on from there, with the limits, labels and policy of `like`; or of the original.
    pub(crate) async fn session_from(
        &self,
        original: &Original,
        like: Option<&Record>,
        asked: AskedLimits,
        workers: &Workers,
        wait_max: Duration,
    ) -> Result<Session, SessionError> {
        let like = like.unwrap_or(&original.record);
        let record = Record { asked: like.asked.and(&asked), ..like.clone() };
        let blank = self.blank(&record, &original.files, workers).await?;
        self.go_on(blank, original, workers, wait_max).await
    }

    /// A session that takes the place of `other`, and goes on from there.
    pub(crate) async fn go_back(
        &self,
        other: &Session,
        original: &Original,
        workers: &Workers,
        wait_max: Duration,
    ) -> Result<Session, SessionError> {
        let (own, asked) = (other.history.record(), AskedLimits::default());
        let mut session = self.session_from(original, Some(&own), asked, workers, wait_max).await?;
        let taken = async {
            session.go_back_as(other).await?;
            Ok(other.history.set_variables(original.variables.clone())?)
        };
        match taken.await {
            Ok(()) => Ok(session),
            Err(error) => {
                undo(session).await;
                Err(error)
            }
        }
    }

    /// The session that sleeps there, awake; with that history, where it is not there, too.
    pub(crate) async fn wake(
        &self,
        stored: &Stored,
        history: Option<Arc<History>>,
        asked: AskedLimits,
        workers: &Workers,
        wait_max: Duration,
    ) -> Result<Session, SessionError> {
        let history = match history {
            Some(history) => history,
            None => Arc::new(History::read(&stored.history_folder())?),
        };
        let mut session = self.session_from(&Original::of_stored(stored)?, None, asked, workers, wait_max).await?;
        match session.begin_awake(history).await {
            Ok(()) => Ok(session),
            Err(error) => {
                undo(session).await;
                Err(error.into())
            }
        }
    }
}

pub(crate) fn not_carried(error: WorkspaceError) -> SessionError {
    match error {
        // That goes by.
        WorkspaceError::Busy { .. } => SessionError::ForksBusy,
        WorkspaceError::Internal(error) if error.kind() == io::ErrorKind::WouldBlock => SessionError::ForksBusy,
        error => SessionError::NotCarried { why: chain(&error) },
    }
}

/// Ends one that was never anybody's.
pub(crate) async fn undo(mut session: Session) {
    let death = session.end(Death::Unobserved).await;
    tracing::debug!(?death, "a session has not become what it was to be");
    session.forget().await;
}

pub(super) fn base_in(nest: &Nest) -> Result<BorrowedFd<'_>, SessionError> {
    if nest.plan().session.namespaces == SessionNamespaces::Shared {
        return Err(refused("a session under --isolation reduced does not see what it has"));
    }
    nest.base().ok_or_else(|| refused("its memory is not shared as a file"))
}

pub(super) fn refused(why: &str) -> SessionError {
    SessionError::NotCarried { why: why.to_owned() }
}
