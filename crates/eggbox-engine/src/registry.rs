//! Which names stand for which sessions, and the tasks that serve them.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::config::Limits;
use crate::engine::ExecuteError;
use crate::environment::Environment;
use crate::outcome::{Death, Execution, Outcome, Output, SessionState};
use crate::session::Ran;
use crate::session_id::SessionId;

/// Every session of the server.
#[derive(Debug)]
pub(crate) struct Registry {
    environment: Environment,
    limits: Arc<Limits>,
    sessions: Mutex<HashMap<SessionId, Entry>>,
    /// Executions that were taken on and are not answered yet.
    in_flight: AtomicUsize,
    /// Told whenever one is answered.
    answered: Notify,
}

#[derive(Debug)]
enum Entry {
    /// A task serves the requests that are sent here; it closes the channel only under the registry's lock.
    Live(mpsc::Sender<Request>),
    /// It ended between executions, and nobody has been told yet.
    Gone(Death),
}

type Reply = Result<Execution, ExecuteError>;

/// An execution that waits for its turn.
struct Request {
    code: String,
    reply: oneshot::Sender<Reply>,
    _in_flight: InFlight,
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
        Self {
            environment,
            limits,
            sessions: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            answered: Notify::new(),
        }
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

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, Entry>> {
        // Every change is one call on the map: after a panic elsewhere it is whole.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `code` in the session of that name, or in a new one. Goes on to the end even if the future is dropped.
    pub(crate) async fn execute(self: &Arc<Self>, id: SessionId, code: String) -> Reply {
        let (reply, answer) = oneshot::channel();
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let request = Request { code, reply, _in_flight: InFlight(Arc::clone(self)) };
        if let Some(death) = self.admit(&id, request)? {
            return Ok(Execution {
                session: id,
                stdout: Output::default(),
                stderr: Output::default(),
                outcome: Outcome::Gone(death),
            });
        }
        answer
            .await
            .unwrap_or_else(|_| Err(ExecuteError::Internal("the session's task ended without an answer".into())))
    }

    /// Gives the request to its session, which it makes if need be; or returns why that session is gone.
    fn admit(self: &Arc<Self>, id: &SessionId, request: Request) -> Result<Option<Death>, ExecuteError> {
        let mut sessions = self.sessions();
        if let Some(Entry::Gone(death)) = sessions.get(id) {
            let death = death.clone();
            sessions.remove(id);
            return Ok(Some(death));
        }
        if let Some(Entry::Live(queue)) = sessions.get(id) {
            return match queue.try_send(request) {
                Ok(()) => Ok(None),
                Err(_) => Err(ExecuteError::QueueFull { queue_max: self.limits.queue_max }),
            };
        }
        let live = sessions.values().filter(|entry| matches!(entry, Entry::Live(_))).count();
        if live >= self.limits.sessions_max as usize {
            return Err(ExecuteError::NoRoom { sessions_max: self.limits.sessions_max });
        }
        sessions.insert(id.clone(), Entry::Live(self.start_task(id, [request])));
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
        let mut session = match self.environment.start_session(&self.limits).await {
            Ok(session) => session,
            Err(error) => return self.fail(&id, queue, &error),
        };
        let death = loop {
            let idle_end = Instant::now() + self.limits.idle_max;
            let request = tokio::select! {
                biased;
                request = queue.recv() => request,
                death = session.watch_idle() => break Some(death),
                () = sleep_until(idle_end) => break Some(session.end(Death::Idle { idle_max: self.limits.idle_max }).await),
            };
            // The registry holds a sender while the entry is live.
            let Some(request) = request else { break None };
            let Ran { stdout, stderr, outcome } = session.execute(&request.code).await;
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
        let mut sessions = self.sessions();
        queue.close();
        let mut waiting = Vec::new();
        while let Ok(request) = queue.try_recv() {
            waiting.push(request);
        }
        let MapEntry::Occupied(mut entry) = sessions.entry(id.clone()) else { return };
        let mut waiting = waiting.into_iter();
        if let Some(death) = untold {
            let Some(told) = waiting.next() else {
                entry.insert(Entry::Gone(death));
                return;
            };
            let (stdout, stderr) = (Output::default(), Output::default());
            let gone = Execution { session: id.clone(), stdout, stderr, outcome: Outcome::Gone(death) };
            let _ = told.reply.send(Ok(gone));
        }
        if waiting.len() == 0 {
            entry.remove();
        } else {
            entry.insert(Entry::Live(self.start_task(id, waiting)));
        }
    }

    /// No session could be had: everybody who waits for it is told that this is our fault.
    fn fail(&self, id: &SessionId, mut queue: mpsc::Receiver<Request>, error: &(dyn std::error::Error + 'static)) {
        tracing::error!(session = %id, error = crate::engine::chain(error), "failed to start a session");
        let mut sessions = self.sessions();
        sessions.remove(id);
        queue.close();
        while let Ok(request) = queue.try_recv() {
            let cause = format!("failed to start a session: {}", crate::engine::chain(error));
            let _ = request.reply.send(Err(ExecuteError::Internal(cause.into())));
        }
    }
}
