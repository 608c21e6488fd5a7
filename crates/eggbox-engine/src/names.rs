//! Which names are sessions' now, and which were: the end of a session is remembered until somebody is told.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::{mpsc, watch};

use crate::board::Board;
use crate::checkpoints::Stored;
use crate::clock::Moment;
use crate::ending::Ending;
use crate::history::History;
use crate::inheritance::Ended;
use crate::outcome::Death;
use crate::owners::Counted;
use crate::registry::{Errand, Request};
use crate::restart::Restart;
use crate::session::SessionError;
use crate::session_id::SessionId;
use crate::view::Held;

/// The sessions that are named now.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) live: HashMap<SessionId, Live>,
    /// Those that sleep: none of them is among the living or the gone.
    pub(crate) asleep: HashMap<SessionId, Sleeper>,
    /// Those that ended between executions, of which nobody has been told yet.
    pub(crate) gone: HashMap<SessionId, Gone>,
    /// The same by the numbers of their ends, with some that have been told of since.
    gone_order: VecDeque<(u64, SessionId)>,
    ends: u64,
}

/// A session that sleeps.
#[derive(Debug)]
pub(crate) struct Sleeper {
    pub(crate) stored: Arc<Stored>,
    /// What it has run, where that is not there with the rest.
    pub(crate) history: Option<Arc<History>>,
    /// Why it could not be woken when that was tried last.
    pub(crate) failure: Option<SessionError>,
}

impl From<Arc<Stored>> for Sleeper {
    fn from(stored: Arc<Stored>) -> Self {
        Self { stored, history: None, failure: None }
    }
}

/// A session that has not ended.
#[derive(Debug)]
pub(crate) struct Live {
    /// Where its requests are sent. Its task closes the queue only under the registry's lock.
    pub(crate) queue: mpsc::Sender<Request>,
    pub(crate) errands: mpsc::Sender<Errand>,
    /// When its rest had begun that it was asked in last to go to sleep, in [`Moment`](crate::clock::Moment)'s nanoseconds.
    pub(crate) asked_to_sleep: AtomicU64,
    /// When this server began to serve it.
    pub(crate) since: Moment,
    /// What there is to be looked at; none until it was started.
    pub(crate) held: watch::Receiver<Option<Held>>,
    pub(crate) ending: Arc<Ending>,
    pub(crate) restart: Arc<Restart>,
    /// The executions that wait for it.
    pub(crate) board: Arc<Board>,
    pub(crate) _counted: Counted,
}

/// A session that has ended untold.
#[derive(Debug)]
pub(crate) struct Gone {
    /// Counts the ends.
    pub(crate) number: u64,
    pub(crate) death: Death,
    /// What it has run; none where it is not among the last few to end.
    pub(crate) history: Option<Arc<History>>,
}

/// How many of them the history is kept of.
const GONE_HISTORIES_MAX: usize = 64;
/// How many ended sessions are remembered for clients who may never ask; beyond that the oldest are forgotten.
const GONE_MAX: usize = 16 * 1024;

impl Names {
    /// Whether a session of that name lives or sleeps.
    pub(crate) fn is_named(&self, id: &SessionId) -> bool {
        self.live.contains_key(id) || self.asleep.contains_key(id)
    }

    /// Remembers an end until it is told.
    pub(crate) fn bury(&mut self, Ended { id, death, history }: Ended) -> Buried {
        self.ends += 1;
        self.gone_order.push_back((self.ends, id.clone()));
        self.gone.insert(id, Gone { number: self.ends, death, history });
        let stripped = self.gone_order.iter().rev().nth(GONE_HISTORIES_MAX).and_then(|(number, id)| {
            let gone = self.gone.get_mut(id).filter(|gone| gone.number == *number)?;
            gone.history.take().map(|_| Ended { id: id.clone(), death: gone.death.clone(), history: None })
        });
        let oldest = if self.gone_order.len() > GONE_MAX { self.gone_order.pop_front() } else { None };
        let forgotten = oldest.and_then(|(number, id)| {
            // It may have been told of since, or have ended again.
            let is_untold = self.gone.get(&id).is_some_and(|gone| gone.number == number);
            (is_untold && self.gone.remove(&id).is_some()).then_some(id)
        });
        Buried { forgotten, stripped }
    }
}

/// What an end pushes out that is remembered.
#[derive(Debug, Default)]
pub(crate) struct Buried {
    /// One of too long ago.
    pub(crate) forgotten: Option<SessionId>,
    /// One of which what was printed is not kept any more.
    pub(crate) stripped: Option<Ended>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(id: &str) -> Ended {
        let id = SessionId::try_from(id.to_owned()).unwrap();
        let history = Some(Arc::new(History::of_nothing(id.clone())));
        Ended { id, death: Death::Nest, history }
    }

    #[test]
    fn what_was_printed_is_kept_of_the_last_few_and_the_end_of_many() {
        let mut names = Names::default();
        for number in 0..=GONE_HISTORIES_MAX {
            let Buried { forgotten, stripped } = names.bury(ended(&number.to_string()));
            assert_eq!(forgotten, None);
            assert_eq!(
                stripped.map(|ended| ended.id.to_string()),
                (number == GONE_HISTORIES_MAX).then(|| "0".to_owned())
            );
        }
        let first = SessionId::try_from("0".to_owned()).unwrap();
        assert!(names.gone.contains_key(&first) && names.gone[&first].history.is_none());
    }

    #[test]
    fn the_oldest_is_forgotten_but_not_one_that_has_ended_again() {
        let mut names = Names::default();
        let bare = |id: &str| Ended { history: None, ..ended(id) };
        names.bury(bare("again"));
        names.bury(bare("old"));
        names.bury(bare("again"));
        let forgotten: Vec<_> = (0..GONE_MAX - 1)
            .filter_map(|number| names.bury(bare(&format!("n{number}"))).forgotten)
            .map(|id| id.to_string())
            .collect();
        assert_eq!(forgotten, ["old"]);
        assert!(names.gone.contains_key(&SessionId::try_from("again".to_owned()).unwrap()));
    }
}
