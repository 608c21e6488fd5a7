//! Every session by its name: admits requests to their queues and starts the tasks that serve them.

mod creation;
mod asking;
mod errand;
mod forking;
mod checkpointing;
mod sleeping;
mod look;
mod service;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};

pub use self::asking::AskError;
use self::creation::Creation;
pub(crate) use self::errand::Errand;
use crate::board::{Board, Claim};
use crate::checkpoints::{Checkpoints, Stored};
use crate::clock::Moment;
use crate::config::EngineConfig;
use crate::counts::Counts;
use crate::ending::Ending;
use crate::engine::ExecuteError;
use crate::environment_name::EnvironmentName;
use crate::environments::{Environments, is_true};
use crate::executions::Execution;
use crate::inheritance::{Ended, Inherited, keep_end};
use crate::keeper::Keeper;
use crate::kept::gone_key;
use crate::names::{Gone, Live, Names, Sleeper};
use crate::outcome::Death;
use crate::owner::Owner;
use crate::owners::Owners;
use crate::request::Code;
use crate::restart::Restart;
use crate::session::{Session, SessionError};
use crate::session_id::SessionId;
use crate::session_limits::{AskedLimits, SessionLimits};
use crate::view::Held;
use crate::wanted::{Checkpointing, WantedSession};
use crate::workspace::Workers;

/// Every session of the server.
#[derive(Debug)]
pub(crate) struct Registry {
    environments: Environments,
    config: Arc<EngineConfig>,
    names: Mutex<Names>,
    /// One for each execution that may run now.
    turns: Semaphore,
    owners: Owners,
    /// Executions that were taken on and are not answered yet.
    in_flight: AtomicUsize,
    /// Told whenever one is answered.
    answered: Notify,
    workers: Arc<Workers>,
    /// What has not begun is left to the server that comes after this one.
    is_handing_over: watch::Sender<bool>,
}

type Reply = Result<Execution, ExecuteError>;

/// An execution that waits for its turn.
#[derive(Debug)]
pub(crate) struct Request {
    code: Code,
    /// In its session.
    number: u64,
    claim: Claim,
    /// What its end means for the session of its name.
    manner: Manner,
    asked: Instant,
    reply: oneshot::Sender<Reply>,
    _in_flight: InFlight,
}

/// How a session is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// By name alone: the end of a session is told once, and then there is a new one of that name.
    ByName,
    /// As one that was made: when it has ended it stays so, for whoever looks.
    AsMade,
}

impl Request {
    /// Returns whether somebody heard it for whom that was enough.
    fn answer_gone(self, id: &SessionId, death: Death) -> bool {
        let is_heard = self.reply.send(Ok(Execution::gone(id.clone(), death))).is_ok();
        is_heard && self.manner == Manner::ByName
    }
}

/// Counts an execution for as long as it is not answered.
#[derive(Debug)]
struct InFlight(Arc<Registry>);

impl InFlight {
    fn new(registry: &Arc<Registry>) -> Self {
        registry.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(registry))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.answered.notify_waiters();
    }
}

/// What a session's task has in common with its name.
#[derive(Debug)]
struct Shared {
    ending: Arc<Ending>,
    restart: Arc<Restart>,
    board: Arc<Board>,
    watched: watch::Sender<Option<Held>>,
}

/// Where a session's task begins.
#[derive(Debug)]
enum Beginning {
    /// For those who wait for it with their code.
    New,
    /// For somebody who waits for the session itself, which goes on from a checkpoint, if there is one.
    Created(Box<WantedSession>, Option<Arc<Stored>>, Creation),
    /// Where it lay down to sleep.
    Asleep(Sleeper),
    /// For somebody who waits for it to be forked from another, which has given that number last.
    Forked { forked: oneshot::Receiver<Result<Session, SessionError>>, last: u64, creation: Creation },
    /// With what counts the execution that runs in it, if one does.
    Inherited(Box<Session>, Option<InFlight>),
}

impl Registry {
    /// With the sessions that an earlier server has left.
    pub(crate) fn new(environments: Environments, inherited: Inherited, config: Arc<EngineConfig>) -> Arc<Self> {
        let turns = Semaphore::new(config.limits.executions_max.min(Semaphore::MAX_PERMITS));
        let owners = Owners::new(&config.owners);
        let (in_flight, answered) = (AtomicUsize::new(0), Notify::new());
        let workers = Arc::new(Workers::new(&config.sandbox_limits));
        let registry = Arc::new(Self {
            environments,
            config,
            names: Mutex::default(),
            turns,
            owners,
            in_flight,
            answered,
            workers,
            is_handing_over: watch::Sender::new(false),
        });
        {
            let mut names = registry.names();
            let checkpoints = &registry.environments.common.checkpoints;
            for stored in checkpoints.asleep() {
                let session = &stored.manifest.session;
                // Which of both it is, is decided by there being a process: it has run nothing since it was written down.
                if inherited.living.iter().any(|living| living.id == *session) {
                    checkpoints.remove(&stored);
                } else {
                    names.asleep.insert(session.clone(), stored.into());
                }
            }
            for ended in inherited.ended {
                if names.asleep.contains_key(&ended.id) {
                    continue;
                }
                match registry.revivable(&ended) {
                    Some(sleeper) => {
                        names.asleep.insert(ended.id, sleeper);
                    }
                    None => drop(names.bury(ended)),
                }
            }
            for session in inherited.living {
                registry.counts().session_inherited();
                let id = session.id.clone();
                let running = session.history.running().map(|_| InFlight::new(&registry));
                let beginning = Beginning::Inherited(Box::new(session), running);
                names.live.insert(id.clone(), registry.start_task(&id, beginning, []));
            }
        }
        registry
    }

    pub(crate) fn environments(&self) -> &Environments {
        &self.environments
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.environments.common.counts
    }

    pub(crate) fn checkpoints(&self) -> &Arc<Checkpoints> {
        &self.environments.common.checkpoints
    }

    pub(crate) fn keeper(&self) -> &Keeper {
        &self.environments.common.keeper
    }

    /// The environments that sessions of `owner` may be of, that first which they are of unless they ask for another.
    pub(crate) fn environments_of(&self, owner: Option<&Owner>) -> Vec<EnvironmentName> {
        match self.owners.environments(owner) {
            [] => self.environments.each.iter().map(|environment| environment.name.clone()).collect(),
            some => some.to_vec(),
        }
    }

    /// The one that sessions of `owner` are of unless they ask for another.
    fn usual_environment(&self, owner: Option<&Owner>) -> EnvironmentName {
        self.owners.environments(owner).first().cloned().unwrap_or_default()
    }

    /// What sessions of which nothing else is said do about checkpoints.
    pub(crate) fn checkpointing(&self) -> Checkpointing {
        self.config.checkpointing
    }

    /// The operator's.
    pub(crate) fn limits(&self) -> SessionLimits {
        SessionLimits::of(&self.config)
    }

    /// What sessions of `owner` are to have less of than the operator's limits.
    pub(crate) fn asked_of(&self, owner: Option<&Owner>) -> AskedLimits {
        self.owners.asked(owner)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Returns when no execution is under way.
    pub(crate) async fn quiet(&self) {
        loop {
            let answered = self.answered.notified();
            if self.in_flight() == 0 {
                return;
            }
            answered.await;
        }
    }

    /// Gives up what has not begun: it is answered so.
    pub(crate) fn hand_over(&self) {
        self.is_handing_over.send_replace(true);
    }

    pub(crate) fn is_handing_over(&self) -> bool {
        *self.is_handing_over.borrow()
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        // Every change leaves it whole: a panic elsewhere does not matter.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives every keeper after the first the ends that nobody was told of. Never returns.
    pub(crate) async fn keep_ends(&self) {
        let keeper = self.keeper();
        let mut generation = keeper.generation();
        loop {
            keeper.later_than(generation).await;
            generation = keeper.generation();
            let ended = |(id, Gone { death, history, .. }): (&SessionId, &Gone)| Ended {
                id: id.clone(),
                death: death.clone(),
                history: history.clone(),
            };
            let gone: Vec<_> = self.names().gone.iter().map(ended).collect();
            for ended in gone {
                keep_end(keeper, &ended).await;
                // It may have been told of meanwhile.
                if !self.names().gone.contains_key(&ended.id) {
                    keeper.remove(&gone_key(&ended.id)).await;
                }
            }
        }
    }

    fn check_room(&self, names: &Names, id: &SessionId) -> Result<(), ExecuteError> {
        self.check_room_for(names, id, 1)
    }

    /// Whether there is room for so many sessions of the owner of that one.
    fn check_room_for(&self, names: &Names, id: &SessionId, count: usize) -> Result<(), ExecuteError> {
        self.owners.check_room(id, count)?;
        let sessions_max = self.config.limits.sessions_max;
        let is_room = names.live.len() + count <= sessions_max as usize;
        if is_room { Ok(()) } else { Err(ExecuteError::NoRoom { sessions_max }) }
    }

    /// Ends the session of that name, and returns when that is done; whether there was one.
    pub(crate) async fn delete(&self, id: &SessionId) -> bool {
        let (was_gone, asleep, queue) = {
            let mut names = self.names();
            let live = names.live.get(id).map(|live| {
                live.ending.want();
                live.queue.clone()
            });
            (names.gone.remove(id), names.asleep.remove(id), live)
        };
        if let Some(history) = was_gone.as_ref().and_then(|gone| gone.history.as_ref()) {
            self.forget_automatic(&history.record()).await;
        }
        let was_gone = was_gone.is_some();
        if let Some(Sleeper { stored, .. }) = asleep {
            self.keeper().remove(&gone_key(id)).await;
            self.forget_automatic(&stored.manifest.record).await;
            self.remove_stored(stored).await;
            return true;
        }
        if was_gone {
            self.keeper().remove(&gone_key(id)).await;
        }
        let Some(queue) = queue else { return was_gone };
        queue.closed().await;
        // It may have ended by itself in the last moment.
        let is_buried = {
            let mut names = self.names();
            !names.live.contains_key(id) && names.gone.remove(id).is_some()
        };
        if is_buried {
            self.keeper().remove(&gone_key(id)).await;
        }
        true
    }

    /// Runs `code` in the session of that name, or in a new one. Goes on to the end even if the future is dropped.
    pub(crate) async fn execute(self: &Arc<Self>, id: SessionId, code: Code) -> Reply {
        let (reply, answer) = oneshot::channel();
        let (claim, manner) = (Claim::default(), Manner::ByName);
        let request = self.request(code, claim.clone(), manner, reply);
        let handing_over = is_true(&self.is_handing_over);
        if let Some(death) = self.admit(&id, request)? {
            self.keeper().remove(&gone_key(&id)).await;
            return Ok(Execution::gone(id, death));
        }
        self.answered(answer, &claim, handing_over).await
    }

    fn request(self: &Arc<Self>, code: Code, claim: Claim, manner: Manner, reply: oneshot::Sender<Reply>) -> Request {
        Request { code, number: 0, claim, manner, asked: Instant::now(), reply, _in_flight: InFlight::new(self) }
    }

    /// The answer to a request, or that it was given up as this server leaves.
    async fn answered(
        &self,
        mut answer: oneshot::Receiver<Reply>,
        claim: &Claim,
        handing_over: impl Future<Output = ()>,
    ) -> Reply {
        let answered = tokio::select! {
            biased;
            answered = &mut answer => answered,
            () = handing_over => {
                if claim.take() {
                    return Err(ExecuteError::ShuttingDown);
                }
                answer.await
            }
        };
        answered.unwrap_or_else(|_| Err(ExecuteError::Internal("the session's task ended without an answer".into())))
    }

    /// Gives the request to its session, which it makes if need be; or returns why that session is gone.
    fn admit(self: &Arc<Self>, id: &SessionId, request: Request) -> Result<Option<Death>, ExecuteError> {
        let mut names = self.names();
        self.rouse(&mut names, id)?;
        // One that lives was made by somebody who did not want to know.
        if !names.live.contains_key(id)
            && let Some(gone) = names.gone.remove(id)
        {
            return Ok(Some(gone.death));
        }
        let request = match names.live.get(id) {
            Some(live) => match self.enqueue(live, request)? {
                None => return Ok(None),
                // Its task has failed; it is replaced.
                Some(request) => request,
            },
            None => {
                self.check_room(&names, id)?;
                request
            }
        };
        names.live.insert(id.clone(), self.start_task(id, Beginning::New, [request]));
        Ok(None)
    }

    /// Has the request wait for its turn. Returns it where the session has ended.
    fn enqueue(&self, live: &Live, mut request: Request) -> Result<Option<Request>, ExecuteError> {
        request.number = live.board.enter(request.code.idempotency, request.claim.clone());
        let number = request.number;
        let Err(refused) = live.queue.try_send(request) else { return Ok(None) };
        live.board.withdraw(number);
        match refused {
            TrySendError::Full(_) => Err(ExecuteError::QueueFull { queue_max: self.config.limits.queue_max }),
            TrySendError::Closed(request) => Ok(Some(request)),
        }
    }

    /// Starts the task of a session that has these requests to begin with.
    fn start_task(
        self: &Arc<Self>,
        id: &SessionId,
        beginning: Beginning,
        first: impl IntoIterator<Item = Request>,
    ) -> Live {
        let (sender, receiver) = mpsc::channel(self.config.limits.queue_max.max(1));
        let board = Arc::new(match &beginning {
            Beginning::Inherited(session, _) => Board::after(session.history.last_number()),
            Beginning::Forked { last, .. } => Board::beside(*last),
            Beginning::Asleep(Sleeper { history: Some(history), .. }) => Board::after(history.last_number()),
            Beginning::Created(_, Some(stored), _) | Beginning::Asleep(Sleeper { stored, .. }) => {
                Board::beside(stored.manifest.last_number)
            }
            Beginning::New | Beginning::Created(_, None, _) => Board::new(),
        });
        for mut request in first {
            request.number = board.enter(request.code.idempotency, request.claim.clone());
            // There is room: they come from a queue of the same size.
            let _ = sender.try_send(request);
        }
        let ending = Arc::new(Ending::default());
        let (watched, held) = watch::channel(None);
        let (restart, _counted) = (Arc::default(), self.owners.count(id));
        let (errands, errand) = mpsc::channel(self.config.limits.queue_max.max(1));
        let asked_to_sleep = AtomicU64::new(u64::MAX);
        let since = Moment::now();
        let live = Live { queue: sender, errands, asked_to_sleep, since, held, ending, restart, board, _counted };
        let shared = Shared {
            ending: Arc::clone(&live.ending),
            restart: Arc::clone(&live.restart),
            board: Arc::clone(&live.board),
            watched,
        };
        tokio::spawn(Arc::clone(self).serve(id.clone(), beginning, shared, receiver, errand));
        live
    }
}
