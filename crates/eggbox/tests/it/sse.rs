//! Server-sent events, read one by one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// What the kernel holds for a reader.
const RECEIVE_BYTES: usize = 64 * 1024;
const EVENT_MAX: Duration = Duration::from_secs(60);

/// An event as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// All of its lines.
    pub(crate) text: String,
}

/// A stream of events.
#[derive(Debug)]
pub(crate) struct Events {
    reader: BufReader<TcpStream>,
    /// Of the body, what was not taken yet.
    body: String,
}

impl Event {
    fn field(&self, name: &str) -> &str {
        let line = |line: &'_ str| line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).map(str::to_owned);
        let found = self.text.lines().find(|text| line(text).is_some()).unwrap_or_default();
        found.get(name.len() + 2..).unwrap_or_default()
    }

    pub(crate) fn id(&self) -> &str {
        self.field("id")
    }

    pub(crate) fn name(&self) -> &str {
        self.field("event")
    }

    pub(crate) fn data(&self) -> Value {
        serde_json::from_str(self.field("data")).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }
}

impl Events {
    /// Sends a request and reads the head of its answer.
    pub(crate) fn open(address: SocketAddr, request: &str) -> Self {
        let mut stream = TcpStream::connect(address).expect("the server accepts connections");
        // What a client does not read is in its own memory, which here is that of the server's machine.
        rustix::net::sockopt::set_socket_recv_buffer_size(&stream, RECEIVE_BYTES).expect("the size can be set");
        stream.set_read_timeout(Some(EVENT_MAX)).expect("a read timeout can be set");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).expect("it answers") > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-type: text/event-stream\r\n"), "{head}");
        Self { reader, body: String::new() }
    }

    /// Has a session run code.
    pub(crate) fn of_new(address: SocketAddr, session: &str, body: &Value) -> Self {
        let body = body.to_string();
        let head =
            "host: localhost\r\nconnection: close\r\ncontent-type: application/json\r\naccept: text/event-stream";
        let length = body.len();
        let path = format!("/v1/sessions/{session}/executions");
        Self::open(address, &format!("POST {path} HTTP/1.1\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}"))
    }

    /// Those of an execution, after that one.
    pub(crate) fn after(address: SocketAddr, session: &str, execution: &str, last: Option<&str>) -> Self {
        let last = last.map(|last| format!("last-event-id: {last}\r\n")).unwrap_or_default();
        let path = format!("/v1/sessions/{session}/executions/{execution}/events");
        Self::open(address, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{last}\r\n"))
    }

    /// The next event, comments aside; none at the end of the stream, or where the connection was cut.
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            while let Some((event, rest)) = self.body.split_once("\n\n") {
                let event = Event { text: event.to_owned() };
                self.body = rest.to_owned();
                if !event.text.starts_with(':') {
                    return Some(event);
                }
            }
            let mut line = String::new();
            match self.reader.read_line(&mut line) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => panic!("the stream breaks: {error}"),
            }
            let length = usize::from_str_radix(line.trim(), 16).unwrap_or_else(|_| panic!("no chunk: {line:?}"));
            let mut chunk = vec![0; length + 2];
            self.reader.read_exact(&mut chunk).ok()?;
            if length == 0 {
                return None;
            }
            self.body.push_str(std::str::from_utf8(&chunk[..length]).expect("events are UTF-8"));
        }
    }

    /// The next one of that name.
    pub(crate) fn next_of(&mut self, name: &str) -> Event {
        let found = std::iter::from_fn(|| self.next()).find(|event| event.name() == name);
        found.unwrap_or_else(|| panic!("the stream ends before an event {name}"))
    }

    /// All that are left.
    pub(crate) fn rest(mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

/// What they say was printed to a stream.
pub(crate) fn printed(events: &[Event], stream: &str) -> String {
    let texts = events.iter().filter(|event| event.name() == stream).map(Event::data);
    texts.map(|data| data["text"].as_str().expect("output has a text").to_owned()).collect()
}
