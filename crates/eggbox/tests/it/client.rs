//! A small HTTP client: one request a connection, every byte in the test's hand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longer than anything the tests ask for, so that a server that hangs fails the test and not the whole run.
const ANSWER_MAX: Duration = Duration::from_secs(100);

/// What came back for one request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A member of the JSON object; empty where it is not there, which the contract makes the same thing.
    pub(crate) fn text(&self, name: &str) -> &str {
        match &self.json[name] {
            Value::Null => "",
            Value::String(text) => text,
            other => panic!("{name} is no string: {other}"),
        }
    }

    pub(crate) fn id(&self) -> &str {
        self.text("id")
    }

    pub(crate) fn stdout(&self) -> &str {
        self.text("stdout")
    }

    pub(crate) fn stderr(&self) -> &str {
        self.text("stderr")
    }

    pub(crate) fn error(&self) -> &str {
        self.text("error")
    }

    /// The refusal of a path under /v1: its code, its message and the field at fault, empty where there is none.
    pub(crate) fn refusal(&self) -> [&str; 3] {
        let error = self.json["error"].as_object().unwrap_or_else(|| panic!("no error of /v1: {self:?}"));
        assert_eq!(error["request_id"].as_str(), self.header("x-request-id"), "{self:?}");
        assert_eq!(self.keys(), ["error"], "{self:?}");
        ["code", "message", "field"].map(|name| error.get(name).and_then(Value::as_str).unwrap_or_default())
    }

    /// The names of the members, in order.
    pub(crate) fn keys(&self) -> Vec<&str> {
        self.json.as_object().expect("an answer is an object").keys().map(String::as_str).collect()
    }
}

/// Sends these bytes and reads until the server closes the connection.
pub(crate) fn send(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the server accepts connections");
    stream.set_read_timeout(Some(ANSWER_MAX)).expect("a read timeout can be set");
    // A server that refuses early may close before it has read everything.
    let sent = stream.write_all(request);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    assert!(!answer.is_empty(), "no answer: sending gave {sent:?}, reading {read:?}");
    parse(&answer)
}

/// The bytes of a POST to /execute with this body, and with a `Connection: close`.
pub(crate) fn post(body: &str) -> Vec<u8> {
    post_to("/execute", body)
}

/// The same for another path.
pub(crate) fn post_to(path: &str, body: &str) -> Vec<u8> {
    let head = "HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json";
    format!("POST {path} {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Sends these bytes and reads an answer that may be anything: its head and its body.
pub(crate) fn send_for_text(address: SocketAddr, request: &[u8]) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("the server accepts connections");
    stream.set_read_timeout(Some(ANSWER_MAX)).expect("a read timeout can be set");
    stream.write_all(request).expect("it can be sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer is text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    (head.to_owned(), body.to_owned())
}

fn parse(answer: &[u8]) -> Answer {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("an answer has a head");
    let head = std::str::from_utf8(&answer[..end]).expect("a head is text");
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line has a status");
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let body = &answer[end + 4..];
    let json = if status == 204 { Ok(Value::Null) } else { serde_json::from_slice(body) };
    let json = json.unwrap_or_else(|error| panic!("no JSON ({error}): {head}\n\n{}", String::from_utf8_lossy(body)));
    Answer { status, headers, json }
}
