//! Requests for files of a workspace, whose bodies are bytes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::server::Server;

/// Longer than anything the tests ask for.
const ANSWER_MAX: Duration = Duration::from_secs(100);

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// All of it has come, as far as its head and its pieces say.
    pub(crate) is_whole: bool,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The status and the code of a refusal.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let json = self.json();
        assert_eq!(json["error"]["request_id"].as_str(), self.header("x-request-id"), "{json}");
        (self.status, json["error"]["code"].as_str().unwrap_or_else(|| panic!("no code: {json}")).to_owned())
    }
}

/// The files of one session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Files<'a> {
    pub(crate) server: &'a Server,
    pub(crate) session: &'a str,
}

impl Files<'_> {
    /// The head of a request for `path` behind the session's own.
    pub(crate) fn head(&self, method: &str, path: &str, headers: &str) -> String {
        let session = self.session;
        format!(
            "{method} /v1/sessions/{session}{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n"
        )
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.server.address).expect("the server accepts connections");
        stream.set_read_timeout(Some(ANSWER_MAX)).expect("a read timeout can be set");
        stream
    }

    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
        let mut stream = self.connect();
        let head = self.head(method, path, headers);
        // A server that refuses early may close before it has read everything.
        let _ = stream.write_all(&[head.as_bytes(), body].concat());
        read(stream, method == "HEAD")
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.ask("GET", &format!("/files/{path}"), "", b"")
    }

    pub(crate) fn get_with(&self, path: &str, headers: &str) -> Reply {
        self.ask("GET", &format!("/files/{path}"), headers, b"")
    }

    pub(crate) fn put(&self, path: &str, body: &[u8]) -> Reply {
        self.put_with(path, "", body)
    }

    pub(crate) fn put_with(&self, path: &str, headers: &str, body: &[u8]) -> Reply {
        let length = format!("{headers}content-length: {}\r\n", body.len());
        self.ask("PUT", &format!("/files/{path}"), &length, body)
    }

    pub(crate) fn delete(&self, path: &str) -> Reply {
        self.ask("DELETE", &format!("/files/{path}"), "", b"")
    }

    pub(crate) fn list(&self, query: &str) -> Reply {
        self.ask("GET", &format!("/files{query}"), "", b"")
    }

    pub(crate) fn tar(&self, query: &str) -> Reply {
        self.ask("GET", &format!("/files.tar{query}"), "", b"")
    }

    pub(crate) fn rename(&self, body: &Value) -> Reply {
        let body = body.to_string();
        let headers = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        self.ask("POST", "/file-moves", &headers, body.as_bytes())
    }

    /// The paths of a listing, which must be one.
    pub(crate) fn paths(&self, query: &str) -> Vec<String> {
        let listed = self.list(query);
        assert_eq!(listed.status, 200, "{}", listed.text());
        let json = listed.json();
        let entries = json["entries"].as_array().expect("there are entries");
        entries.iter().map(|entry| entry["path"].as_str().expect("it has a path").to_owned()).collect()
    }
}

/// Reads an answer until the server closes the connection.
pub(crate) fn read(mut stream: TcpStream, has_no_body: bool) -> Reply {
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    assert!(!answer.is_empty(), "no answer: {read:?}");
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("an answer has a head");
    let head = std::str::from_utf8(&answer[..end]).expect("a head is text");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut reply =
        Reply { status: status.expect("a status line has a status"), headers, body: vec![], is_whole: true };
    let body = &answer[end + 4..];
    if reply.header("transfer-encoding") == Some("chunked") {
        (reply.body, reply.is_whole) = dechunk(body);
    } else {
        let length: Option<usize> = reply.header("content-length").and_then(|length| length.parse().ok());
        reply.is_whole = has_no_body || length.is_none_or(|length| length == body.len());
        reply.body = body.to_vec();
    }
    reply
}

/// The content of a body in pieces, and whether its last piece is there.
fn dechunk(mut body: &[u8]) -> (Vec<u8>, bool) {
    let mut content = Vec::new();
    while let Some(end) = body.windows(2).position(|bytes| bytes == b"\r\n") {
        let length = std::str::from_utf8(&body[..end]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let length = length.expect("a piece begins with its length");
        if length == 0 {
            return (content, true);
        }
        let piece = &body[end + 2..];
        content.extend_from_slice(&piece[..length.min(piece.len())]);
        body = piece.get(length + 2..).unwrap_or_default();
    }
    (content, false)
}
