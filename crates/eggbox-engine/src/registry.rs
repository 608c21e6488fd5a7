//! Every session by its name: admits requests to their queues and starts the tasks that serve them.

mod creation;
mod look;
mod service;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};

use self::creation::Creation;
use crate::code::Code;
use crate::config::EngineConfig;
use crate::ending::Ending;
use crate::engine::ExecuteError;
use crate::environment::{Environment, is_true};
use crate::inheritance::{Ended, Inherited, keep_end};
use crate::kept::gone_key;
use crate::names::{Gone, Live, Names};
use crate::outcome::{Death, Execution, Outcome, Output, Usage};
use crate::session::Session;
use crate::session_files::LastExecution;
use crate::session_id::SessionId;
use crate::session_limits::{AskedLimits, SessionLimits};

/// Every session of the server.
#[derive(Debug)]
pub(crate) struct Registry {
    environment: Environment,
    config: Arc<EngineConfig>,
    names: Mutex<Names>,
    /// One for each execution that may run now.
    turns: Semaphore,
    /// Executions that were taken on and are not answered yet.
    in_flight: AtomicUsize,
    /// Told whenever one is answered.
    answered: Notify,
    /// What has not begun is left to the server that comes after this one.
    is_handing_over: watch::Sender<bool>,
}

type Reply = Result<Execution, ExecuteError>;

/// An execution that waits for its turn.
#[derive(Debug)]
pub(crate) struct Request {
    code: Code,
    /// Whether somebody has taken it on, or has given it up: whoever comes first.
    is_settled: Arc<AtomicBool>,
    asked: Instant,
    reply: oneshot::Sender<Reply>,
    _in_flight: InFlight,
}

impl Request {
    /// Whether it was not settled before. It is from now on.
    fn settle(is_settled: &AtomicBool) -> bool {
        !is_settled.swap(true, Ordering::Relaxed)
    }

    /// Returns whether somebody heard it.
    fn answer_gone(self, id: &SessionId, death: Death) -> bool {
        self.reply.send(Ok(gone(id.clone(), death))).is_ok()
    }
}

/// The answer to the first request after the end of its session.
fn gone(session: SessionId, death: Death) -> Execution {
    let [stdout, stderr] = [Output::default(), Output::default()];
    Execution { session, stdout, stderr, outcome: Outcome::Gone(death), usage: Usage::default() }
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

/// Where a session's task begins.
#[derive(Debug)]
enum Beginning {
    /// For those who wait for it with their code.
    New,
    /// For somebody who waits for the session itself.
    Created(AskedLimits, Creation),
    /// With what counts the execution that runs in it, if one does.
    Inherited(Box<Session>, Option<InFlight>),
}

impl Registry {
    /// With the sessions that an earlier server has left.
    pub(crate) fn new(environment: Environment, inherited: Inherited, config: Arc<EngineConfig>) -> Arc<Self> {
        let turns = Semaphore::new(config.limits.executions_max.min(Semaphore::MAX_PERMITS));
        let (in_flight, answered) = (AtomicUsize::new(0), Notify::new());
        let registry = Arc::new(Self {
            environment,
            config,
            names: Mutex::default(),
            turns,
            in_flight,
            answered,
            is_handing_over: watch::Sender::new(false),
        });
        {
            let mut names = registry.names();
            for ended in inherited.ended {
                names.bury(ended);
            }
            for session in inherited.living {
                registry.environment.counts.session_inherited();
                let id = session.record.id.clone();
                let running = session.record.is_running().then(|| InFlight::new(&registry));
                let beginning = Beginning::Inherited(Box::new(session), running);
                names.live.insert(id.clone(), registry.start_task(&id, beginning, []));
            }
        }
        registry
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The operator's.
    pub(crate) fn limits(&self) -> SessionLimits {
        SessionLimits::of(&self.config)
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
        let keeper = &self.environment.keeper;
        let mut generation = keeper.generation();
        loop {
            keeper.later_than(generation).await;
            generation = keeper.generation();
            let ended = |(id, Gone { death, files, .. }): (&SessionId, &Gone)| Ended {
                id: id.clone(),
                death: death.clone(),
                files: files.clone(),
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

    /// What the session of that name has run last; none where there is no such session.
    pub(crate) fn last_execution(&self, id: &SessionId) -> std::io::Result<Option<LastExecution>> {
        let files = {
            let names = self.names();
            match (names.live.get(id), names.gone.get(id)) {
                (Some(live), _) => match &*live.held.borrow() {
                    Some(held) => Arc::clone(&held.files),
                    None => return Ok(Some(LastExecution::None)),
                },
                (None, Some(Gone { files: Some(files), .. })) => Arc::clone(files),
                (None, _) => return Ok(None),
            }
        };
        files.last_execution().map(Some)
    }

    fn check_room(&self, names: &Names) -> Result<(), ExecuteError> {
        let sessions_max = self.config.limits.sessions_max;
        if names.live.len() >= sessions_max as usize { Err(ExecuteError::NoRoom { sessions_max }) } else { Ok(()) }
    }

    /// Ends the session of that name, and returns when that is done; whether there was one.
    pub(crate) async fn delete(&self, id: &SessionId) -> bool {
        let (was_gone, queue) = {
            let mut names = self.names();
            let live = names.live.get(id).map(|live| {
                live.ending.want();
                live.queue.clone()
            });
            (names.gone.remove(id).is_some(), live)
        };
        if was_gone {
            self.environment.keeper.remove(&gone_key(id)).await;
        }
        let Some(queue) = queue else { return was_gone };
        queue.closed().await;
        // It may have ended by itself in the last moment.
        let is_buried = {
            let mut names = self.names();
            !names.live.contains_key(id) && names.gone.remove(id).is_some()
        };
        if is_buried {
            self.environment.keeper.remove(&gone_key(id)).await;
        }
        true
    }

    /// Runs `code` in the session of that name, or in a new one. Goes on to the end even if the future is dropped.
    pub(crate) async fn execute(self: &Arc<Self>, id: SessionId, code: Code) -> Reply {
        let (reply, mut answer) = oneshot::channel();
        let is_settled = Arc::new(AtomicBool::new(false));
        let request = Request {
            code,
            is_settled: Arc::clone(&is_settled),
            asked: Instant::now(),
            reply,
            _in_flight: InFlight::new(self),
        };
        let handing_over = is_true(&self.is_handing_over);
        if let Some(death) = self.admit(&id, request)? {
            self.environment.keeper.remove(&gone_key(&id)).await;
            return Ok(gone(id, death));
        }
        let answered = tokio::select! {
            biased;
            answered = &mut answer => answered,
            () = handing_over => {
                if Request::settle(&is_settled) {
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
        // One that lives was made by somebody who did not want to know.
        if !names.live.contains_key(id)
            && let Some(gone) = names.gone.remove(id)
        {
            return Ok(Some(gone.death));
        }
        let request = match names.live.get(id) {
            Some(live) => match live.queue.try_send(request) {
                Ok(()) => return Ok(None),
                Err(TrySendError::Full(_)) => {
                    return Err(ExecuteError::QueueFull { queue_max: self.config.limits.queue_max });
                }
                // Its task has failed; it is replaced.
                Err(TrySendError::Closed(request)) => request,
            },
            None => {
                self.check_room(&names)?;
                request
            }
        };
        names.live.insert(id.clone(), self.start_task(id, Beginning::New, [request]));
        Ok(None)
    }

    /// Starts the task of a session that has these requests to begin with.
    fn start_task(
        self: &Arc<Self>,
        id: &SessionId,
        beginning: Beginning,
        first: impl IntoIterator<Item = Request>,
    ) -> Live {
        let (sender, receiver) = mpsc::channel(self.config.limits.queue_max.max(1));
        for request in first {
            // There is room: they come from a queue of the same size.
            let _ = sender.try_send(request);
        }
        let ending = Arc::new(Ending::default());
        let (watched, held) = watch::channel(None);
        tokio::spawn(Arc::clone(self).serve(id.clone(), beginning, Arc::clone(&ending), watched, receiver));
        Live { queue: sender, held, ending }
    }
}
