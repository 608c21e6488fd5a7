//! The audit log: a line when code begins and one when it is over, whoever still listens, and never the code.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client;
use crate::exposition::scrape;
use crate::process::wait_for;
use crate::server::{BINARY, Server, Setup};

const WAIT_MAX: Duration = Duration::from_secs(20);

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder can be made")
}

fn audited(path: &Path) -> Server {
    Server::with(&format!("--audit-log {}", path.display()))
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("the audit log can be read");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn what_runs_is_written_down_with_its_digest_and_without_its_text() {
    let folder = folder();
    let path = folder.path().join("audit.jsonl");
    let server = audited(&path);
    let first = server.run_in("a", "print(1)");
    let code = "raise ValueError('kestrel-7c1f')";
    let second = server.run_in("a", code);
    // None of these is run.
    server.post(r#"{"code": 1}"#);
    server.get("/health");
    let written = lines(&path);
    assert_eq!(written.len(), 4, "{written:#?}");
    // By sha256sum(1).
    let digest = "d287bb7f9d15abdc5b6e98536263815744b6ef21c8f3c839fc434ca70d8efe99";
    for (line, answer, event, execution) in [
        (&written[0], &first, "started", 1),
        (&written[1], &first, "finished", 1),
        (&written[2], &second, "started", 2),
        (&written[3], &second, "finished", 2),
    ] {
        assert_eq!(line["request_id"].as_str(), answer.header("x-request-id"));
        assert_eq!(
            [&line["event"], &line["session"], &line["execution"]],
            [&json!(event), &json!("a"), &json!(execution)]
        );
        assert_eq!((&line["key"], line.get("outcome").is_some()), (&Value::Null, event == "finished"));
        let time = line["time"].as_str().expect("it has a time");
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    }
    assert_eq!([&written[0]["code_sha256"], &written[0]["code_bytes"]], [&json!(digest), &json!(8)]);
    assert_eq!([&written[1]["outcome"], &written[3]["outcome"]], ["ok", "exception"]);
    assert_eq!(written[3]["code_bytes"], code.len());
    assert!(written[3]["wall_ms"].as_u64().is_some());
    let text = fs::read_to_string(&path).expect("it can be read");
    assert!(!text.contains("kestrel") && !text.contains("print"), "{text}");
    assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_end_is_written_down_also_where_the_client_is_gone_or_the_session_is() {
    let folder = folder();
    let path = folder.path().join("audit.jsonl");
    let server = audited(&path);
    server.run_in("b", "import os; os._exit(3)");
    let code = "import time; time.sleep(0.5)";
    let mut client = TcpStream::connect(server.address).expect("the server accepts connections");
    client.write_all(&client::post(&json!({ "id": "a", "code": code }).to_string())).expect("it can be sent");
    let begun = wait_for(WAIT_MAX, || (lines(&path).len() == 3).then_some(()));
    drop(client);
    assert!(begun.is_some(), "{:#?}", lines(&path));
    let ended = wait_for(WAIT_MAX, || lines(&path).into_iter().nth(3));
    let ended = ended.expect("the end is written down");
    assert_eq!([&ended["event"], &ended["session"], &ended["outcome"]], ["finished", "a", "ok"]);
    assert_eq!(lines(&path)[1]["outcome"], "exited");
}

#[test]
fn large_code_and_what_was_there_before() {
    let folder = folder();
    let path = folder.path().join("audit.jsonl");
    fs::write(&path, "{}\n").expect("it can be written");
    let server = audited(&path);
    let code = format!("#{}\nprint(2)", "x".repeat(1_000_000));
    assert_eq!(server.run(&code).stdout(), "2\n");
    let written = lines(&path);
    assert_eq!((written.len(), &written[0], &written[2]["code_bytes"]), (3, &json!({}), &json!(code.len())));
}

#[test]
fn one_that_cannot_be_opened_stops_the_start_and_is_named() {
    let folder = folder();
    let inside = folder.path().join("no/such/folder");
    for path in [&inside, Path::new("/"), Path::new("/dev/null")] {
        let stopped = Setup::bare().option(&format!("--audit-log {}", path.display())).run_to_end();
        assert!(!stopped.status.success(), "{stopped:?}");
        let parts = [path.to_str().expect("text"), "audit_log"];
        assert!(parts.iter().all(|part| stopped.log.contains(part)), "{stopped:?}");
    }
}

#[test]
fn a_full_disk_stops_nothing_and_is_told() {
    if !rustix::process::geteuid().is_root() {
        println!("left out, as only root can make a small file system: a full disk and the audit log");
        return;
    }
    let folder = folder();
    let (small, wrapper) = (folder.path().join("small"), folder.path().join("eggbox"));
    fs::create_dir(&small).expect("a folder can be made");
    let script = format!(
        "#!/bin/sh\nexec unshare --mount sh -c 'mount -t tmpfs -o size=16k none {small} && exec {BINARY} \"$@\"' sh \"$@\"\n",
        small = small.display()
    );
    fs::write(&wrapper, script).expect("it can be written");
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("it can be made a program");
    let path = small.join("audit.jsonl");
    let setup = Setup { binary: wrapper, ..Setup::bare() };
    let server = setup.option(&format!("--audit-log {}", path.display())).start();
    let failures = || scrape(&server).get("eggbox_audit_failures_total", &[]);
    for number in 0..60 {
        assert_eq!(server.run_in("a", &format!("print({number})")).stdout(), format!("{number}\n"));
    }
    let failed = failures();
    assert!(failed > 0.0, "{}", server.log());
    assert_eq!(server.log().matches("the audit log cannot be written").count(), 1, "{}", server.log());
    // Within its own view of the file system.
    let seen = Path::new("/proc").join(server.pid().as_raw_nonzero().to_string()).join("root");
    let seen = seen.join(path.strip_prefix("/").expect("it is absolute"));
    let written = fs::read_to_string(&seen).expect("it can be read").lines().count();
    assert!(written > 20, "{written}");
    // As copytruncate does.
    fs::File::options().write(true).open(&seen).and_then(|file| file.set_len(0)).expect("it can be emptied");
    server.run_in("a", "print(1)");
    let after = lines_of_torn(&seen);
    assert_eq!(after.iter().map(|line| &line["event"]).collect::<Vec<_>>(), ["started", "finished"]);
    assert_eq!(failures().to_string(), failed.to_string());
    assert!(server.log().contains("can be written again"), "{}", server.log());
}

/// The line that could not be written whole may have left an empty one.
fn lines_of_torn(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("the audit log can be read");
    text.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).expect("JSON")).collect()
}
