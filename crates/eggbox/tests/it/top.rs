//! `eggbox top`: what it prints of a server, on a terminal and elsewhere.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};

use crate::client;
use crate::python;
use crate::server::{BINARY, Server};

fn once(address: SocketAddr) -> Output {
    let url = format!("http://{address}");
    Command::new(BINARY).args(["top", "--once", "--url", &url]).output().expect("the binary can be run")
}

/// Stands between `eggbox top` and a server: answers for the list of sessions with these pages, each asked for by the cursor
/// of the one before, and passes everything else on.
fn with_pages(server: SocketAddr, pages: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = Vec::new();
            let mut bytes = [0; 1024];
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read(&mut bytes) {
                    Ok(count @ 1..) => request.extend_from_slice(&bytes[..count]),
                    _ => break,
                }
            }
            let request = String::from_utf8(request).expect("a request is text");
            let path = request.split(' ').nth(1).unwrap_or_default();
            let page = match path.strip_prefix("/v1/sessions") {
                Some("") => pages.first(),
                Some(query) => query.strip_prefix("?cursor=c").and_then(|page| pages.get(page.parse::<usize>().ok()?)),
                None => None,
            };
            let body = match page {
                Some(page) => (*page).to_owned(),
                None => {
                    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
                    client::send_for_text(server, head.as_bytes()).1
                }
            };
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            let _gone = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    address
}

const PAGES: [&str; 2] = [
    r#"{"sessions": [{"id": "small", "state": "idle", "executions": 2, "memory_bytes": 1048576,
        "created": "2025-01-01T00:00:00.000Z", "last_used": "2025-01-01T00:00:01.000Z", "labels": {"team": "eggs"}}],
        "next_cursor": "c1"}"#,
    r#"{"sessions": [{"id": "large", "state": "running", "executions": 1, "memory_bytes": 3145728}], "next_cursor": null}"#,
];

#[test]
fn once_prints_the_server_and_every_session() {
    let server = Server::with("");
    server.run_in("a", "print(1)");
    let output = once(with_pages(server.address, &PAGES));
    let text = String::from_utf8(output.stdout).expect("it is text");
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with(&format!("eggbox {} at http://127.0.0.1:", env!("CARGO_PKG_VERSION"))), "{text}");
    assert!(lines[1].starts_with("sessions: 0 running, 1 idle, 0 starting, 0 ended; memory "), "{text}");
    assert!(lines[2].starts_with("executions: 1; 0 running, 0 waiting; 0 requests refused"), "{text}");
    let words: Vec<Vec<_>> = lines[4..].iter().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["SESSION", "STATE", "RUNS", "MEMORY", "CPU", "AGE", "UNUSED", "LABELS"], "{text}");
    assert_eq!(words[1][..5], ["large", "running", "1", "3.0", "MiB"], "{text}");
    assert_eq!((&words[2][..5], words[2].last()), (&["small", "idle", "2", "1.0", "MiB"][..], Some(&"team=eggs")));
    assert_eq!(words.len(), 3, "{text}");
}

#[test]
fn what_is_no_server_is_told_by_name() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free");
    let output = once(free);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(&free.to_string()), "{said}");
    let output = Command::new(BINARY).args(["top", "--url", "https://eggs.example"]).output().expect("it can be run");
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("http://127.0.0.1:5000"));
}

/// Runs its arguments on a terminal of its own until a word is on it, presses q, and prints how it ended.
const ON_A_TERMINAL: &str = "\
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
import fcntl, struct, termios
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 160, 0, 0))
seen = b''
while sys.argv[1].encode() not in seen:
    seen += os.read(terminal, 65536)
os.write(terminal, b'q')
try:
    while os.read(terminal, 65536): pass
except OSError:
    pass
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

#[test]
fn on_a_terminal_it_shows_the_sessions_until_q() {
    let server = Server::with("");
    let url = format!("http://{}", with_pages(server.address, &PAGES));
    let arguments = ["-c", ON_A_TERMINAL, "team=eggs", BINARY, "top", "--interval", "0.1", "--url", &url];
    let output = Command::new(python::bare()).args(arguments).env("TERM", "xterm").output().expect("python can be run");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n", "{output:?}");
}
