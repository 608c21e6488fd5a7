//! The table of routes, and what every request passes on its way to one.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use eggbox_engine::Engine;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::audit::Audit;
use crate::auth;
use crate::config::{LARGE_ANSWERS_MAX, ServerConfig};
use crate::error::Error;
use crate::guard::{self, Guard};
use crate::http_counts::HttpCounts;
use crate::keys::Keys;
use crate::openapi;
use crate::reference::Reference;
use crate::request_id;
use crate::room::Room;
use crate::routes::executions::{ask, events, get as execution, input, interrupt, list};
use crate::routes::files::{delete_file, get_archive, get_file, list_files, move_file, put_file};
use crate::routes::{
    checkpoints, create_session, delete_session, execute, fork, get_session, health, hibernate, list_sessions, metrics,
    patch_session, ready, reference, restart, restore, run, take_checkpoint,
};

/// What the routes share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) config: ServerConfig,
    pub(crate) room: Room,
    /// One for each large answer that may be in memory.
    pub(crate) large_answers: Arc<Semaphore>,
    pub(crate) http_counts: Arc<HttpCounts>,
    pub(crate) audit: Option<Arc<Audit>>,
    pub(crate) started: SystemTime,
    pub(crate) reference: Reference,
}

/// The routes as an error names them.
pub(crate) const ROUTES: &str = "POST /execute, POST /v1/run, GET and POST /v1/sessions, GET, PATCH and DELETE /v1/sessions/{id}, \
                                 POST /v1/sessions/{id}/interrupt, POST /v1/sessions/{id}/restart, \
                                 POST /v1/sessions/{id}/fork, \
                                 GET and POST /v1/sessions/{id}/checkpoints, \
                                 POST /v1/sessions/{id}/restore, POST /v1/sessions/{id}/hibernate, \
                                 GET /v1/checkpoints, GET and DELETE /v1/checkpoints/{checkpoint}, \
                                 GET and POST /v1/sessions/{id}/executions, \
                                 GET and DELETE /v1/sessions/{id}/executions/{n}, \
                                 GET /v1/sessions/{id}/executions/{n}/events, \
                                 POST /v1/sessions/{id}/executions/{n}/input, GET /v1/sessions/{id}/files, \
                                 GET, PUT and DELETE /v1/sessions/{id}/files/{path}, GET /v1/sessions/{id}/files.tar, \
                                 POST /v1/sessions/{id}/file-moves, GET /health, GET /ready, \
                                 GET /metrics, GET /openapi.json, GET /docs";

/// Each route by its handler, which says where it is and what it takes and answers, and the document of all of them.
pub(crate) fn routes() -> (Router<Arc<App>>, OpenApi) {
    let router = OpenApiRouter::with_openapi(openapi::document())
        .routes(routes!(execute::execute))
        .routes(routes!(run::run))
        .routes(routes!(list_sessions::list_sessions, create_session::create_session))
        .routes(routes!(get_session::get_session, patch_session::patch_session, delete_session::delete_session))
        .routes(routes!(restart::restart))
        .routes(routes!(fork::fork))
        .routes(routes!(checkpoints::list_of_session, take_checkpoint::take_checkpoint))
        .routes(routes!(restore::restore))
        .routes(routes!(hibernate::hibernate))
        .routes(routes!(checkpoints::list))
        .routes(routes!(checkpoints::get, checkpoints::delete))
        .routes(routes!(interrupt::interrupt))
        .routes(routes!(list::list, ask::ask))
        .routes(routes!(execution::get, interrupt::interrupt_one))
        .routes(routes!(events::events))
        .routes(routes!(input::input))
        .routes(routes!(list_files::list_files))
        .routes(routes!(get_archive::get_archive))
        .routes(routes!(move_file::move_file))
        .routes(routes!(get_file::get_file, put_file::put_file, delete_file::delete_file))
        .routes(routes!(health::health))
        .routes(routes!(ready::ready))
        .routes(routes!(metrics::metrics))
        .routes(routes!(reference::openapi))
        .routes(routes!(reference::docs));
    let (routes, mut document) = router.split_for_parts();
    openapi::complete(&mut document);
    (routes, document)
}

pub(crate) fn router(engine: Engine, config: &ServerConfig, audit: Option<Audit>) -> Router {
    let large_answers = Arc::new(Semaphore::new(LARGE_ANSWERS_MAX));
    let room = Room::new(config.bodies_bytes_max);
    let http_counts = Arc::new(HttpCounts::default());
    let (routes, document) = routes();
    let reference = Reference::new(&document, engine.limits());
    let app = Arc::new(App {
        engine,
        config: config.clone(),
        room,
        large_answers,
        http_counts: Arc::clone(&http_counts),
        audit: audit.map(Arc::new),
        started: SystemTime::now(),
        reference,
    });
    let routes = routes.with_state(app);
    with_layers(routes, config, http_counts)
}

/// Puts around `routes`, from the outside in: the request id, the end of panics, the guard, the keys.
fn with_layers(routes: Router, config: &ServerConfig, http_counts: Arc<HttpCounts>) -> Router {
    let keys = Arc::new(Keys::new(&config.keys));
    let guard = Arc::new(Guard { allowed_hosts: config.allowed_hosts.clone() });
    routes
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(keys, auth::check))
        .layer(from_fn_with_state(guard, guard::check))
        .layer(CatchPanicLayer::custom(|_| axum::response::IntoResponse::into_response(Error::Panic)))
        .layer(from_fn_with_state(http_counts, request_id::stamp))
}

async fn not_found(request: Request) -> Error {
    Error::NotFound { path: request.uri().path().to_owned() }
}

async fn method_not_allowed(request: Request) -> Error {
    Error::MethodNotAllowed { method: request.method().clone(), path: request.uri().path().to_owned() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::StatusCode;
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::oneshot;

    use super::*;
    use crate::{accept, body};

    /// Stand-ins for the routes: the engine is not needed to see what is around them.
    fn routes(config: &ServerConfig) -> Router {
        let (config, room) = (config.clone(), Room::new(config.bodies_bytes_max));
        let length = |request: Request| async move {
            let (bytes, _room) = body::read_json(request, &config, &room).await?;
            Ok::<_, Error>(bytes.len().to_string())
        };
        let internal = || async { Err::<StatusCode, _>(Error::Internal("the cause".into())) };
        let panicking = || async {
            if true {
                panic!("a test of what a panic becomes")
            }
        };
        let slow = || async { tokio::time::sleep(Duration::from_millis(200)).await };
        Router::new()
            .route("/execute", post(length))
            .route("/internal", get(internal))
            .route("/panic", get(panicking))
            .route("/slow", get(slow))
    }

    /// A server of [`routes`] on a free port; dropping the sender shuts it down.
    struct Server {
        address: std::net::SocketAddr,
        shutdown: oneshot::Sender<()>,
        ended: tokio::task::JoinHandle<()>,
    }

    impl Server {
        async fn start(config: ServerConfig) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (shutdown, stopped) = oneshot::channel::<()>();
            let router = with_layers(routes(&config), &config, Arc::default());
            let ended = tokio::spawn(async move {
                accept::connections(listener, router, &config, async { drop(stopped.await) }).await;
            });
            Self { address, shutdown, ended }
        }

        async fn connect(&self) -> TcpStream {
            TcpStream::connect(self.address).await.unwrap()
        }

        /// Sends `request` on a new connection and reads until the server closes it.
        async fn send(&self, request: &str) -> String {
            let mut stream = self.connect().await;
            stream.write_all(request.as_bytes()).await.unwrap();
            read_to_end(stream).await
        }
    }

    async fn read_to_end(mut stream: TcpStream) -> String {
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(Duration::from_secs(10), read).await.expect("the server closes in time").unwrap();
        answer
    }

    fn config() -> ServerConfig {
        ServerConfig { body_bytes_max: 16, ..ServerConfig::default() }
    }

    fn post_execute(headers: &str, body: &str) -> String {
        format!("POST /execute HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n\r\n{body}")
    }

    #[test]
    fn every_route_is_named_where_a_route_is_missing() {
        let document = serde_json::to_value(super::routes().1).unwrap();
        let mut served = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            served
                .extend(methods.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())));
        }
        let (mut named, mut methods) = (Vec::new(), Vec::new());
        for word in ROUTES.split([' ', ',']).filter(|word| !word.is_empty() && *word != "and") {
            match word.starts_with('/') {
                true => named.extend(methods.drain(..).map(|method: &str| format!("{method} {word}"))),
                false => methods.push(word),
            }
        }
        served.sort_unstable();
        named.sort_unstable();
        assert_eq!(served, named);
    }

    #[tokio::test]
    async fn every_refusal_has_its_status_a_json_message_and_an_id() {
        let server = Server::start(config()).await;
        let head = "host: localhost\r\nconnection: close\r\n\r\n";
        let long = "x".repeat(17);
        for (request, status, contains) in [
            (format!("GET /nowhere HTTP/1.1\r\n{head}"), "404", ROUTES),
            (format!("CONNECT localhost:80 HTTP/1.1\r\n{head}"), "403", "names another host"),
            (format!("GET /execute HTTP/1.1\r\n{head}"), "405", "GET is not a method of `/execute`"),
            (format!("GET /execute HTTP/1.1\r\n{head}"), "405", "allow: POST\r\n"),
            (format!("POST /internal HTTP/1.1\r\n{head}"), "405", "allow: GET,HEAD\r\n"),
            (format!("GET /internal HTTP/1.1\r\n{head}"), "500", r#"{"error":"Internal server error","request_id":"0"#),
            (format!("GET /panic HTTP/1.1\r\n{head}"), "500", r#"{"error":"Internal server error","request_id":"0"#),
            ("GET /panic HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned(), "403", "host header is missing"),
            (format!("GET http://evil.example/panic HTTP/1.1\r\n{head}"), "403", "names another host"),
            (format!("GET /panic HTTP/1.1\r\norigin: null\r\n{head}"), "403", "origin `null`"),
            (post_execute("content-length: 0", ""), "415", "Content-Type is missing"),
            (post_execute("content-type: text/plain\r\ncontent-length: 2", "{}"), "415", "`text/plain`"),
            (post_execute("content-type: application/json\r\ncontent-length: 17", &long), "413", "limit of 16 bytes"),
            (
                post_execute(
                    "content-type: application/json\r\ntransfer-encoding: chunked",
                    &format!("11\r\n{long}\r\n0\r\n\r\n"),
                ),
                "413",
                "limit of 16 bytes",
            ),
            (
                post_execute("content-type: application/json\r\ncontent-length: 17\r\nexpect: 100-continue", ""),
                "413",
                "limit of 16 bytes",
            ),
        ] {
            let answer = server.send(&request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
            assert!(answer.contains("content-type: application/json\r\n"), "{request}: {answer}");
            assert!(answer.contains("\r\nx-request-id: 0"), "{request}: {answer}");
            assert!(answer.contains(r#"{"error":""#) && answer.contains(contains), "{request}: {answer}");
        }
    }

    #[tokio::test]
    async fn a_connection_waits_after_a_refusal() {
        let server = Server::start(config()).await;
        let mut connection = server.connect().await;
        let mut ask = async |path: &str| {
            let asked = std::time::Instant::now();
            connection.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await.unwrap();
            assert!(connection.read(&mut [0; 4096]).await.unwrap() > 0);
            asked
        };
        // From before a refusal to the next answer. Nothing can be said of how short it is without.
        for next in ["/nowhere", "/slow", "/nowhere"] {
            let refused = ask("/nowhere").await;
            ask(next).await;
            assert!(refused.elapsed() >= Duration::from_millis(20), "{next}: {:?}", refused.elapsed());
        }
    }

    #[tokio::test]
    async fn bodies_up_to_the_limit_arrive_and_a_far_larger_one_gets_its_refusal() {
        let server = Server::start(config()).await;
        let json = "content-type: application/json\r\n";
        let answer = server.send(&post_execute(&format!("{json}content-length: 16"), &"x".repeat(16))).await;
        assert!(answer.ends_with("\r\n\r\n16"), "{answer}");
        let length = 20 * 1024 * 1024;
        let answer = server.send(&post_execute(&format!("{json}content-length: {length}"), &"x".repeat(length))).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }

    #[tokio::test]
    async fn a_slow_head_or_body_ends() {
        let millis = Duration::from_millis(100);
        let server = Server::start(ServerConfig { head_read_max: millis, body_read_max: millis, ..config() }).await;
        read_to_end(server.connect().await).await;
        server.send("GET /slow HT").await;
        let half = post_execute("content-type: application/json\r\ncontent-length: 9", "half");
        assert!(server.send(&half).await.starts_with("HTTP/1.1 408 "));
    }

    #[tokio::test]
    async fn a_connection_over_the_cap_waits_for_its_turn() {
        let server = Server::start(ServerConfig { connections_max: 1, ..config() }).await;
        let first = server.connect().await;
        let second = server.send("GET /slow HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let mut second = std::pin::pin!(second);
        assert!(tokio::time::timeout(Duration::from_millis(400), &mut second).await.is_err());
        drop(first);
        assert!(second.await.starts_with("HTTP/1.1 200 "));
    }

    #[tokio::test]
    async fn shutdown_lets_answers_under_way_finish_and_closes_idle_connections() {
        let server = Server::start(config()).await;
        let mut idle = server.connect().await;
        idle.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        idle.read_exact(&mut answer).await.unwrap();
        let mut busy = server.connect().await;
        busy.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(server.shutdown);
        assert!(read_to_end(busy).await.starts_with("HTTP/1.1 200 "));
        read_to_end(idle).await;
        tokio::time::timeout(Duration::from_secs(5), server.ended).await.expect("the server ends").unwrap();
        assert!(TcpStream::connect(server.address).await.is_err());
    }
}
