//! `POST /execute`, which eggbox and the line loop speak alike.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde::Deserialize;

use crate::http::Http;

/// A client of a server that runs code.
#[derive(Debug)]
pub(crate) struct Executor {
    pub(crate) http: Http,
}

#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    pub(crate) said: Said,
    took: Duration,
}

/// What stands in the answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Said {
    pub(crate) id: String,
    stdout: String,
    stderr: String,
    error: String,
}

impl Executor {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { http: Http::new(address) }
    }

    pub(crate) async fn execute(&mut self, code: &str, id: Option<&str>) -> Result<Answer> {
        let body = match id {
            Some(id) => serde_json::json!({ "code": code, "id": id }),
            None => serde_json::json!({ "code": code }),
        };
        let answer = self.http.request(Method::POST, "/execute", Bytes::from(body.to_string())).await?;
        let said = serde_json::from_slice(&answer.body)
            .with_context(|| format!("an answer of status {} that is no JSON object", answer.status))?;
        Ok(Answer { status: answer.status, said, took: answer.took })
    }
}

impl Answer {
    /// How long the right answer took; none where the server had no room. A wrong one is an error.
    pub(crate) fn expect(&self, stdout: &str) -> Result<Option<Duration>> {
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            return Ok(None);
        }
        let Said { stdout: printed, stderr, error, .. } = &self.said;
        if self.status == StatusCode::OK && printed == stdout && stderr.is_empty() && error.is_empty() {
            return Ok(Some(self.took));
        }
        let [printed, wanted] = [printed, stdout].map(|text| text.chars().take(80).collect::<String>());
        bail!("a wrong answer: {} {printed:?} {stderr:?} {error:?}, where {wanted:?} was due", self.status);
    }
}
