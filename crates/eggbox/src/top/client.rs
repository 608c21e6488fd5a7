//! Asks a server: one request a connection, each within a time and a size.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::handshake;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::exposition::Exposition;
use super::sample::{Sample, Session};

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Pages of a list of sessions that are read: more sessions than these have are not all shown.
const PAGES_MAX: usize = 1000;

/// A server to ask.
#[derive(Debug)]
pub(super) struct Client {
    /// Host and port, as a connection takes them.
    place: String,
    authority: String,
    key: Option<String>,
    runtime: Runtime,
}

#[derive(Debug, Deserialize)]
struct Page {
    sessions: Vec<Session>,
    next_cursor: Option<String>,
}

impl Client {
    pub(super) fn new(url: &Uri, key: Option<String>) -> std::io::Result<Self> {
        let authority = url.authority().map(ToString::to_string).unwrap_or_default();
        let place = if url.port().is_some() { authority.clone() } else { format!("{authority}:80") };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { place, authority, key, runtime })
    }

    /// How the server is now.
    pub(super) fn sample(&self) -> anyhow::Result<Sample> {
        Ok(Sample::new(self.metrics()?, self.sessions()?))
    }

    /// None where the key may not read them, to which the server says that there are none.
    fn metrics(&self) -> anyhow::Result<Option<Exposition>> {
        let path = "/metrics";
        let (status, body) = self.fetch(path)?;
        if status == StatusCode::NOT_FOUND && self.key.is_some() {
            return Ok(None);
        }
        let metrics = self.checked(path, status, body)?;
        let metrics = std::str::from_utf8(&metrics).ok().and_then(Exposition::parse);
        let metrics = metrics.with_context(|| format!("{} has no metrics at {path}: is it eggbox?", self.place))?;
        Ok(Some(metrics))
    }

    fn sessions(&self) -> anyhow::Result<Vec<Session>> {
        let (mut sessions, mut path) = (Vec::new(), "/v1/sessions".to_owned());
        for _ in 0..PAGES_MAX {
            let page = self.get(&path)?;
            let page: Page = serde_json::from_slice(&page).with_context(|| format!("failed to read {path}"))?;
            sessions.extend(page.sessions);
            let Some(cursor) = page.next_cursor else { break };
            path = format!("/v1/sessions?cursor={}", escape(&cursor));
        }
        Ok(sessions)
    }

    fn get(&self, path: &str) -> anyhow::Result<Bytes> {
        let (status, body) = self.fetch(path)?;
        self.checked(path, status, body)
    }

    /// Whatever the server answers.
    fn fetch(&self, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
        let place = &self.place;
        match self.runtime.block_on(async { timeout(ANSWER_MAX, self.ask(path)).await }) {
            Ok(got) => got.with_context(|| format!("failed to ask {place} for {path}")),
            Err(_) => bail!("failed to ask {place} for {path}: no answer within {ANSWER_MAX:?}"),
        }
    }

    /// The body of a 200.
    fn checked(&self, path: &str, status: StatusCode, body: Bytes) -> anyhow::Result<Bytes> {
        let place = &self.place;
        match status {
            StatusCode::OK => Ok(body),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                bail!(
                    "failed to ask {place} for {path}: it answers {status}: give a key that may, in {}",
                    super::KEY_VARIABLE
                )
            }
            _ => bail!("failed to ask {place} for {path}: it answers {status}"),
        }
    }

    async fn ask(&self, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
        let stream = TcpStream::connect(&self.place).await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its errors are those of the request.
        tokio::spawn(connection);
        let mut request = Request::get(path).header(HOST, &self.authority);
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok((status, body.map_err(|error| anyhow::anyhow!(error))?.to_bytes()))
    }
}

/// As a value in a query.
fn escape(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_sent_whatever_is_in_it() {
        assert_eq!(escape("a-b_c.d~9"), "a-b_c.d~9");
        assert_eq!(escape("a+b/c=&é"), "a%2Bb%2Fc%3D%26%C3%A9");
    }
}
