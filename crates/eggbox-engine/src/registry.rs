//! Which names stand for which sessions, and the tasks that serve them.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::config::Limits;
use crate::engine::{ExecuteError, chain};
use crate::environment::Environment;
use crate::nest::SpawnError;
use crate::outcome::{Death, Execution, Outcome, Output, SessionState};
use crate::session::{Ran, SessionError};
use crate::session_id::SessionId;

/// Every session of the server.
#[derive(Debug)]
pub(crate) struct Registry {
    environment: Environment,
    limits: Arc<Limits>,
    names: Mutex<Names>,
    /// Executions that were taken on and are not answered yet.
    in_flight: AtomicUsize,
    /// Told whenever one is answered.
    answered: Notify,
}

/// The sessions that are named now.
#[derive(Debug, Default)]
struct Names {
    /// Where the requests of a living session are sent. Its task closes the queue only under the registry's lock.
    live: HashMap<SessionId, mpsc::Sender<Request>>,
    /// Those that ended between executions, of which nobody has been told yet.
    gone: HashMap<SessionId, Death>,
    /// The same in the order of their ends, with some that have been told of since.
    gone_order: VecDeque<SessionId>,
}

/// How many ended sessions are remembered for clients who may never ask; beyond that the oldest are forgotten.
const GONE_MAX: usize = 16 * 1024;

impl Names {
    fn bury(&mut self, id: SessionId, death: Death) {
        self.gone.insert(id.clone(), death);
        self.gone_order.push_back(id);
        while self.gone_order.len() > GONE_MAX {
            if let Some(oldest) = self.gone_order.pop_front() {
                self.gone.remove(&oldest);
            }
        }
    }
}

type Reply = Result<Execution, ExecuteError>;

/// An execution that waits for its turn.
struct Request {
    code: String,
    reply: oneshot::Sender<Reply>,
    _in_flight: InFlight,
}

impl Request {
    fn answer_gone(self, id: &SessionId, death: Death) {
        // A client that went away does not hear it.
        let _ = self.reply.send(Ok(gone(id.clone(), death)));
    }
}

/// The answer to the first request after the end of its session.
fn gone(session: SessionId, death: Death) -> Execution {
    Execution { session, stdout: Output::default(), stderr: Output::default(), outcome: Outcome::Gone(death) }
}

/// Counts an execution for as long as it is not answered.
struct InFlight(Arc<Registry>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.answered.notify_waiters();
    }
}

impl Registry {
    pub(crate) fn new(environment: Environment, limits: Arc<Limits>) -> Self {
        Self { environment, limits, names: Mutex::default(), in_flight: AtomicUsize::new(0), answered: Notify::new() }
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
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

    fn names(&self) -> MutexGuard<'_, Names> {
        // Every change leaves it whole: a panic elsewhere does not matter.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `code` in the session of that name, or in a new one. Goes on to the end even if the future is dropped.
    pub(crate) async fn execute(self: &Arc<Self>, id: SessionId, code: String) -> Reply {
        let (reply, answer) = oneshot::channel();
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let request = Request { code, reply, _in_flight: InFlight(Arc::clone(self)) };
        if let Some(death) = self.admit(&id, request)? {
            return Ok(gone(id, death));
        }
        answer
            .await
            .unwrap_or_else(|_| Err(ExecuteError::Internal("the session's task ended without an answer".into())))
    }

    /// Gives the request to its session, which it makes if need be; or returns why that session is gone.
    fn admit(self: &Arc<Self>, id: &SessionId, request: Request) -> Result<Option<Death>, ExecuteError> {
        let mut names = self.names();
        if let Some(death) = names.gone.remove(id) {
            return Ok(Some(death));
        }
        let request = match names.live.get(id) {
            Some(queue) => match queue.try_send(request) {
                Ok(()) => return Ok(None),
                Err(TrySendError::Full(_)) => {
                    return Err(ExecuteError::QueueFull { queue_max: self.limits.queue_max });
                }
                // Its task has failed; it is replaced.
                Err(TrySendError::Closed(request)) => request,
            },
            None if names.live.len() >= self.limits.sessions_max as usize => {
                return Err(ExecuteError::NoRoom { sessions_max: self.limits.sessions_max });
            }
            None => request,
        };
        names.live.insert(id.clone(), self.start_task(id, [request]));
        Ok(None)
    }

    /// Starts the task of a session that has these requests to begin with.
    fn start_task(self: &Arc<Self>, id: &SessionId, first: impl IntoIterator<Item = Request>) -> mpsc::Sender<Request> {
        let (sender, receiver) = mpsc::channel(self.limits.queue_max.max(1));
        for request in first {
            // There is room: they come from a queue of the same size.
            let _ = sender.try_send(request);
        }
        tokio::spawn(Arc::clone(self).serve(id.clone(), receiver));
        sender
    }

    /// The task of one session, from its fork to its end.
    async fn serve(self: Arc<Self>, id: SessionId, mut queue: mpsc::Receiver<Request>) {
        let mut session = match self.environment.start_session().await {
            Ok(session) => session,
            Err(error) => return self.fail(&id, queue, &error),
        };
        let death = loop {
            let idle_end = Instant::now() + self.limits.idle_max;
            let request = tokio::select! {
                biased;
                // Looked at first: code is not given to a session that is known to have ended.
                death = session.watch_idle() => break Some(death),
                request = queue.recv() => request,
                () = sleep_until(idle_end) => break Some(session.end(Death::Idle { idle_max: self.limits.idle_max }).await),
            };
            // The registry holds a sender while the entry is live.
            let Some(request) = request else { break None };
            let Ran { stdout, stderr, outcome } = session.execute(&request.code).await;
            let outcome = match outcome {
                Outcome::Died(Death::Nest) if self.environment.is_closing() => Outcome::Died(Death::Shutdown),
                other => other,
            };
            let state = outcome.state();
            if state == SessionState::Lost {
                // Before the answer is out, so that the next request starts afresh.
                self.remove(&id, &mut queue, None);
            }
            // A client that went away does not hear it.
            let _ = request.reply.send(Ok(Execution { session: id.clone(), stdout, stderr, outcome }));
            if state == SessionState::Lost {
                return;
            }
        };
        tracing::debug!(session = %id, ?death, "session ended while idle");
        self.remove(&id, &mut queue, death);
    }

    /// Takes an ended session out. Requests that wait for it go to a new one of that name, in their order; where there
    /// are none, the next is told of `untold`.
    fn remove(self: &Arc<Self>, id: &SessionId, queue: &mut mpsc::Receiver<Request>, untold: Option<Death>) {
        let mut names = self.names();
        names.live.remove(id);
        queue.close();
        let mut waiting: Vec<Request> = Vec::new();
        while let Ok(request) = queue.try_recv() {
            waiting.push(request);
        }
        let mut waiting = waiting.into_iter();
        if let Some(death) = untold {
            let Some(told) = waiting.next() else { return names.bury(id.clone(), death) };
            told.answer_gone(id, death);
        }
        if waiting.len() > 0 {
            names.live.insert(id.clone(), self.start_task(id, waiting));
        }
    }

    /// No session could be had: everybody who waits for it is told why, or that it is our fault.
    fn fail(&self, id: &SessionId, mut queue: mpsc::Receiver<Request>, error: &SessionError) {
        let refusal = || match error {
            SessionError::Spawn(SpawnError::NoSlot) => ExecuteError::NoRoom { sessions_max: self.limits.sessions_max },
            SessionError::ShuttingDown => ExecuteError::ShuttingDown,
            other => ExecuteError::Internal(format!("failed to start a session: {}", chain(other)).into()),
        };
        if let ExecuteError::Internal(_) = refusal() {
            tracing::error!(session = %id, error = chain(error), "failed to start a session");
        }
        let mut names = self.names();
        names.live.remove(id);
        queue.close();
        while let Ok(request) = queue.try_recv() {
            let _ = request.reply.send(Err(refusal()));
        }
    }
}
