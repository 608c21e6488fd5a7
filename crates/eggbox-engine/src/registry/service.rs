//! The task of one session: what it is asked, in its order, from its fork to its end, and who is told of that.

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::creation::Creation;
use super::errand::Errand;
use super::forking::again;
use super::sleeping::Asleep;
use super::{Beginning, InFlight, Manner, Registry, Reply, Request, Shared};
use crate::checkpoints::Stored;
use crate::engine::{ExecuteError, chain};
use crate::environment::{Environment, RestartError};
use crate::executions::{Execution, Past};
use crate::history::{Finished, History};
use crate::inheritance::{Ended, keep_end};
use crate::kept::gone_key;
use crate::names::{Buried, Sleeper};
use crate::nest::SpawnError;
use crate::outcome::{Death, Outcome, SessionState};
use crate::session::{Session, SessionError};
use crate::session_id::SessionId;
use crate::wanted::{Checkpointing, WantedSession};
use crate::workspace::WorkspaceError;

impl Registry {
    /// The task of one session, from its fork to its end.
    pub(super) async fn serve(
        self: Arc<Self>,
        id: SessionId,
        beginning: Beginning,
        shared: Shared,
        mut queue: mpsc::Receiver<Request>,
        mut errands: mpsc::Receiver<Errand>,
    ) {
        let mut from = None;
        let (mut wanted, creation, inherited) = match beginning {
            Beginning::New => {
                let environment = self.usual_environment(id.owner());
                let checkpoints = self.checkpointing();
                (WantedSession { environment, checkpoints, ..WantedSession::default() }, None, None)
            }
            Beginning::Created(wanted, checkpoint, creation) => {
                from = checkpoint;
                (*wanted, Some(creation), None)
            }
            Beginning::Asleep(sleeper) => match self.wake(&id, &sleeper).await {
                Ok(session) => {
                    self.counts().session_woken();
                    (WantedSession::default(), None, Some((session, None)))
                }
                Err(error) => return self.fail(&id, None, queue, &error, Some(sleeper)),
            },
            Beginning::Forked { forked, creation, .. } => {
                match forked.await.unwrap_or_else(|_| Err(SessionError::NotCarried { why: "it has ended".to_owned() }))
                {
                    Ok(session) => {
                        self.counts().session_started();
                        (WantedSession::default(), Some(creation), Some((session, None)))
                    }
                    Err(error) => return self.fail(&id, Some(creation), queue, &error, None),
                }
            }
            Beginning::Inherited(session, running) => (WantedSession::default(), None, Some((*session, running))),
        };
        wanted.limits = wanted.limits.and(&self.asked_of(id.owner()));
        let (mut session, running) = match inherited {
            Some(inherited) => inherited,
            None => match self.start_session(&id, wanted, from).await {
                Ok(session) => {
                    self.counts().session_started();
                    (session, None)
                }
                Err(error) => return self.fail(&id, creation, queue, &error, None),
            },
        };
        session.end_by(Arc::clone(&shared.ending));
        let held = session.held(&self.environments.retired);
        shared.watched.send_replace(Some(held.clone()));
        if let Some(Creation { reply, untold, _in_flight }) = creation {
            self.forget_end(&id, untold).await;
            // Who has gone away leaves a session that nobody uses.
            let _ = reply.send(Ok(held));
        }
        let mut running = running;
        let (death, last) = loop {
            let wants = (&mut queue, &mut errands);
            let End { death, last, asleep } = self.serve_to_end(&mut session, running.take(), wants, &shared).await;
            let Some(asleep) = asleep else { break (death, last) };
            if self.fall_asleep(&mut session, (&mut queue, &mut errands), &shared, asleep).await {
                return;
            }
        };
        if let Some(death) = &death {
            self.counts().session_ended(if session.is_deleted() { &Death::Deleted } else { death });
        }
        // Whoever reads the answer is told by that, and whoever has deleted it knows.
        let is_deleted = session.is_deleted();
        let is_told = is_deleted || last.as_ref().is_some_and(Last::tells);
        let untold = death.clone().filter(|_| !is_told);
        if let Some(death) = &untold {
            tracing::debug!(session = %id, ?death, "a session has ended, and nobody was told yet");
        }
        if is_deleted {
            self.forget_automatic(&session.history.record()).await;
        }
        self.remove(&mut session, &mut queue, is_deleted, untold).await;
        if let Some(Last { reply, answer, manner }) = last {
            // Only now, so that the next request finds it gone.
            let is_heard = reply.send(answer).is_ok() || manner == Manner::AsMade;
            if let (false, Some(death)) = (is_heard, death.filter(|_| !is_deleted)) {
                self.bury_unheard(Ended { id, death, history: Some(Arc::clone(&session.history)) }).await;
            }
        }
    }

    /// Whoever was to hear of an end has gone away in the last moment.
    async fn bury_unheard(&self, ended: Ended) {
        let keeper = self.keeper();
        keep_end(keeper, &ended).await;
        let id = ended.id.clone();
        let buried = {
            let mut names = self.names();
            // Where a session of that name lives again, its client knows.
            if names.live.contains_key(&id) {
                Buried { forgotten: Some(id), stripped: None }
            } else {
                names.bury(ended)
            }
        };
        self.tell_keeper(buried).await;
    }

    /// Serves requests until the session has ended.
    async fn serve_to_end(
        self: &Arc<Self>,
        session: &mut Session,
        running: Option<InFlight>,
        (queue, errands): (&mut mpsc::Receiver<Request>, &mut mpsc::Receiver<Errand>),
        shared: &Shared,
    ) -> End {
        let Shared { board, restart, .. } = shared;
        let counts = self.counts();
        let resumed = {
            // It runs already, and others have to wait for that.
            let _turn = self.owners.turn_of_running(session.id.owner(), &self.turns);
            let _running = session.history.running().map(|_| counts.begin());
            session.resume(restart).await
        };
        if let Ok(Some(execution)) = &resumed {
            counts.executed(&execution.outcome, execution.usage);
        }
        drop(running);
        match resumed.map(|finished| finished.and_then(|finished| self.outcome(finished.outcome).death())) {
            // What was under way has ended; whoever asked for it has lost the connection, but can still read it.
            Ok(None) => {}
            // Below.
            Ok(Some(Death::Restarted)) => {}
            Ok(Some(death)) => {
                let before = session.history.number_before_last();
                if !self.rewind(session, before, &death, shared).await {
                    return End::of(death);
                }
            }
            Err(error) => return End::of(self.give_up(session, &error).await),
        }
        if session.history.awaits_restart()
            && let Some(death) = self.replace_interpreter(session, shared, true).await
        {
            return End::of(death);
        }
        let owner = session.id.owner().cloned();
        loop {
            let is_unkept = session.is_unkept();
            let is_due = session.is_due_for_checkpoint();
            let request = tokio::select! {
                biased;
                // Looked at first: code is not given to a session that is known to have ended.
                sign = session.watch_idle() => {
                    let death = session.end_after(sign).await;
                    let last = session.history.last_number();
                    // What it does by itself it would do again.
                    if death == Death::Nest && self.revive(session, last, &death, shared).await {
                        continue;
                    }
                    return End::of(death);
                }
                () = restart.wanted() => {
                    if let Some(death) = self.replace_interpreter(session, shared, false).await {
                        return End::of(death);
                    }
                    continue;
                }
                () = is_unkept => {
                    if let Err(error) = session.keep().await {
                        tracing::error!(%error, "a session is not kept: it would end with this server");
                    }
                    continue;
                }
                Some(errand) = errands.recv() => {
                    if let Some(asleep) = self.run_errand(session, errand, shared).await {
                        return End { asleep: Some(asleep), ..End::default() };
                    }
                    continue;
                }
                request = queue.recv() => request,
                () = is_due => {
                    self.draw_by_itself(session).await;
                    continue;
                }
            };
            // The registry holds a sender while the entry is live.
            let Some(Request { code, number, claim, manner, asked, reply, _in_flight }) = request else {
                return End::default();
            };
            let code_bytes_max = session.code.bytes_max();
            if (code.text.len() + code.stdin.as_ref().map_or(0, String::len)) as u64 > code_bytes_max {
                board.leave(number);
                let _ = reply.send(Err(ExecuteError::CodeTooLong { code_bytes_max }));
                continue;
            }
            let takes_each = session.history.record().checkpoints == Checkpointing::Each;
            if takes_each {
                self.draw_by_itself(session).await;
            }
            let before = session.history.last_number();
            let executed = {
                let turn = {
                    let mut turn = pin!(self.owners.turn(owner.as_ref(), &self.turns));
                    loop {
                        tokio::select! {
                            biased;
                            sign = session.watch_end() => break Err(sign),
                            () = restart.wanted() => {
                                if let Some(death) = self.replace_interpreter(session, shared, false).await {
                                    board.leave(number);
                                    let answer = Ok(Execution::gone(session.id.clone(), death.clone()));
                                    return End::with(death, Last { reply, answer, manner });
                                }
                            }
                            turn = &mut turn => break Ok(turn),
                        }
                    }
                };
                let _turn = match turn {
                    Ok(turn) => turn,
                    // The code was not run: it is gone as for a request that comes a moment later. It waits for no turn meanwhile.
                    Err(sign) => {
                        let death = session.end_after(sign).await;
                        board.leave(number);
                        let answer = Ok(Execution::gone(session.id.clone(), death.clone()));
                        return End::with(death, Last { reply, answer, manner });
                    }
                };
                if !claim.take() {
                    board.leave(number);
                    let _ = reply.send(Err(ExecuteError::GivenUp));
                    continue;
                }
                counts.waited(asked.elapsed());
                let _running = counts.begin();
                if let Some(witness) = &code.witness {
                    witness.begins(&session.id, number);
                }
                session.execute(number, &code, restart).await
            };
            board.leave(number);
            match executed {
                Err(error) => {
                    if let Some(witness) = &code.witness {
                        witness.ended(None);
                    }
                    let death = self.give_up(session, &error).await;
                    let answer = Err(ExecuteError::Internal(error.into()));
                    return End::with(death, Last { reply, answer, manner });
                }
                Ok(Finished { outcome, usage, .. }) => {
                    let mut outcome = self.outcome(outcome);
                    if let Some(death) = outcome.death()
                        && self.rewind(session, before, &death, shared).await
                    {
                        outcome = outcome.rewound();
                    }
                    let (death, is_lost) = (outcome.death(), outcome.state() == SessionState::Lost);
                    let past = Some(Past::new(&session.history, number));
                    let execution = Execution { session: session.id.clone(), outcome, usage, past };
                    counts.executed(&execution.outcome, usage);
                    if let Some(witness) = &code.witness {
                        witness.ended(Some(&execution));
                    }
                    let answer = Ok(execution);
                    let death = match death {
                        Some(Death::Restarted) => self.replace_interpreter(session, shared, true).await,
                        death => death,
                    };
                    match death.filter(|_| is_lost) {
                        Some(death) => return End::with(death, Last { reply, answer, manner }),
                        // A client that went away can still read it.
                        None => drop(reply.send(answer)),
                    }
                    if takes_each {
                        // Now, so that the next need not wait for it.
                        self.draw_by_itself(session).await;
                    }
                }
            }
        }
    }

    /// Gives the session another interpreter, whose place what `was_running` in it can never take again. Returns why the session
    /// has ended, if it has.
    async fn replace_interpreter(&self, session: &mut Session, shared: &Shared, was_running: bool) -> Option<Death> {
        let replies = shared.restart.take();
        let started = match self.environment_of(&session.id, &session.history) {
            Ok(environment) => environment.restart_session(session, &self.workers).await,
            Err(error) => Err(error.into()),
        };
        let failed = match started {
            Ok(successor) => {
                self.put_in_place(session, successor, shared).over().await;
                None
            }
            Err(error) => {
                let death = if was_running { session.end(Death::Restarted).await } else { Death::Restarted };
                Some((death, error))
            }
        };
        if let Some((_, error)) = &failed {
            tracing::warn!(session = %session.id, error = chain(error), "a session has no fresh interpreter");
        }
        for reply in replies {
            let answer = match &failed {
                None => Ok(()),
                // It has ended: whoever asks hears so by this being dropped.
                Some((_, RestartError::Files(WorkspaceError::Gone))) => continue,
                Some((_, RestartError::Files(error))) => Err(ExecuteError::FilesStay { why: chain(error) }),
                Some((_, RestartError::Session(error))) => Err(self.refusal(error)),
            };
            // Whoever asked may have gone.
            let _ = reply.send(answer);
        }
        failed.filter(|_| was_running || session.process.has_ended()).map(|(death, _)| death)
    }

    /// Has `successor`, which has taken the place of the session, be it from here on. What it was before is still to be ended.
    pub(super) fn put_in_place(&self, session: &mut Session, successor: Session, shared: &Shared) -> Session {
        let other = std::mem::replace(session, successor);
        session.end_by(Arc::clone(&shared.ending));
        shared.watched.send_replace(Some(session.held(&self.environments.retired)));
        other
    }

    /// Does what is wanted of a session at rest. Returns what there is of it where it has gone to sleep.
    async fn run_errand(self: &Arc<Self>, session: &mut Session, errand: Errand, shared: &Shared) -> Option<Asleep> {
        match errand {
            Errand::Fork(fork) => self.fork_now(session, fork).await,
            Errand::Checkpoint { id, reply } => {
                self.checkpoint_now(session, id, shared.board.last(), reply).await;
            }
            Errand::Restore { checkpoint, reply } => self.restore_now(session, &checkpoint, reply, shared).await,
            Errand::Sleep { reply } => return self.lie_down(session, reply, shared).await,
        }
        None
    }

    async fn start_session(
        &self,
        id: &SessionId,
        wanted: WantedSession,
        from: Option<Arc<Stored>>,
    ) -> Result<Session, SessionError> {
        let Some(environment) = self.environments.get(&wanted.environment) else {
            return Err(SessionError::NoEnvironment { name: wanted.environment });
        };
        match from {
            Some(stored) => self.start_from(environment, id, wanted, &stored).await,
            None => environment.start_session(id.clone(), wanted).await,
        }
    }

    /// The environment that a session is of, as long as there is one of that name which its owner may have.
    pub(super) fn environment_of(&self, id: &SessionId, history: &History) -> Result<&Arc<Environment>, SessionError> {
        let name = history.record().environment;
        let is_allowed = self.environments_of(id.owner()).contains(&name);
        let environment = self.environments.get(&name).filter(|_| is_allowed);
        environment.ok_or(SessionError::NoEnvironment { name })
    }

    /// The server cannot go on with a session: it has run out of something.
    async fn give_up(&self, session: &mut Session, error: &std::io::Error) -> Death {
        tracing::error!(session = %session.id, %error, "a session is ended, as the server cannot serve it");
        let death = session.end(Death::Unobserved).await;
        session.history.abandon(&death);
        death
    }

    fn outcome(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Died(Death::Nest) if self.environments.common.is_closing() => Outcome::Died(Death::Shutdown),
            other => other,
        }
    }

    /// Takes an ended session out. Requests that wait for it go to a new one of that name, in their order; where there
    /// are none, the next is told of `untold`. Those that wait for a deleted one are told so.
    async fn remove(
        self: &Arc<Self>,
        session: &mut Session,
        queue: &mut mpsc::Receiver<Request>,
        is_deleted: bool,
        untold: Option<Death>,
    ) {
        let (id, keeper) = (&session.id.clone(), self.keeper());
        let untold = untold.map(|death| Ended { id: id.clone(), death, history: Some(Arc::clone(&session.history)) });
        let has_untold = untold.is_some();
        if let Some(ended) = &untold {
            keep_end(keeper, ended).await;
        }
        session.forget().await;
        let buried = self.take_out(id, queue, is_deleted, untold);
        if has_untold && !self.names().gone.contains_key(id) {
            // It was told at once.
            keeper.remove(&gone_key(id)).await;
        }
        self.tell_keeper(buried).await;
    }

    pub(super) async fn tell_keeper(&self, Buried { forgotten, stripped }: Buried) {
        let keeper = self.keeper();
        if let Some(ended) = stripped {
            keep_end(keeper, &ended).await;
            if !self.names().gone.contains_key(&ended.id) {
                keeper.remove(&gone_key(&ended.id)).await;
            }
        }
        if let Some(id) = forgotten {
            keeper.remove(&gone_key(&id)).await;
        }
    }

    /// The part of it that happens at once.
    fn take_out(
        self: &Arc<Self>,
        id: &SessionId,
        queue: &mut mpsc::Receiver<Request>,
        is_deleted: bool,
        untold: Option<Ended>,
    ) -> Buried {
        let mut names = self.names();
        if let Some(live) = names.live.remove(id) {
            live.board.close();
        }
        queue.close();
        let mut waiting: Vec<Request> = Vec::new();
        while let Ok(request) = queue.try_recv() {
            waiting.push(request);
        }
        // Who knows the session as one that was made does not mean another.
        if let Some(death) = untold.as_ref().map(|ended| ended.death.clone()) {
            for request in waiting.extract_if(.., |request| request.manner == Manner::AsMade) {
                request.answer_gone(id, death.clone());
            }
        }
        let mut waiting = waiting.into_iter();
        if is_deleted {
            for request in waiting.by_ref() {
                request.answer_gone(id, Death::Deleted);
            }
        }
        if let Some(ended) = untold {
            // One that went away has not heard it.
            let is_told = |request: Request| !request.reply.is_closed() && request.answer_gone(id, ended.death.clone());
            if !waiting.by_ref().any(is_told) {
                return names.bury(ended);
            }
        }
        if waiting.len() > 0 {
            names.live.insert(id.clone(), self.start_task(id, Beginning::New, waiting));
        }
        Buried::default()
    }

    /// Why there is no session, for whoever wanted one.
    pub(super) fn refusal(&self, error: &SessionError) -> ExecuteError {
        match error {
            SessionError::Spawn(SpawnError::NoSlot) => {
                ExecuteError::NoRoom { sessions_max: self.config.limits.sessions_max }
            }
            SessionError::ShuttingDown => ExecuteError::ShuttingDown,
            SessionError::ForksBusy => ExecuteError::ForksBusy,
            SessionError::NoDiskSpace => ExecuteError::NoDiskSpace,
            SessionError::NotCarried { why } => ExecuteError::NotCarried { why: why.clone() },
            SessionError::NotLoaded { why } => ExecuteError::NotLoaded { why: why.clone() },
            SessionError::NoEnvironment { name } => ExecuteError::NoEnvironment { name: name.clone() },
            other => ExecuteError::Internal(format!("failed to start a session: {}", chain(other)).into()),
        }
    }

    /// No session could be had: everybody who waits for it is told why, or that it is our fault. One that is `asleep` stays so.
    fn fail(
        &self,
        id: &SessionId,
        creation: Option<Creation>,
        mut queue: mpsc::Receiver<Request>,
        error: &SessionError,
        asleep: Option<Sleeper>,
    ) {
        let refusal = || self.refusal(error);
        if let ExecuteError::Internal(_) = refusal() {
            tracing::error!(session = %id, error = chain(error), "failed to start a session");
        }
        let mut names = self.names();
        let live = names.live.remove(id);
        if let Some(live) = &live {
            live.board.close();
        }
        queue.close();
        while let Ok(request) = queue.try_recv() {
            let _ = request.reply.send(Err(refusal()));
        }
        if let Some(sleeper) = asleep {
            if live.is_some_and(|live| live.ending.is_wanted()) {
                let checkpoints = Arc::clone(self.checkpoints());
                // It waits for the disk.
                tokio::task::spawn_blocking(move || checkpoints.remove(&sleeper.stored));
            } else {
                names.asleep.insert(id.clone(), Sleeper { failure: Some(again(error)), ..sleeper });
            }
        }
        if let Some(Creation { reply, untold: _, _in_flight }) = creation {
            let _ = reply.send(Err(refusal()));
        }
    }
}

/// The end of a session, or of its being awake.
#[derive(Debug, Default)]
struct End {
    /// Why; none where it is not for others to know.
    death: Option<Death>,
    /// The answer to the execution that it ended with.
    last: Option<Last>,
    /// Where it goes on.
    asleep: Option<Asleep>,
}

impl End {
    fn of(death: Death) -> Self {
        Self { death: Some(death), ..Self::default() }
    }

    fn with(death: Death, last: Last) -> Self {
        Self { last: Some(last), ..Self::of(death) }
    }
}

#[derive(Debug)]
struct Last {
    reply: oneshot::Sender<Reply>,
    answer: Reply,
    manner: Manner,
}

impl Last {
    /// Whoever reads it need not be told of the session's end once more.
    fn tells(&self) -> bool {
        self.manner == Manner::ByName && !self.reply.is_closed()
    }
}
