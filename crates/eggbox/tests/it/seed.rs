//! The examples of the project's first description, each sent by curl as a newcomer would.

use std::process::Command;

use serde_json::{Value, json};

use crate::server::Server;

fn curl(server: &Server, body: &str) -> Value {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--json", body])
        .arg(format!("http://{}/execute", server.address))
        .output()
        .expect("curl is installed (Debian: apt install curl)");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("the answer is JSON")
}

/// Takes the id out, which must be a UUID.
fn take_id(answer: &mut Value) -> String {
    let id = answer.as_object_mut().expect("the answer is an object").remove("id").expect("it has an id");
    let id = id.as_str().expect("the id is a string").to_owned();
    let groups: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12], "{id}");
    assert!(id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()), "{id}");
    id
}

#[test]
fn basic_code_execution() {
    let mut answer = curl(&Server::bare(), r#"{"code": "print('Hello, World!')"}"#);
    take_id(&mut answer);
    assert_eq!(answer, json!({ "stdout": "Hello, World!\n" }));
}

#[test]
fn persistent_interpreter_session() {
    let server = Server::bare();
    let mut first = curl(&server, r#"{"code": "x = 5"}"#);
    let id = take_id(&mut first);
    assert_eq!(first, json!({}));
    let second = curl(&server, &format!(r#"{{"id": "{id}", "code": "print(x)"}}"#));
    assert_eq!(second, json!({ "id": id, "stdout": "5\n" }));
}

#[test]
fn environment_hardening() {
    let mut answer = curl(&Server::bare(), r#"{"code": "import os; os.remove('file.txt')"}"#);
    take_id(&mut answer);
    assert_eq!(answer, json!({ "error": "[Errno 13] Permission denied: filesystem access restricted" }));
}

#[test]
fn the_default_address_is_the_one_described() {
    let help = Command::new(crate::server::BINARY).args(["serve", "--help"]).output().expect("the binary starts");
    assert!(String::from_utf8_lossy(&help.stdout).contains("[default: 127.0.0.1:5000]"));
}
