//! The accept loop: connections in, requests to the router. Owns the cap on connections, the wait for a request's
//! head and the drain at the end; knows no route.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinSet, yield_now};
use tokio::time::Instant;

use crate::config::{HEAD_BYTES_MAX, ServerConfig, UNSENT_BYTES_MAX};
use crate::patience::Patience;

/// The address that a connection came in on, as an extension of each of its requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalAddress(pub(crate) IpAddr);

/// The pause after `accept` fails for want of descriptors or memory; some connection may end meanwhile.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How long after a refusal the next answer on that connection waits: to refuse costs little, but a client that does not
/// listen to it could have the server do nothing else.
const REFUSAL_PAUSE: Duration = Duration::from_millis(20);
/// Up to how much longer, so that those of many connections do not end together.
const REFUSAL_PAUSE_SPREAD: Duration = Duration::from_millis(40);

/// A pause of [`REFUSAL_PAUSE`] and somewhat more.
fn refusal_pause() -> Duration {
    // The clock's last digits are as good as random here.
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    REFUSAL_PAUSE + REFUSAL_PAUSE_SPREAD * (nanos / 100 % 256) / 256
}

pub(crate) async fn connections(
    listener: TcpListener,
    router: Router,
    config: &ServerConfig,
    shutdown: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(config.head_read_max).max_buf_size(HEAD_BYTES_MAX);
    let permits = Arc::new(Semaphore::new(config.connections_max));
    let graceful = GracefulShutdown::new();
    // A set, so that dropping this future ends every connection.
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, permit) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        while connections.try_join_next().is_some() {}
        let Ok(local) = stream.local_addr() else {
            continue;
        };
        // Answers are small and written whole: waiting to fill a packet only delays them.
        if stream.set_nodelay(true).is_err() || bound_unsent(&stream).is_err() {
            continue;
        }
        let answerer = Arc::new(Answerer::new(router.clone(), local.ip()));
        let service = service_fn(move |request| Arc::clone(&answerer).answer(request));
        let stream = TokioIo::new(Patience::new(stream, config.answer_stall_max));
        let connection = graceful.watch(http.serve_connection(stream, service));
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended early");
            }
            drop(permit);
        });
        yield_now().await;
    }
    drop(listener);
    graceful.shutdown().await;
}

/// Has the kernel take no more of an answer than can be on its way soon: it would hold megabytes for every client that does
/// not read (tcp(7), `TCP_NOTSENT_LOWAT` and `tcp_wmem`).
fn bound_unsent(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX)
}

/// The next connection, taken from the kernel only when there is room for it.
async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    // Nothing closes the semaphore.
    let Ok(permit) = Arc::clone(permits).acquire_owned().await else {
        return std::future::pending().await;
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Whether the next connection may well be accepted at once.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// What answers the requests of one connection, one after the other.
#[derive(Debug)]
struct Answerer {
    router: TowerToHyperService<Router>,
    local: LocalAddress,
    /// Until when the next answer has to wait.
    paused_until: Mutex<Option<Instant>>,
}

impl Answerer {
    fn new(router: Router, local: IpAddr) -> Self {
        let router = TowerToHyperService::new(router);
        Self { router, local: LocalAddress(local), paused_until: Mutex::default() }
    }

    fn paused_until(&self) -> MutexGuard<'_, Option<Instant>> {
        // Every change is a single step.
        self.paused_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request is begun at once: what has arrived is not lost with its client. Only its answer waits.
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response, Infallible> {
        let paused_until = self.paused_until().take();
        let answer = self.answer_now(request).await;
        if let Some(until) = paused_until {
            tokio::time::sleep_until(until).await;
        }
        answer
    }

    async fn answer_now(&self, request: Request<Incoming>) -> Result<Response, Infallible> {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.local);
        let response = hyper::service::Service::call(&self.router, request).await;
        let is_refused = |answer: &Response| answer.status().is_client_error() || answer.status().is_server_error();
        if response.as_ref().is_ok_and(is_refused) {
            *self.paused_until() = Some(Instant::now() + refusal_pause());
        }
        // Who sends many requests at once lets others' in between. Not before: a request that has arrived is not lost
        // with its client.
        yield_now().await;
        response
    }
}
