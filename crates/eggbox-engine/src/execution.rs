//! One execution in a session: from the request to whatever comes first, the end of the code, of the process, of its time.

use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use eggbox_sandbox::cgroup::Share;
use eggbox_sandbox::wire::{
    CHANNEL_LOST_STATUS, Ending, Exit, FromSession, KIND_RESUME, execute_request, numbered_request,
};
use tokio::sync::oneshot;
use tokio::task::coop::consume_budget;

use crate::clock::Moment;
use crate::outcome::{Death, Execution, Outcome, SessionState, TimeLimit, Usage};
use crate::output::{Collector, discard};
use crate::session::{Session, read_some};
use crate::session_files::{Finished, Phase, Running, Which, read_whole};

/// How often CPU time is looked at when it is nearly over: what an execution may use too much, on each processor.
const CPU_LOOK_PAUSE_MIN: Duration = Duration::from_millis(20);

/// How long a session that was taken over may take to say how far it is, once it waits for code.
const ASKED_MAX: Duration = Duration::from_secs(5);
/// How long it has for that before a deadline that is past is acted on.
const ASKED_GRACE: Duration = Duration::from_millis(250);

/// What is ahead of an execution that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    Interrupted(TimeLimit),
    Killed(TimeLimit),
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

/// Streams that the session writes to from now on, by their numbers in it.
#[derive(Debug, Clone, Copy)]
struct Renewed {
    generation: u32,
    numbers: [i32; 2],
}

/// What is over: the code, with what the session said of it, or the session.
enum Over {
    Code(Ending, Stage),
    Process(Result<Exit, oneshot::error::RecvError>, Stage, bool),
    Protocol,
}

impl Session {
    /// Runs `code` to its end, whatever that is. The session can be used again if the outcome's state is `Kept`.
    ///
    /// # Errors
    /// Where the server lacks what it takes to write things down; nothing was run then.
    pub(crate) async fn execute(&mut self, code: &str) -> io::Result<Execution> {
        discard(&self.process.stdout);
        discard(&self.process.stderr);
        let limits = &self.limits;
        let running = Running {
            began: Moment::now(),
            code_bytes: code.len() as u64,
            wall_max: limits.wall_max,
            cpu_max: limits.cpu_max,
            cpu_before: self.meter.cpu(),
        };
        if let Some(cpu) = running.cpu_before {
            self.load.look(cpu, running.began);
        }
        self.set_share(if self.load.is_busy() { Share::Low } else { Share::Full });
        self.files.write_code(code)?;
        self.record.sequence += 1;
        self.record.kills_before = self.meter.out_of_memory_kills()?;
        self.record.phase = Phase::Running(running.clone());
        let files = Arc::clone(&self.files);
        // From here on it has been begun, also for a server that comes after this one.
        files.begin(&self.record)?;
        let request = execute_request(self.record.sequence, running.code_bytes).map_err(io::Error::other)?;
        let is_sent = self.process.ask(&request);
        self.finish(running, is_sent.then_some(Heard::Yes)).await
    }

    /// Goes on with what another server has begun; none where nothing runs.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub(crate) async fn resume(&mut self) -> io::Result<Option<Execution>> {
        let Phase::Running(running) = self.record.phase.clone() else { return Ok(None) };
        let asked = Moment::now().nanos();
        let question = numbered_request(KIND_RESUME, asked).map_err(io::Error::other)?;
        let is_sent = self.process.ask(&question);
        self.finish(running, is_sent.then_some(Heard::Asked { asked, done: None })).await.map(Some)
    }

    /// `heard` is none where the session takes no requests any more.
    async fn finish(&mut self, mut running: Running, heard: Option<Heard>) -> io::Result<Execution> {
        let files = Arc::clone(&self.files);
        let output_bytes_max = self.limits.output_bytes_max;
        let collector = |which| match heard {
            Some(Heard::Yes) => Ok(Collector::of_new(&files, which, output_bytes_max)),
            _ => Collector::of_begun(&files, which, output_bytes_max),
        };
        let [mut stdout, mut stderr] = [collector(Which::Stdout)?, collector(Which::Stderr)?];
        let mut renewed = None;
        let over = match heard {
            Some(heard) => self.run_to_end(&mut running, heard, &mut renewed, &mut stdout, &mut stderr).await,
            None => Over::Protocol,
        };
        let mut outcome = self.judge(over).await;
        // What was written before the end is in the pipes by now.
        stdout.drain(&self.process.stdout);
        stderr.drain(&self.process.stderr);
        let has_children = renewed.is_some();
        if let Some(renewed) = renewed
            && outcome.state() == SessionState::Kept
            && let Err(error) = self.take_streams(renewed).await
        {
            tracing::warn!(session = %self.record.id, %error, "a session's new streams cannot be had");
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
        let dropped_bytes = [stdout.dropped_bytes(), stderr.dropped_bytes()];
        let finished = Finished { outcome, usage, dropped_bytes };
        self.record.phase = Phase::Idle { since: Moment::now(), last: Some(finished.clone()) };
        files.write_record(&self.record)?;
        files.forget_code(running.code_bytes)?;
        Ok(finished.into_execution(self.record.id.clone(), read_whole(&files.stdout)?, read_whole(&files.stderr)?))
    }

    /// CPU time of its processes since that execution began; none where it is not known.
    fn cpu_used(&self, running: &Running) -> Option<Duration> {
        self.meter.cpu().zip(running.cpu_before).map(|(now, before)| now.saturating_sub(before))
    }

    pub(crate) fn set_share(&mut self, share: Share) {
        if self.share == Some(share) {
            return;
        }
        match self.meter.set_share(share) {
            Ok(()) => self.share = Some(share),
            Err(error) => tracing::error!(session = %self.record.id, %error, "failed to set a share of the processors"),
        }
    }

    /// Leaves the streams so far to the processes that the code has left behind.
    async fn take_streams(&mut self, Renewed { generation, numbers }: Renewed) -> io::Result<()> {
        let before = self.process.renew_streams(numbers)?;
        self.late.add(self.record.generation, before).await;
        self.record.generation = generation;
        if let Err(error) = self.keep().await {
            tracing::error!(%error, "a session's new streams are not kept");
        }
        Ok(())
    }

    /// What it came to.
    async fn judge(&mut self, over: Over) -> Outcome {
        let memory_bytes_max = self.limits.memory_bytes_max;
        let out_of_memory = |state| Outcome::OutOfMemory { memory_bytes_max, state };
        match over {
            Over::Code(_, Stage::Interrupted(limit) | Stage::Killed(limit)) => {
                Outcome::Timeout { limit, state: SessionState::Kept }
            }
            Over::Code(ending, Stage::Running) => {
                let kills = self.meter.out_of_memory_kills().unwrap_or_default();
                // One of its other processes was ended, whatever the code made of that.
                let lost_some = kills > self.record.kills_before && ending != Ending::Denied;
                if lost_some { out_of_memory(SessionState::Kept) } else { Outcome::of(ending, memory_bytes_max) }
            }
            Over::Process(_, Stage::Killed(limit), _) => Outcome::Timeout { limit, state: SessionState::Lost },
            Over::Process(Ok(Exit::Status(CHANNEL_LOST_STATUS)), _, false) => Outcome::Died(Death::Protocol),
            Over::Process(exit, ..) => match self.death(exit) {
                Death::OutOfMemory { .. } => out_of_memory(SessionState::Lost),
                death => Outcome::Died(death),
            },
            Over::Protocol => Outcome::Died(self.end(Death::Protocol).await),
        }
    }

    async fn run_to_end(
        &mut self,
        running: &mut Running,
        mut heard: Heard,
        renewed: &mut Option<Renewed>,
        stdout: &mut Collector<'_>,
        stderr: &mut Collector<'_>,
    ) -> Over {
        // A channel that the code has closed, as by executing another program, leaves the process to be waited for.
        let mut is_open = true;
        let mut stage = Stage::Running;
        let grace = self.config.limits.interrupt_grace;
        // What was under way may be over, or not begun: the session gets to say so first.
        let asked_until = Moment::now().after(ASKED_MAX);
        let mut deadline = match heard {
            Heard::Yes => running.began.after(running.wall_max),
            Heard::Asked { .. } => running.began.after(running.wall_max).max(Moment::now().after(ASKED_GRACE)),
        };
        let mut cpu_look = running.cpu_max.map(|cpu_max| running.began.after(pause_before_look(cpu_max)));
        let mut busy_look = running.cpu_before.map(|_| Moment::now().after(pause_before_look(self.load.left())));
        loop {
            let process = &mut self.process;
            tokio::select! {
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
                        Ok(None) => {}
                        Ok(Some(ending)) => return Over::Code(ending, stage),
                        Err(()) => return Over::Protocol,
                    }
                }
                exit = &mut process.ended => return Over::Process(exit, stage, is_open),
                // It has answered, but not the question.
                () = asked_until.reached(), if heard.is_done() => return Over::Protocol,
                () = deadline.reached(), if !matches!(stage, Stage::Killed(_)) && !heard.is_done() => {
                    stage = self.hasten(stage, TimeLimit::Wall(running.wall_max));
                    deadline = Moment::now().after(grace);
                }
                () = reached(busy_look), if stage == Stage::Running => {
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
                }
                () = reached(cpu_look), if stage == Stage::Running => {
                    let left = running.cpu_max.zip(self.cpu_used(running)).map(|(max, used)| max.saturating_sub(used));
                    if let (Some(cpu_max), Some(Duration::ZERO)) = (running.cpu_max, left) {
                        stage = self.hasten(stage, TimeLimit::Cpu(cpu_max));
                        deadline = Moment::now().after(grace);
                    }
                    cpu_look = left.map(|left| Moment::now().after(pause_before_look(left)));
                }
                // A flood must not keep this thread from everybody else.
                () = stdout.read(&process.stdout) => consume_budget().await,
                () = stderr.read(&process.stderr) => consume_budget().await,
            }
        }
    }

    /// Its time is over, or the grace after that.
    fn hasten(&mut self, stage: Stage, limit: TimeLimit) -> Stage {
        match stage {
            Stage::Running => {
                // It has only so long to take notice.
                self.set_share(Share::Full);
                self.process.interrupt();
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
        running: &mut Running,
        heard: &mut Heard,
        renewed: &mut Option<Renewed>,
    ) -> Result<Option<Ending>, ()> {
        while let Some(frame) = self.take_frame().map_err(drop)? {
            let current = self.record.sequence;
            match (frame, *heard) {
                (FromSession::Done { sequence, ending }, Heard::Yes) if sequence == current => {
                    return if self.received.is_empty() { Ok(Some(ending)) } else { Err(()) };
                }
                (FromSession::Done { sequence, ending }, Heard::Asked { asked, done: None }) if sequence == current => {
                    *heard = Heard::Asked { asked, done: Some(ending) };
                }
                (FromSession::Renewed { generation, stdout, stderr }, _)
                    if generation > self.record.generation
                        && renewed.is_none_or(|known| known.generation == generation) =>
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
                    self.record.phase = Phase::Running(running.clone());
                    self.files.write_record(&self.record).map_err(drop)?;
                    let request = execute_request(current, running.code_bytes).map_err(drop)?;
                    let is_sent = self.process.ask(&request);
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
