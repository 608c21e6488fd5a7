//! `eggbox top`: what it prints of a server, on a terminal and elsewhere.

use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::json;

use crate::client;
use crate::keys::Keys;
use crate::process::wait_for;
use crate::python;
use crate::server::{BINARY, Server};

fn once(address: SocketAddr) -> Output {
    let url = format!("http://{address}");
    Command::new(BINARY).args(["top", "--once", "--url", &url]).output().expect("the binary can be run")
}

/// A session that runs and has much memory, and one that does neither.
fn begin_sessions(server: &Server) {
    assert_eq!(server.create(r#"{"id": "small", "labels": {"team": "eggs"}}"#).status, 201);
    for _ in 0..2 {
        server.run_in("small", "print(1)");
    }
    assert_eq!(server.create(r#"{"id": "large"}"#).status, 201);
    let code = "import time; taken = b'x' * (100 << 20); time.sleep(60)";
    assert_eq!(server.ask("large", &json!({ "code": code, "detach": true })).status, 202);
    let has_it = || (server.look_at("large").json["memory_bytes"].as_u64()? > 100 << 20).then_some(());
    assert!(wait_for(Duration::from_secs(20), has_it).is_some(), "{:?}", server.look_at("large"));
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn once_prints_the_server_and_every_session() {
    let server = Server::with("--wall-seconds-max 60");
    begin_sessions(&server);
    let output = once(server.address);
    let text = String::from_utf8(output.stdout).expect("it is text");
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with(&format!("eggbox {} at http://127.0.0.1:", env!("CARGO_PKG_VERSION"))), "{text}");
    assert!(lines[1].starts_with("sessions: 1 running, 1 idle, 0 starting, 0 ended; memory "), "{text}");
    assert!(lines[2].starts_with("executions: 2; 1 running, 0 waiting; 0 requests refused"), "{text}");
    let headings = ["SESSION", "STATE", "RUNS", "MEMORY", "CPU", "AGE", "UNUSED", "LABELS"];
    assert_eq!(words(lines[4]), headings, "{text}");
    let [large, small] = [words(lines[5]), words(lines[6])];
    assert_eq!((&large[..3], large[4]), (&["large", "running", "1"][..], "MiB"), "{text}");
    assert!(large[3].parse::<f64>().is_ok_and(|mebibytes| mebibytes > 100.0), "{text}");
    assert_eq!((&small[..3], small.last()), (&["small", "idle", "2"][..], Some(&"team=eggs")), "{text}");
    assert_eq!(lines.len(), 7, "{text}");
}

/// The list of the server has a hundred to a page.
#[test]
fn sessions_beyond_a_page_are_there() {
    let server = Server::with("--sessions-max 110");
    for number in 0..102 {
        assert_eq!(server.create(&json!({ "id": format!("s{number}") }).to_string()).status, 201);
    }
    let text = String::from_utf8(once(server.address).stdout).expect("it is text");
    let mut shown: Vec<_> = text.lines().skip(5).filter_map(|line| line.split(' ').next()).collect();
    shown.sort_unstable();
    shown.dedup();
    assert_eq!(shown.len(), 102, "{text}");
}

#[test]
fn a_key_without_metrics_sees_its_sessions_and_is_told_what_is_missing() {
    let keys = Keys::new(["ann", "bob", "eve --metrics"]);
    let server = keys.setup("").start();
    for number in [0, 1] {
        let name = ["hers", "his"][number];
        let key = keys.text(number);
        let head = format!("authorization: Bearer {key}\r\ncontent-type: application/json\r\nconnection: close");
        let body = json!({ "id": name }).to_string();
        let length = body.len();
        let request = format!(
            "POST /v1/sessions HTTP/1.1\r\nhost: localhost\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        assert_eq!(client::send(server.address, request.as_bytes()).status, 201);
    }
    let once = |key: &str| {
        let url = format!("http://{}", server.address);
        let output = Command::new(BINARY).args(["top", "--once", "--url", &url]).env("EGGBOX_KEY", key).output();
        let output = output.expect("the binary can be run");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("it is text")
    };
    let seen = once(keys.text(0));
    assert!(seen.contains("the key may not read /metrics (`metrics = true` in its stanza)"), "{seen}");
    assert!(seen.lines().any(|line| line.starts_with("hers ")) && !seen.contains("his"), "{seen}");
    assert!(!seen.contains("sessions:"), "{seen}");
    let seen = once(keys.text(2));
    assert!(seen.contains("sessions: 0 running, 2 idle") && !seen.contains("hers"), "{seen}");
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
    let server = Server::with("--wall-seconds-max 60");
    begin_sessions(&server);
    let url = format!("http://{}", server.address);
    let arguments = ["-c", ON_A_TERMINAL, "team=eggs", BINARY, "top", "--interval", "0.1", "--url", &url];
    let output = Command::new(python::bare()).args(arguments).env("TERM", "xterm").output().expect("python can be run");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n", "{output:?}");
}
