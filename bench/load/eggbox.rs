//! eggbox, started as anybody would start it, with settings for what a row needs.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use tempfile::TempDir;
use tokio::process::Command;

use crate::code::{self, Code};
use crate::execute::Executor;
use crate::process::Server;

/// What is not as it is by default.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings<'a> {
    pub(crate) eggbox: &'a Path,
    pub(crate) python: &'a Path,
    /// Where nothing is to be imported ahead; else what the interpreter has.
    pub(crate) is_bare: bool,
    /// Where no session is to be made ahead.
    pub(crate) has_pool: bool,
    pub(crate) sessions_max: usize,
    /// For rows that need more than what is usual.
    pub(crate) options: &'a [&'a str],
}

/// A server and a client of it. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Eggbox {
    pub(crate) client: Executor,
    pub(crate) address: SocketAddr,
    pub(crate) process: Server,
    // After the process, which has its state there.
    _folder: TempDir,
}

/// More than any row prints.
const OUTPUT_BYTES_MAX: usize = 64 << 20;

impl Eggbox {
    pub(crate) async fn start(settings: Settings<'_>) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("eggbox-bench-").tempdir()?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))?;
        let mut command = Command::new(settings.eggbox);
        command.args(["serve", "--listen", "127.0.0.1:0", "--abandoned-seconds-max", "1"]);
        command.arg("--state-dir").arg(folder.path().join("state")).arg("--python").arg(settings.python);
        command.arg(format!("--sessions-max={}", settings.sessions_max));
        command.arg(format!("--output-bytes-max={OUTPUT_BYTES_MAX}"));
        command.args(settings.options);
        if settings.is_bare {
            command.arg("--preload=");
        }
        if !settings.has_pool {
            command.arg("--parked-sessions-max=0");
        }
        let mut process = Server::start("eggbox", folder.path(), &mut command)?;
        let address = process.address().await?;
        let mut server = Self { client: Executor::new(address), address, process, _folder: folder };
        server.client.execute(code::NOTHING.source, Some("probe")).await?.expect(code::NOTHING.prints)?;
        server.end("probe").await?;
        Ok(server)
    }

    pub(crate) async fn end(&mut self, id: &str) -> Result<()> {
        end(&mut self.client, id).await.with_context(|| self.process.last_logged())
    }
}

impl Eggbox {
    /// Asks for something that has that status, and returns how long it took and what came.
    pub(crate) async fn ask(
        &mut self,
        path: &str,
        body: serde_json::Value,
        status: StatusCode,
    ) -> Result<(Duration, serde_json::Value)> {
        let answer = self.client.http.request(Method::POST, path, Bytes::from(body.to_string())).await?;
        if answer.status != status {
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            bail!("POST {path} answers {}: {said}: {}", answer.status, self.process.last_logged());
        }
        Ok((answer.took, serde_json::from_slice(&answer.body)?))
    }

    /// Runs code that prints what it should, and returns how long that took.
    pub(crate) async fn run(&mut self, id: &str, code: &Code) -> Result<Duration> {
        let took = self.client.execute(code.source, Some(id)).await?.expect(code.prints)?;
        took.with_context(|| format!("there was no room for {id}"))
    }
}

/// Ends a session that lives.
pub(crate) async fn end(client: &mut Executor, id: &str) -> Result<()> {
    match client.http.request(Method::DELETE, &format!("/v1/sessions/{id}"), Bytes::new()).await?.status {
        StatusCode::NO_CONTENT => Ok(()),
        other => bail!("session {id} did not end: DELETE answers {other}"),
    }
}
