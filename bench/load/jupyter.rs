//! Jupyter Kernel Gateway with ipykernel, over its real protocol: kernels by REST, code by WebSocket.
//! <https://jupyter-client.readthedocs.io/en/stable/messaging.html>

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::http::Http;
use crate::process::Server;

const START_MAX: Duration = Duration::from_secs(60);
const START_LOOK: Duration = Duration::from_millis(50);
/// How long code may take here, all told.
const RESULT_MAX: Duration = Duration::from_secs(30);

/// The gateway and a client of it. It ends when this is dropped, and its kernels with it.
#[derive(Debug)]
pub(crate) struct Gateway {
    http: Http,
    address: SocketAddr,
    pub(crate) process: Server,
    _folder: TempDir,
}

/// A kernel and its channels.
#[derive(Debug)]
pub(crate) struct Kernel {
    id: String,
    channels: WebSocketStream<TcpStream>,
    sent: u64,
}

impl Gateway {
    pub(crate) async fn start(python: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("eggbox-bench-").tempdir()?;
        // It takes port 0 for the default, so it gets one that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(python);
        command.args(["-m", "kernel_gateway", "--KernelGatewayApp.ip=127.0.0.1", "--port_retries=0"]);
        command.arg(format!("--port={}", address.port()));
        for variable in ["HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"] {
            command.env(variable, folder.path());
        }
        let process = Server::start("the kernel gateway", folder.path(), &mut command)?;
        let mut gateway = Self { http: Http::new(address), address, process, _folder: folder };
        let begun = Instant::now();
        while !matches!(gateway.http.get("/api").await, Ok(answer) if answer.status == StatusCode::OK) {
            if begun.elapsed() > START_MAX {
                bail!("the kernel gateway did not start; it logged last:\n{}", gateway.process.last_logged());
            }
            sleep(START_LOOK).await;
        }
        Ok(gateway)
    }

    pub(crate) async fn kernel(&mut self) -> Result<Kernel> {
        let answer = self.http.request(Method::POST, "/api/kernels", Bytes::from_static(b"{}")).await?;
        ensure!(answer.status == StatusCode::CREATED, "the kernel gateway made no kernel: {answer:?}");
        let described: Value = serde_json::from_slice(&answer.body)?;
        let id = described["id"].as_str().context("a kernel without an id")?.to_owned();
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let url = format!("ws://{}/api/kernels/{id}/channels", self.address);
        let (channels, _) = timeout(RESULT_MAX, tokio_tungstenite::client_async(url, stream)).await??;
        Ok(Kernel { id, channels, sent: 0 })
    }

    pub(crate) async fn end(&mut self, kernel: Kernel) -> Result<()> {
        drop(kernel.channels);
        let path = format!("/api/kernels/{}", kernel.id);
        let answer = self.http.request(Method::DELETE, &path, Bytes::new()).await?;
        ensure!(answer.status == StatusCode::NO_CONTENT, "a kernel did not end: {answer:?}");
        Ok(())
    }
}

impl Kernel {
    /// What the code printed to stdout, once the kernel has said that it is over.
    pub(crate) async fn execute(&mut self, code: &str) -> Result<String> {
        self.sent += 1;
        let id = format!("{}-{}", self.id, self.sent);
        let request = json!({
            "channel": "shell",
            "header": {
                "msg_id": id, "msg_type": "execute_request", "session": self.id, "username": "", "version": "5.3",
            },
            "parent_header": {},
            "metadata": {},
            "content": {
                "code": code, "silent": false, "store_history": false, "user_expressions": {}, "allow_stdin": false,
            },
            "buffers": [],
        });
        self.channels.send(Message::text(request.to_string())).await?;
        timeout(RESULT_MAX, self.result(&id)).await.context("a kernel gave no result")?
    }

    /// Output and reply come by different channels, in either order; `idle` comes after all output.
    async fn result(&mut self, id: &str) -> Result<String> {
        let mut stdout = String::new();
        let (mut is_idle, mut has_reply) = (false, false);
        while !(is_idle && has_reply) {
            let message = self.channels.next().await.context("a kernel closed its channels")??;
            let Message::Text(text) = message else { continue };
            let message: Value = serde_json::from_str(&text)?;
            if message["parent_header"]["msg_id"] != id {
                continue;
            }
            let content = &message["content"];
            match message["msg_type"].as_str() {
                Some("stream") if content["name"] == "stdout" => stdout += content["text"].as_str().unwrap_or_default(),
                Some("status") => is_idle |= content["execution_state"] == "idle",
                Some("execute_reply") if content["status"] == "ok" => has_reply = true,
                Some("execute_reply") => bail!("a kernel failed: {content}"),
                _ => {}
            }
        }
        Ok(stdout)
    }
}
