//! eggbox, started as anybody would start it, with settings for what a row needs.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use tempfile::TempDir;
use tokio::process::Command;

use crate::code;
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

/// Ends a session that lives.
pub(crate) async fn end(client: &mut Executor, id: &str) -> Result<()> {
    match client.http.request(Method::DELETE, &format!("/v1/sessions/{id}"), Bytes::new()).await?.status {
        StatusCode::NO_CONTENT => Ok(()),
        other => bail!("session {id} did not end: DELETE answers {other}"),
    }
}
