//! `eggbox serve`: binds, starts the engine, answers until a signal, and leaves nothing behind.

use std::io;
use std::panic::PanicHookInfo;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use eggbox_engine::{Engine, StartError};
use eggbox_sandbox::cgroup::ControlGroups;
use eggbox_sandbox::status::{Layer, LayerStatus, State, Status};
use eggbox_server::Audit;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::cli;
use crate::config::Config;
use crate::host::Facts;
use crate::{log, open_files};

/// Tasks that a thread runs before it looks for what has arrived meanwhile; at some 15 us for a request, a quarter of a
/// millisecond.
const TASKS_BETWEEN_LOOKS: u32 = 16;

/// How long answers may take to reach their clients once nothing runs any more.
const ANSWERS_MAX: Duration = Duration::from_secs(2);

/// How long the engine may take to end when it is told to do so at once.
const END_AT_ONCE_MAX: Duration = Duration::from_secs(2);

/// How long executions may take to be answered by a server that hands its sessions over; those that take longer go on
/// without it.
const HAND_OVER_MAX: Duration = Duration::from_secs(1);

/// How often the log says what a shutdown waits for.
const WAIT_REPORT: Duration = Duration::from_secs(5);

/// How much more urgent the server is than what it serves (nice(2)).
const NICE: i32 = -5;

/// Lets this process go before the sessions, which may want every processor there is: its part of an answer is a fraction
/// of a millisecond, and waiting for a processor takes four. Before there are threads, which inherit it; nests take it back.
fn go_first() {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "this process may not go before its sessions");
    }
}

pub(crate) fn serve(config: Config) -> anyhow::Result<ExitCode> {
    log::start(&config.log_filter, config.log_format);
    open_files::allow(&config)?;
    let audit = config.audit_log.as_deref().map(Audit::open).transpose()?;
    go_first();
    std::panic::set_hook(Box::new(log_panic));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .event_interval(TASKS_BETWEEN_LOOKS)
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let ended = runtime.block_on(run(config, audit));
    #[cfg(feature = "otel")]
    crate::traces::end();
    ended
}

async fn run(config: Config, audit: Option<Audit>) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new().context("failed to listen for signals")?;
    // Before the engine starts, which takes longer than to find the port in use.
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("failed to listen on {}: choose another with --listen", config.listen))?;
    let bound = listener.local_addr().context("failed to read the address listened on")?;
    if !bound.ip().to_canonical().is_loopback() {
        match config.server.keys.is_empty() {
            true => tracing::warn!(%bound, "other machines can reach this address, and whoever reaches it runs code"),
            false => tracing::warn!(%bound, "keys are not encrypted on their way here: put a proxy with TLS in front"),
        }
    }
    let state_dir = config.engine.state_dir.clone();
    let control_groups = config.engine.control_groups;
    let engine = tokio::select! {
        started = Engine::start(config.engine) => started.map_err(with_mends)?,
        order = signals.next() => {
            // What the server before has left is ended as it would be a moment later.
            if !matches!(order, Order::HandOver) {
                eggbox_engine::abandon(&state_dir).await;
            }
            return Ok(order.status());
        }
    };
    warn_of_lesser_layers(engine.status(), control_groups);

    let (stop, stopped) = oneshot::channel::<()>();
    let mut server =
        tokio::spawn(eggbox_server::run(listener, engine.clone(), config.server, audit, async { drop(stopped.await) }));
    cli::print(&format!("listening on http://{bound}\n"));
    let order = tokio::select! {
        order = signals.next() => order,
        ended = &mut server => {
            engine.shutdown(Duration::ZERO).await;
            ended.context("failed to serve: the accept loop panicked")?.context("failed to serve")?;
            anyhow::bail!("failed to serve: the accept loop ended unasked");
        }
    };

    drop(stop);
    let status = match order {
        Order::HandOver => {
            tracing::info!(running = engine.executions_in_flight(), "leaving the sessions to the next server");
            engine.hand_over(HAND_OVER_MAX).await;
            ExitCode::SUCCESS
        }
        Order::Interrupt | Order::Terminate => end(&engine, config.shutdown_grace, &mut signals).await,
    };
    if tokio::time::timeout(ANSWERS_MAX, &mut server).await.is_err() {
        tracing::warn!("closing connections whose clients do not read their answers");
        server.abort();
    }
    tracing::info!("stopped");
    Ok(status)
}

/// Never less in silence: a layer can be absent only because the operator asked for `--isolation reduced`, and control
/// groups can be missing where the operator has left that open.
fn warn_of_lesser_layers(status: &Status, control_groups: ControlGroups) {
    for LayerStatus { layer, state, .. } in &status.layers {
        match state {
            State::Absent { why } => tracing::warn!(%layer, why, "a layer of the sandbox is absent"),
            State::Partial { missing } if *layer == Layer::ControlGroup && control_groups != ControlGroups::Off => {
                tracing::warn!(%layer, missing, "a layer of the sandbox stands in part");
            }
            State::Partial { .. } | State::Enforced => {}
        }
    }
}

/// Adds what to change on this host to the reason why nothing could be started.
fn with_mends(error: StartError) -> anyhow::Error {
    let mends = if error.is_of_the_wall() { Facts::read().mends() } else { Vec::new() };
    let hint = if mends.is_empty() { String::new() } else { format!(" (mend: {})", mends.join("; or: ")) };
    anyhow::Error::new(error).context(format!("failed to start{hint}"))
}

/// Ends the engine when its executions have, when `grace` is over, or at a second signal.
async fn end(engine: &Engine, grace: Duration, signals: &mut Signals) -> ExitCode {
    tokio::select! {
        () = engine.shutdown(grace) => ExitCode::SUCCESS,
        order = signals.next() => {
            tracing::warn!(running = engine.executions_in_flight(), "a second signal: ending at once");
            if tokio::time::timeout(END_AT_ONCE_MAX, engine.shutdown(Duration::ZERO)).await.is_err() {
                tracing::error!("the engine did not end in time");
            }
            order.status()
        }
        never = report_wait(engine, grace) => match never {},
    }
}

async fn report_wait(engine: &Engine, grace: Duration) -> std::convert::Infallible {
    tracing::info!(running = engine.executions_in_flight(), ?grace, "stopping; a second signal ends at once");
    loop {
        tokio::time::sleep(WAIT_REPORT).await;
        tracing::info!(running = engine.executions_in_flight(), "waiting for executions to finish");
    }
}

/// What a signal asks of a server.
#[derive(Debug, Clone, Copy)]
enum Order {
    Interrupt,
    Terminate,
    /// To end without ending its sessions.
    HandOver,
}

impl Order {
    /// The exit status of a program that the signal ended: 128 and its number.
    fn status(self) -> ExitCode {
        ExitCode::from(match self {
            Self::HandOver => 128 + 1,
            Self::Interrupt => 128 + 2,
            Self::Terminate => 128 + 15,
        })
    }
}

/// The signals that ask a server to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.interrupt.recv() => Order::Interrupt,
            _ = self.terminate.recv() => Order::Terminate,
            _ = self.hang_up.recv() => Order::HandOver,
        }
    }
}

/// Logs where a panic happened. Its message is left out where it was formatted: it may quote what a client sent.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let message = panic.payload().downcast_ref::<&'static str>();
    tracing::error!(place, message, "panicked");
}
