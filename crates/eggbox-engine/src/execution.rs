//! One execution in a session: from the request to whatever comes first, the end of the code, of the process, of its time.

use std::io;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use eggbox_sandbox::cgroup::Share;
use eggbox_sandbox::wire::{
    CHANNEL_LOST_STATUS, Ending, Exit, FromSession, KIND_RESUME, OPTION_INTERACTIVE, OPTION_RICH, execute_request,
    input_request, numbered_request,
};
use tokio::sync::oneshot;
use tokio::task::coop::consume_budget;

use crate::clock::Moment;
use crate::history::{Begun, Finished, History, Which};
use crate::outcome::{Death, Outcome, SessionState, TimeLimit, Usage};
use crate::output::{Collector, discard};
use crate::publication::Publication;
use crate::request::Code;
use crate::restart::Restart;
use crate::session::{Session, read_some};
use crate::wish::Wish;

/// How often CPU time is looked at when it is nearly over: what an execution may use too much, on each processor.
const CPU_LOOK_PAUSE_MIN: Duration = Duration::from_millis(20);

/// How long a session that was taken over may take to say how far it is, once it has said that it is done.
const ASKED_MAX: Duration = Duration::from_secs(5);
/// How long it has for that before a deadline that is past is acted on.
const ASKED_GRACE: Duration = Duration::from_millis(250);

/// What is ahead of an execution that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// Somebody has asked for an interrupt.
    Stopped,
    /// Its time is over.
    Interrupted(TimeLimit),
    Killed(TimeLimit),
}

impl Stage {
    fn is_running(self) -> bool {
        matches!(self, Self::Running | Self::Stopped)
    }
}

/// What is known of the session's having heard the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Yes,
    /// Another server may have sent it, and may have read the answer. The session was asked.
    Asked {
        asked: u64,
        done: Option<Ending>,
    },
}

impl Heard {
    /// The code is known to be over.
    fn is_done(self) -> bool {
        matches!(self, Self::Asked { done: Some(_), .. })
    }
}

/// What an execution produces, on its way to where it is kept.
struct Produced<'a> {
    stdout: Collector<'a>,
    stderr: Collector<'a>,
    values: Collector<'a>,
    publication: Publication<'a>,
}

impl<'a> Produced<'a> {
    /// `heard` is none where the session takes no requests any more.
    fn new(history: &'a History, begun: &Begun, heard: Option<Heard>, bytes_max: usize) -> io::Result<Self> {
        let collector = |which: Which| {
            let at = begun.at[which.index()];
            match heard {
                Some(Heard::Yes) => Ok(Collector::of_new(history, which, at, bytes_max)),
                _ => Collector::of_begun(history, which, at, bytes_max),
            }
        };
        Ok(Self {
            stdout: collector(Which::Stdout)?,
            stderr: collector(Which::Stderr)?,
            values: collector(Which::Values)?,
            publication: Publication::new(history, begun),
        })
    }

    fn ends(&self) -> [u64; 3] {
        [&self.stdout, &self.stderr, &self.values].map(Collector::end)
    }

    /// Makes events of it, where somebody may want to see them at once.
    fn publish(&mut self, history: &History) -> io::Result<()> {
        if history.is_watched() { self.publication.go_on(self.ends()) } else { Ok(()) }
    }
}

/// Streams that the session writes to from now on, by their numbers in it.
#[derive(Debug, Clone, Copy)]
struct Renewed {
    generation: u32,
    numbers: [i32; 2],
}

impl Begun {
    fn request(&self) -> io::Result<Vec<u8>> {
        let Self { number, code_bytes, stdin_bytes, options, .. } = *self;
        execute_request(number, code_bytes, stdin_bytes, options).map_err(io::Error::other)
    }
}

/// What is over: the code, with what the session said of it, or the session.
enum Over {
    Code(Ending, Stage),
    Process(Result<Exit, oneshot::error::RecvError>, Stage, bool),
    Protocol,
    /// Somebody wants another interpreter.
    Restart,
    /// The server cannot write down what there is.
    Failed(io::Error),
}

impl Session {
    /// Runs `code` to its end, whatever that is, as the execution of that number. The session can be used again if the
    /// outcome's state is `Kept`.
    ///
    /// # Errors
    /// Where the server lacks what it takes to write things down.
    pub(crate) async fn execute(&mut self, number: u64, code: &Code, restart: &Restart) -> io::Result<Finished> {
        discard(&self.process.stdout);
        discard(&self.process.stderr);
        let (began, cpu_before) = (Moment::now(), self.meter.cpu());
        if let Some(cpu) = cpu_before {
            self.load.look(cpu, began);
        }
        self.set_share(if self.load.is_busy() { Share::Low } else { Share::Full });
        let mut options = 0;
        if code.is_rich {
            discard(&self.process.values);
            options = OPTION_RICH | if code.is_interactive { OPTION_INTERACTIVE } else { 0 };
            while self.wishes.try_recv().is_ok() {}
        }
        let stdin = code.stdin.as_deref();
        self.code.write(&[&code.text, stdin.unwrap_or_default()])?;
        // From here on it has been begun, also for a server that comes after this one.
        let begun = self.history.begin(Begun {
            number,
            began,
            began_at: SystemTime::now(),
            code_bytes: code.text.len() as u64,
            stdin_bytes: stdin.map(|stdin| stdin.len() as u64),
            options,
            wall_max: code.wall_max.map_or(self.limits.wall_max, |wall_max| wall_max.min(self.limits.wall_max)),
            cpu_max: self.limits.cpu_max,
            cpu_before,
            kills_before: self.meter.out_of_memory_kills()?,
            restarts: self.history.restarts(),
            idempotency: code.idempotency,
            at: [0; 3],
        })?;
        let is_sent = self.process.ask(&begun.request()?);
        self.finish(begun, is_sent.then_some(Heard::Yes), restart).await
    }

    /// Goes on with what another server has begun; none where nothing runs.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub(crate) async fn resume(&mut self, restart: &Restart) -> io::Result<Option<Finished>> {
        let Some(begun) = self.history.running() else { return Ok(None) };
        let asked = Moment::now().nanos();
        let question = numbered_request(KIND_RESUME, asked).map_err(io::Error::other)?;
        let is_sent = self.process.ask(&question);
        self.finish(begun, is_sent.then_some(Heard::Asked { asked, done: None }), restart).await.map(Some)
    }

    /// `heard` is none where the session takes no requests any more.
    async fn finish(&mut self, mut running: Begun, heard: Option<Heard>, restart: &Restart) -> io::Result<Finished> {
        let history = Arc::clone(&self.history);
        let mut produced = Produced::new(&history, &running, heard, self.limits.output_bytes_max)?;
        let mut renewed = None;
        let over = match heard {
            Some(heard) => tokio::select! {
                biased;
                over = self.run_to_end(&mut running, heard, &mut renewed, &mut produced) => over,
                () = restart.wanted() => Over::Restart,
            },
            None => Over::Protocol,
        };
        let mut outcome = self.judge(over).await?;
        // What was written before the end is in the pipes by now.
        produced.stdout.drain(&self.process.stdout);
        produced.stderr.drain(&self.process.stderr);
        if running.options != 0 {
            produced.values.drain(&self.process.values);
        }
        let has_children = renewed.is_some();
        if let Some(renewed) = renewed
            && outcome.state() == SessionState::Kept
            && let Err(error) = self.take_streams(renewed).await
        {
            tracing::warn!(session = %self.id, %error, "a session's new streams cannot be had");
            outcome = Outcome::Died(self.end(Death::Protocol).await);
        }
        if has_children {
            // Nobody waits for what is left behind.
            self.set_share(Share::Low);
        }
        self.late.prune().await;
        // From here on it rests.
        if let Some(cpu) = self.meter.cpu() {
            self.load.look(cpu, Moment::now());
        }
        let wall = Moment::now().since(running.began);
        let usage = Usage { wall, cpu: self.cpu_used(&running), memory_bytes_peak: self.meter.memory_bytes_peak() };
        let mut dropped_bytes =
            [&produced.stdout, &produced.stderr, &produced.values].map(|collector| collector.dropped_bytes());
        let rest = produced.publication.rest(produced.ends())?;
        // What no values could be made of.
        dropped_bytes[Which::Values.index()] += produced.publication.left(produced.ends());
        let finished = Finished::now(outcome, usage, dropped_bytes);
        history.go_on(&rest, Some(finished.clone()))?;
        self.code.forget(running.code_bytes + running.stdin_bytes.unwrap_or(0))?;
        Ok(finished)
    }

    /// CPU time of its processes since that execution began; none where it is not known.
    fn cpu_used(&self, running: &Begun) -> Option<Duration> {
        self.meter.cpu().zip(running.cpu_before).map(|(now, before)| now.saturating_sub(before))
    }

    pub(crate) fn set_share(&mut self, share: Share) {
        if self.share == Some(share) {
            return;
        }
        match self.meter.set_share(share) {
            Ok(()) => self.share = Some(share),
            Err(error) => tracing::error!(session = %self.id, %error, "failed to set a share of the processors"),
        }
    }

    /// Leaves the streams so far to the processes that the code has left behind.
    async fn take_streams(&mut self, Renewed { generation, numbers }: Renewed) -> io::Result<()> {
        let before = self.process.renew_streams(numbers)?;
        self.late.add(self.generation, before).await;
        self.generation = generation;
        self.history.update(|record| record.generation = generation)?;
        if let Err(error) = self.keep().await {
            tracing::error!(%error, "a session's new streams are not kept");
        }
        Ok(())
    }

    /// What it came to.
    async fn judge(&mut self, over: Over) -> io::Result<Outcome> {
        let memory_bytes_max = self.limits.memory_bytes_max;
        let out_of_memory = |state| Outcome::OutOfMemory { memory_bytes_max, state };
        Ok(match over {
            Over::Failed(error) => return Err(error),
            Over::Restart => Outcome::Died(Death::Restarted),
            // What the code made of the interrupt is its own affair, unless it let itself be ended by it.
            Over::Code(Ending::Interrupted, Stage::Stopped) => Outcome::Interrupted,
            Over::Code(_, Stage::Interrupted(limit) | Stage::Killed(limit)) => {
                Outcome::Timeout { limit, state: SessionState::Kept }
            }
            Over::Code(ending, Stage::Running | Stage::Stopped) => {
                let kills = self.meter.out_of_memory_kills().unwrap_or_default();
                // One of its other processes was ended, whatever the code made of that.
                let lost_some = kills > self.history.kills_before() && ending != Ending::Denied;
                if lost_some { out_of_memory(SessionState::Kept) } else { Outcome::of(ending, memory_bytes_max) }
            }
            Over::Process(_, Stage::Killed(limit), _) => Outcome::Timeout { limit, state: SessionState::Lost },
            Over::Process(Ok(Exit::Status(CHANNEL_LOST_STATUS)), _, false) => Outcome::Died(Death::Protocol),
            Over::Process(exit, ..) => match self.death(exit) {
                Death::OutOfMemory { .. } => out_of_memory(SessionState::Lost),
                death => Outcome::Died(death),
            },
            Over::Protocol => Outcome::Died(self.end(Death::Protocol).await),
        })
    }

    async fn run_to_end(
        &mut self,
        running: &mut Begun,
        mut heard: Heard,
        renewed: &mut Option<Renewed>,
        produced: &mut Produced<'_>,
    ) -> Over {
        // A channel that the code has closed, as by executing another program, leaves the process to be waited for.
        let mut is_open = true;
        let mut stage = Stage::Running;
        let grace = self.config.limits.interrupt_grace;
        // From when it has said that it is done.
        let mut asked_until = None;
        // What was under way may be over, or not begun: the session gets to say so first.
        let mut deadline = match heard {
            Heard::Yes => running.began.after(running.wall_max),
            Heard::Asked { .. } => running.began.after(running.wall_max).max(Moment::now().after(ASKED_GRACE)),
        };
        let mut cpu_look = running.cpu_max.map(|cpu_max| running.began.after(pause_before_look(cpu_max)));
        let mut busy_look = running.cpu_before.map(|_| Moment::now().after(pause_before_look(self.load.left())));
        let history = Arc::clone(&self.history);
        let mut lines_given = match heard {
            Heard::Yes => 0,
            // Whether the last was given is not known: a line that comes twice is not taken.
            Heard::Asked { .. } => produced.publication.lines_asked().saturating_sub(1),
        };
        loop {
            let process = &mut self.process;
            let due = produced.publication.due(produced.ends());
            let Produced { stdout, stderr, values, .. } = &mut *produced;
            let has_more = tokio::select! {
                biased;
                // An answer before the end that may follow it.
                read = read_some(&mut process.answers, &mut self.received),
                    if is_open && !matches!(stage, Stage::Killed(_)) =>
                {
                    if !matches!(read, Ok(1..)) {
                        is_open = false;
                        continue;
                    }
                    let began = running.began;
                    match self.hear(running, &mut heard, renewed) {
                        Ok(None) if running.began != began => deadline = running.began.after(running.wall_max),
                        Ok(None) if heard.is_done() => asked_until = Some(Moment::now().after(ASKED_MAX)),
                        Ok(None) => {}
                        Ok(Some(ending)) => return Over::Code(ending, stage),
                        Err(()) => return Over::Protocol,
                    }
                    false
                }
                exit = &mut process.ended => return Over::Process(exit, stage, is_open),
                // It has answered, but not the question.
                () = reached(asked_until) => return Over::Protocol,
                () = deadline.reached(), if !matches!(stage, Stage::Killed(_)) && !heard.is_done() => {
                    stage = self.hasten(stage, TimeLimit::Wall(running.wall_max));
                    deadline = Moment::now().after(grace);
                    false
                }
                Some(wish) = self.wishes.recv(), if !matches!(stage, Stage::Killed(_)) => {
                    let lines_asked = produced.publication.lines_asked();
                    match wish {
                        Wish::Interrupt { number } => {
                            if number == running.number && stage.is_running() {
                                self.stop();
                                stage = Stage::Stopped;
                            }
                        }
                        Wish::Line { number, text, reply } => {
                            let is_wanted = number == running.number && lines_given < lines_asked;
                            let is_given = is_wanted && self.give_line(number, lines_asked, text.as_deref());
                            lines_given = if is_given { lines_asked } else { lines_given };
                            // Whoever gave it may have gone away.
                            let _ = reply.send(is_given);
                        }
                    }
                    false
                }
                () = reached(busy_look), if stage.is_running() => {
                    let now = Moment::now();
                    if let Some(cpu) = self.meter.cpu() {
                        self.load.look(cpu, now);
                    }
                    if self.load.is_busy() {
                        self.set_share(Share::Low);
                        busy_look = None;
                    } else {
                        busy_look = Some(now.after(pause_before_look(self.load.left())));
                    }
                    false
                }
                () = reached(cpu_look), if stage.is_running() => {
                    let left = running.cpu_max.zip(self.cpu_used(running)).map(|(max, used)| max.saturating_sub(used));
                    if let (Some(cpu_max), Some(Duration::ZERO)) = (running.cpu_max, left) {
                        stage = self.hasten(stage, TimeLimit::Cpu(cpu_max));
                        deadline = Moment::now().after(grace);
                    }
                    cpu_look = left.map(|left| Moment::now().after(pause_before_look(left)));
                    false
                }
                () = reached(due) => true,
                () = history.watched() => true,
                () = stdout.read(&process.stdout) => true,
                () = stderr.read(&process.stderr) => true,
                () = values.read(&process.values), if running.options != 0 => {
                    // What was printed before it is in the pipes.
                    stdout.drain(&process.stdout);
                    stderr.drain(&process.stderr);
                    true
                }
            };
            if has_more {
                if let Err(error) = produced.publish(&history) {
                    return Over::Failed(error);
                }
                // A flood must not keep this thread from everybody else.
                consume_budget().await;
            }
        }
    }

    /// Raises KeyboardInterrupt in the code.
    fn stop(&mut self) {
        // It has to take notice.
        self.set_share(Share::Full);
        self.process.interrupt();
    }

    /// Gives the code the line that it has asked for; whether that could be done.
    fn give_line(&mut self, number: u64, ordinal: u64, text: Option<&str>) -> bool {
        let length = text.map(|text| text.len() as u64);
        if length.unwrap_or(0) > self.code.bytes_max() || self.code.write(&[text.unwrap_or_default()]).is_err() {
            return false;
        }
        input_request(number, ordinal, length).is_ok_and(|request| self.process.ask(&request))
    }

    /// Its time is over, or the grace after that.
    fn hasten(&mut self, stage: Stage, limit: TimeLimit) -> Stage {
        match stage {
            Stage::Running | Stage::Stopped => {
                self.stop();
                Stage::Interrupted(limit)
            }
            Stage::Interrupted(limit) | Stage::Killed(limit) => {
                self.process.kill();
                Stage::Killed(limit)
            }
        }
    }

    /// Takes in what the session has said. Returns how its code ended, if it did; an error where it says what it must not.
    fn hear(
        &mut self,
        running: &mut Begun,
        heard: &mut Heard,
        renewed: &mut Option<Renewed>,
    ) -> Result<Option<Ending>, ()> {
        while let Some(frame) = self.take_frame().map_err(drop)? {
            let current = running.number;
            match (frame, *heard) {
                (FromSession::Done { sequence, ending }, Heard::Yes) if sequence == current => {
                    return if self.received.is_empty() { Ok(Some(ending)) } else { Err(()) };
                }
                (FromSession::Done { sequence, ending }, Heard::Asked { asked, done: None }) if sequence == current => {
                    *heard = Heard::Asked { asked, done: Some(ending) };
                }
                (FromSession::Renewed { generation, stdout, stderr }, _)
                    if generation > self.generation && renewed.is_none_or(|known| known.generation == generation) =>
                {
                    *renewed = Some(Renewed { generation, numbers: [stdout, stderr] });
                }
                // The answer to a server before this one.
                (FromSession::Idle { asked, .. }, Heard::Asked { asked: own, .. }) if asked != own => {}
                (FromSession::Idle { sequence, ending, .. }, Heard::Asked { done, .. }) if self.received.is_empty() => {
                    if let Some(done) = done.or((sequence == current).then_some(ending)) {
                        return Ok(Some(done));
                    }
                    // It waits for code, and this was never sent: its time begins now.
                    running.began = Moment::now();
                    self.history.begin_again(running.clone()).map_err(drop)?;
                    let is_sent = self.process.ask(&running.request().map_err(drop)?);
                    *heard = Heard::Yes;
                    if !is_sent {
                        return Err(());
                    }
                }
                _ => return Err(()),
            }
        }
        Ok(None)
    }
}

/// How long it takes at least to use `left` of CPU time on every processor.
fn pause_before_look(left: Duration) -> Duration {
    // Asked once: the answer takes the library twenty system calls.
    static PROCESSORS: LazyLock<u32> = LazyLock::new(|| {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        u32::try_from(processors).unwrap_or(u32::MAX)
    });
    (left / *PROCESSORS).max(CPU_LOOK_PAUSE_MIN)
}

/// Never, where there is no such moment.
async fn reached(moment: Option<Moment>) {
    match moment {
        Some(moment) => moment.reached().await,
        None => std::future::pending().await,
    }
}
