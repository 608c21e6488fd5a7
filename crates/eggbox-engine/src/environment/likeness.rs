//! Sessions that are made like others: with a fresh interpreter, or going on from an image.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use eggbox_sandbox::checkpoint::{image_file, seal};
use eggbox_sandbox::plan::SessionNamespaces;

use super::Environment;
use crate::checkpoints::{Draft, Stored};
use crate::engine::chain;
use crate::history::{History, Record};
use crate::image::SessionImage;
use crate::nest::Nest;
use crate::outcome::Death;
use crate::session::{Session, SessionError};
use crate::session_id::SessionId;
use crate::session_limits::AskedLimits;
use crate::wanted::WantedSession;
use crate::workspace::{Files, Workers, Workspace, WorkspaceError, copy_all};

/// What a session goes on from.
#[derive(Debug)]
pub(crate) struct Original {
    pub(crate) record: Record,
    pub(crate) variables: BTreeMap<String, String>,
    image: SessionImage,
    /// The nest that has the base of the image.
    nest: String,
    files: Files,
}

/// Why a session has no fresh interpreter.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestartError {
    #[error("failed to start one")]
    Session(#[from] SessionError),
    #[error("failed to bring its files along")]
    Files(#[from] WorkspaceError),
}

impl Original {
    /// That which is kept.
    pub(crate) fn of_stored(stored: &Stored) -> std::io::Result<Self> {
        let manifest = &stored.manifest;
        Ok(Self {
            record: manifest.record.clone(),
            variables: manifest.variables.clone(),
            image: SessionImage::kept(stored.memory()?),
            nest: manifest.nest.clone(),
            files: stored.files(),
        })
    }
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

    /// What others go on from as that session, which is at rest, and stands still until its next request.
    pub(crate) async fn original(&self, session: &mut Session, wait_max: Duration) -> Result<Original, SessionError> {
        let nest = self.living_nest().await?;
        let base = base_for(session, &nest)?.try_clone_to_owned()?;
        let (file, kept) = (image_file()?, self.common.checkpoints.folder());
        session.capture(base, &file, kept, wait_max).await?;
        seal(&file)?;
        Ok(Original {
            record: session.history.record(),
            variables: session.history.variables(),
            image: self.common.images.hold(file)?,
            nest: nest.note.name.clone(),
            files: Files::OfSession(session.place()),
        })
    }

    /// Writes down what others go on from as that session, which is at rest, and stands still until its next request. Returns
    /// which nest it is of, and how many bytes its memory and its files take.
    pub(crate) async fn draw(
        &self,
        session: &mut Session,
        draft: &Draft,
        workers: &Workers,
        wait_max: Duration,
    ) -> Result<(String, u64), SessionError> {
        let nest = self.living_nest().await?;
        let base = base_for(session, &nest)?.try_clone_to_owned()?;
        session.capture(base, draft.memory(), self.common.checkpoints.folder(), wait_max).await?;
        let files = copy_all(&Files::OfSession(session.place()), &draft.files(), workers).await.map_err(not_carried)?;
        Ok((nest.note.name.clone(), draft.memory().metadata()?.len() + files))
    }

    /// A session that is nobody's yet, and goes on from there.
    pub(crate) async fn session_from(
        &self,
        original: &Original,
        asked: AskedLimits,
        workers: &Workers,
        wait_max: Duration,
    ) -> Result<Session, SessionError> {
        let nest = self.living_nest().await?;
        let base = base_of(original, &nest)?;
        let record = Record { asked: original.record.asked.and(&asked), ..original.record.clone() };
        // What variables it has, it has from the image.
        let mut session = self.session_like(&record, BTreeMap::new(), &nest).await?;
        let made = async {
            copy_all(&original.files, &Files::OfSession(session.place()), workers).await.map_err(not_carried)?;
            session.become_image(&original.image, base, wait_max).await?;
            Ok(session.history.set_variables(original.variables.clone())?)
        };
        match made.await {
            Ok(()) => Ok(session),
            Err(error) => {
                undo(session).await;
                Err(error)
            }
        }
    }

    /// A session that takes the place of `other`, and goes on from there.
    pub(crate) async fn go_back(
        &self,
        other: &Session,
        original: &Original,
        workers: &Workers,
        wait_max: Duration,
    ) -> Result<Session, SessionError> {
        let mut session = self.session_from(original, other.history.record().asked, workers, wait_max).await?;
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

    /// The session that sleeps there, awake.
    pub(crate) async fn wake(
        &self,
        stored: &Stored,
        asked: AskedLimits,
        workers: &Workers,
        wait_max: Duration,
    ) -> Result<Session, SessionError> {
        let history = History::read(&stored.history_folder())?;
        let mut session = self.session_from(&Original::of_stored(stored)?, asked, workers, wait_max).await?;
        match session.begin_awake(history).await {
            Ok(()) => Ok(session),
            Err(error) => {
                undo(session).await;
                Err(error.into())
            }
        }
    }
}

fn not_carried(error: WorkspaceError) -> SessionError {
    SessionError::NotCarried { why: chain(&error) }
}

/// Ends one that was never anybody's.
pub(crate) async fn undo(mut session: Session) {
    let death = session.end(Death::Unobserved).await;
    tracing::debug!(?death, "a session has not become what it was to be");
    session.forget().await;
}

/// The base that an image of that session is of, where the sessions that this nest gives have the same.
fn base_for<'a>(session: &Session, nest: &'a Nest) -> Result<BorrowedFd<'a>, SessionError> {
    if !session.is_living_in(nest) {
        return Err(refused("it was begun by a server with other settings"));
    }
    base_in(nest)
}

/// The base of an image, where the sessions that this nest gives have the same.
fn base_of<'a>(original: &Original, nest: &'a Nest) -> Result<BorrowedFd<'a>, SessionError> {
    if original.nest != nest.note.name {
        return Err(refused("the nest that it came from is gone"));
    }
    base_in(nest)
}

fn base_in(nest: &Nest) -> Result<BorrowedFd<'_>, SessionError> {
    if nest.plan().session.namespaces == SessionNamespaces::Shared {
        return Err(refused("a session under --isolation reduced does not see what it has"));
    }
    nest.base().ok_or_else(|| refused("its memory is not shared as a file"))
}

fn refused(why: &str) -> SessionError {
    SessionError::NotCarried { why: why.to_owned() }
}
