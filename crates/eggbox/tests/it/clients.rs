//! What programs of others make of the server's interfaces: a validator of OpenAPI documents, a fuzzer that goes by one, and
//! Prometheus's own reader of metrics.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::client;
use crate::keys::Keys;
use crate::server::Server;

/// The interpreter of the environment with `environments/clients.txt`.
fn python() -> PathBuf {
    let named = std::env::var_os("EGGBOX_TEST_CLIENTS_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv-clients/bin/python3"));
    assert!(python.exists(), "{} is missing: `make test` makes the environment", python.display());
    python
}

/// The body of the answer, with these header lines in the request.
fn get(server: &Server, path: &str, headers: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}connection: close\r\n\r\n");
    client::send_for_text(server.address, request.as_bytes()).1
}

/// Runs this program with what the server answers to a GET of this path on its standard input.
fn read_by(program: &str, server: &Server, path: &str) -> String {
    let body = get(server, path, "");
    let mut command = Command::new(python());
    command.args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut reader = command.spawn().expect("python can be run");
    reader.stdin.take().expect("it is a pipe").write_all(body.as_bytes()).expect("it can be sent");
    let output = reader.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("it is text")
}

#[test]
fn the_document_is_valid() {
    let program = "import json, sys, openapi_spec_validator as v; v.validate(json.load(sys.stdin)); print('valid')";
    assert_eq!(read_by(program, &Server::bare(), "/openapi.json"), "valid\n");
}

const READ_METRICS: &str = "\
import sys
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        if sample.name == 'eggbox_executions_total' and sample.value:
            print(family.type, sample.labels, int(sample.value))
";

#[test]
fn metrics_are_read() {
    let server = Server::with("");
    server.run("print(1)");
    server.run("1/0");
    let expected = "counter {'outcome': 'ok'} 1\ncounter {'outcome': 'exception'} 1\n";
    assert_eq!(read_by(READ_METRICS, &server, "/metrics"), expected);
}

/// The routes that were asked for something and did it, as `METHOD /path`, by what the server counts.
fn routes_that_answered(server: &Server, key: &str) -> Vec<String> {
    let metrics = get(server, "/metrics", &format!("authorization: Bearer {key}\r\n"));
    let counts = metrics.lines().filter(|line| line.starts_with("eggbox_http_request_duration_seconds_count"));
    let answered = counts.filter(|line| line.contains("status=\"2xx\"") && !line.ends_with(" 0"));
    let parts = answered.map(|line| line.split('"').collect::<Vec<_>>());
    parts.map(|parts| format!("{} {}", parts[1], parts[3].replace("{*", "{"))).collect()
}

/// Runs the fuzzer on a server with these further options. It makes up requests from the document, valid ones and others, one
/// after the other and in sequences, and looks whether every answer is as documented, none a 500, what is valid is taken and
/// what is not is refused.
fn fuzz(server: &Server, key: &str, config: &str, options: &[&str]) {
    // So that a run can be repeated.
    let seed = std::env::var("EGGBOX_TEST_FUZZ_SEED").unwrap_or("7".to_owned());
    let folder = tempfile::tempdir().expect("a folder can be made");
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients");
    let url = format!("http://{}/openapi.json", server.address);
    let output = Command::new(python())
        .args(["-m", "schemathesis.cli", "--no-color", "--config-file"])
        .arg(files.join(config))
        .args(["run", &url, "-H", &format!("Authorization: Bearer {key}"), "--seed", &seed])
        .args(["--generation-database", ":memory:", "--request-timeout", "20"])
        .args(options)
        .env("SCHEMATHESIS_HOOKS", files.join("checks.py"))
        // It leaves what it found.
        .current_dir(folder.path())
        .output()
        .expect("python can be run");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("generated, "), "{said}\n{output:?}");
}

#[test]
fn a_fuzzer_that_goes_by_the_document_finds_nothing() {
    let keys = Keys::new(["ann --metrics"]);
    let server = keys.setup("--wall-seconds-max 0.5 --idle-seconds-max 5").start();
    fuzz(&server, keys.text(0), "schemathesis.toml", &["--max-examples", "15"]);
    // It would find nothing where it was refused everything.
    let answered = routes_that_answered(&server, keys.text(0));
    for route in ["POST /execute", "POST /v1/sessions", "GET /v1/sessions/{id}", "POST /v1/sessions/{id}/executions"] {
        assert!(answered.iter().any(|known| known == route), "{route}: {answered:?}");
    }
}

/// Sessions that it makes itself have seldom what it asks for next.
#[test]
fn nor_does_it_in_a_session_with_files_and_executions() {
    let keys = Keys::new(["ann --metrics"]);
    let server = keys.setup("--wall-seconds-max 0.5 --sessions-max 1").start();
    let key = keys.text(0);
    let code = json!({ "id": "kept", "code": "open('a', 'w').write('egg' * 100)" });
    let head = format!("host: localhost\r\nconnection: close\r\nauthorization: Bearer {key}");
    let body = code.to_string();
    let length = body.len();
    let head = format!("{head}\r\ncontent-type: application/json\r\ncontent-length: {length}");
    let request = format!("POST /execute HTTP/1.1\r\n{head}\r\n\r\n{body}");
    assert_eq!(client::send(server.address, request.as_bytes()).status, 200);
    let options =
        ["--phases", "fuzzing", "--max-examples", "25", "--include-path-regex", "/(executions|file|interrupt)"];
    fuzz(&server, key, "kept.toml", &options);
    let answered = routes_that_answered(&server, key);
    for route in [
        "POST /v1/sessions/{id}/executions",
        "GET /v1/sessions/{id}/executions/{n}",
        "GET /v1/sessions/{id}/executions/{n}/events",
        "PUT /v1/sessions/{id}/files/{path}",
        "GET /v1/sessions/{id}/files/{path}",
        "DELETE /v1/sessions/{id}/files/{path}",
    ] {
        assert!(answered.iter().any(|known| known == route), "{route}: {answered:?}");
    }
}
