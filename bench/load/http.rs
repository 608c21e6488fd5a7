//! A client with one kept connection, and what it takes for an answer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take; a kernel of Jupyter takes longest to start.
const ANSWER_MAX: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Http {
    address: SocketAddr,
    /// None before the first request, and after the other end has closed.
    connection: Option<SendRequest<Full<Bytes>>>,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    /// From before the request was sent until all of the body was there. Connecting counts where there was no
    /// connection.
    pub(crate) took: Duration,
}

impl Http {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    /// Makes sure that there is a connection.
    pub(crate) async fn connect(&mut self) -> Result<&mut SendRequest<Full<Bytes>>> {
        if let Some(connection) = &mut self.connection
            && connection.ready().await.is_err()
        {
            self.connection = None;
        }
        if self.connection.is_none() {
            let stream = TcpStream::connect(self.address)
                .await
                .with_context(|| format!("failed to connect to {}", self.address))?;
            stream.set_nodelay(true)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            // Its errors are those of the requests.
            tokio::spawn(connection);
            self.connection = Some(sender);
        }
        self.connection.as_mut().context("no connection")
    }

    pub(crate) async fn request(&mut self, method: Method, path: &str, body: Bytes) -> Result<Response> {
        let address = self.address;
        let request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header(HOST, address.to_string())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let whole = async {
            let begun = Instant::now();
            let answer = self.connect().await?.send_request(request).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            anyhow::Ok(Response { status, body, took: begun.elapsed() })
        };
        match timeout(ANSWER_MAX, whole).await {
            Ok(answered) => answered.with_context(|| format!("failed to ask {address} for {method} {path}")),
            Err(_) => bail!("no answer from {address} to {method} {path} within {ANSWER_MAX:?}"),
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Response> {
        self.request(Method::GET, path, Bytes::new()).await
    }
}
