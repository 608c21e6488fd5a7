//! The line-loop Flask server, `bench/app.py`.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, ensure};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use tempfile::TempDir;
use tokio::process::Command;

use crate::execute::Executor;
use crate::process::Server;

/// A server and a client of it. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Flask {
    pub(crate) client: Executor,
    pub(crate) address: SocketAddr,
    pub(crate) process: Server,
    _folder: TempDir,
}

impl Flask {
    pub(crate) async fn start(python: &Path, bench: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("eggbox-bench-").tempdir()?;
        let mut process =
            Server::start("the line loop", folder.path(), Command::new(python).arg(bench.join("app.py")))?;
        let address = process.address().await?;
        Ok(Self { client: Executor::new(address), address, process, _folder: folder })
    }

    pub(crate) async fn end(&mut self, id: &str) -> Result<()> {
        let answer = self.client.http.request(Method::DELETE, &format!("/sessions/{id}"), Bytes::new()).await?;
        ensure!(answer.status == StatusCode::NO_CONTENT, "session {id} of the line loop did not end: {answer:?}");
        Ok(())
    }
}
