//! Sessions that somebody asks for as such, and how they are.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Beginning, InFlight, Registry};
use crate::engine::{CreateError, ExecuteError};
use crate::kept::gone_key;
use crate::names::Gone;
use crate::session_id::SessionId;
use crate::session_limits::AskedLimits;
use crate::view::{self, Held, SessionView};

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
    pub(crate) async fn view(&self, id: &SessionId) -> std::io::Result<Option<SessionView>> {
        let live = self.names().live.get(id).map(|live| live.held.clone());
        if let Some(mut live) = live
            // An error where it could not be started.
            && let Ok(held) = live.wait_for(Option::is_some).await.map(|held| held.clone())
        {
            return held.map(|held| held.view()).transpose();
        }
        let gone = self.names().gone.get(id).map(|Gone { death, files, .. }| (death.clone(), files.clone()));
        let Some((death, files)) = gone else { return Ok(None) };
        view::of_ended(id.clone(), death, files.as_deref(), self.limits()).map(Some)
    }

    /// Makes a session of that name, which may use what is asked, and returns when it is there. The end of an earlier one
    /// that nobody was told of is forgotten with that.
    pub(crate) async fn create(
        self: &Arc<Self>,
        id: SessionId,
        asked: AskedLimits,
    ) -> Result<SessionView, CreateError> {
        let (reply, created) = oneshot::channel();
        {
            let mut names = self.names();
            match names.live.get(&id) {
                Some(live) if !live.queue.is_closed() => return Err(CreateError::Exists),
                Some(_) => {}
                None => self.check_room(&names, &id)?,
            }
            let untold = names.gone.get(&id).map(|gone| gone.number);
            let beginning = Beginning::Created(asked, Creation { reply, untold, _in_flight: InFlight::new(self) });
            names.live.insert(id.clone(), self.start_task(&id, beginning, []));
        }
        let internal = |cause: Box<dyn std::error::Error + Send + Sync>| ExecuteError::Internal(cause);
        let held = created.await.unwrap_or_else(|_| Err(internal("the session's task ended without a word".into())))?;
        Ok(held.view().map_err(|error| internal(error.into()))?)
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
            self.environment.keeper.remove(&gone_key(id)).await;
        }
    }
}
