//! The OpenAPI document and the page made of it: as committed, whole, and true of what the server does.

use std::path::Path;

use serde_json::{Value, json};

use crate::client;
use crate::server::Server;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn get(server: &Server, path: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    client::send_for_text(server.address, request.as_bytes())
}

fn document(server: &Server) -> Value {
    serde_json::from_str(&get(server, "/openapi.json").1).expect("the document is JSON")
}

/// Updated, as other golden files are, by INSTA_UPDATE=always.
#[test]
fn the_document_is_the_one_in_docs() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let (head, served) = get(&Server::with(""), "/openapi.json");
    assert!(head.contains("content-type: application/json"), "{head}");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&golden, &served).expect("it can be written");
    }
    let golden = std::fs::read_to_string(golden).expect("it is there");
    let differs = golden.lines().zip(served.lines()).position(|(was, is)| was != is);
    assert!(
        golden == served,
        "docs/openapi.json is another from line {differs:?} (0 is the first): INSTA_UPDATE=always"
    );
}

#[test]
fn it_has_the_limits_of_this_server() {
    let server = Server::with("--wall-seconds-max 9 --processes-max 20 --cpu-seconds-max 8 --idle-seconds-max 30");
    let schemas = &document(&server)["components"]["schemas"];
    let limits = &schemas["CreateLimits"]["properties"];
    let most = ["wall_seconds", "processes", "cpu_seconds"].map(|field| limits[field]["maximum"].as_f64());
    assert_eq!(most, [Some(9.0), Some(20.0), Some(8.0)]);
    for (of, field, bounds) in [
        ("CreateSession", "idle_seconds", [1.0, 30.0]),
        ("ChangeSession", "idle_seconds", [1.0, 30.0]),
        ("AskExecution", "timeout_seconds", [0.01, 9.0]),
    ] {
        let schema = &schemas[of]["properties"][field];
        assert_eq!(["minimum", "maximum"].map(|bound| schema[bound].as_f64()), bounds.map(Some), "{of}.{field}");
    }
    // Every number that may be asked for has both ends.
    for field in limits.as_object().expect("there are limits").values() {
        assert!(field["minimum"].is_number() && field["maximum"].is_number(), "{field}");
    }
}

#[test]
fn it_names_nothing_that_is_not_there() {
    let document = document(&Server::bare());
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("there are paths") {
        for (method, operation) in methods.as_object().expect("a path has methods") {
            assert!(METHODS.contains(&method.as_str()), "{method} {path}");
            ids.push(operation["operationId"].as_str().expect("it has an id"));
            let responses = operation["responses"].as_object().expect("it has answers");
            assert!(responses.keys().any(|status| status.starts_with('2')) && responses.contains_key("500"), "{path}");
            assert!(operation["summary"].is_string() && operation["tags"].is_array(), "{method} {path}");
        }
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "{ids:?}");
    check_references(&document, &document);
}

fn check_references(value: &Value, document: &Value) {
    match value {
        Value::Object(members) => {
            if let Some(path) = members.get("$ref").and_then(Value::as_str) {
                let pointer = path.strip_prefix('#').unwrap_or_else(|| panic!("elsewhere: {path}"));
                assert!(document.pointer(pointer).is_some(), "{path}");
            }
            members.values().for_each(|member| check_references(member, document));
        }
        Value::Array(items) => items.iter().for_each(|item| check_references(item, document)),
        _ => {}
    }
}

#[test]
fn every_route_of_it_is_served_and_no_other_method() {
    let server = Server::bare();
    for (path, methods) in document(&server)["paths"].as_object().expect("there are paths") {
        let target = path.replace("{id}", "no-such-session").replace("{n}", "1").replace("{path}", "a/b");
        let ask = |method: &str| {
            let head = "host: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            client::send_for_text(server.address, format!("{method} {target} HTTP/1.1\r\n{head}").as_bytes())
        };
        for method in METHODS {
            let (head, body) = ask(&method.to_uppercase());
            let is_known = !head.starts_with("HTTP/1.1 405 ") && !body.contains("there is no `/");
            assert_eq!(is_known, methods.get(method).is_some(), "{method} {path}: {head} {body}");
        }
    }
}

#[test]
fn what_needs_a_key_says_what_is_answered_without_one() {
    let document = document(&Server::bare());
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    // A server without keys needs none.
    assert_eq!(document["security"], json!([{}, { "bearer": [] }]));
    let mut open = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("there are paths") {
        for (method, operation) in methods.as_object().expect("a path has methods") {
            let refusals = ["401", "429"].map(|status| operation["responses"].get(status).is_some());
            if operation["security"] == json!([]) {
                assert_eq!(refusals, [false; 2], "{method} {path}");
                open.push(path.as_str());
            } else {
                assert_eq!(refusals, [true; 2], "{method} {path}");
                assert!(operation.get("security").is_none(), "{method} {path}");
            }
        }
    }
    assert_eq!(open, ["/docs", "/health", "/openapi.json", "/ready"]);
}

#[test]
fn the_page_has_every_route_and_type_and_needs_nothing_else() {
    let server = Server::bare();
    let document = document(&server);
    let (head, page) = get(&server, "/docs");
    assert!(head.contains("content-type: text/html; charset=utf-8"), "{head}");
    assert!(head.contains("content-security-policy: default-src 'none';"), "{head}");
    for (path, methods) in document["paths"].as_object().expect("there are paths") {
        for method in methods.as_object().expect("a path has methods").keys() {
            assert!(page.contains(&format!(">{} {path}</h3>", method.to_uppercase())), "{method} {path}");
        }
    }
    for name in document["components"]["schemas"].as_object().expect("there are types").keys() {
        assert!(page.contains(&format!("<h3 id=\"{name}\">{name}</h3>")), "{name}");
    }
    for part in ["<script", "<link", "<img", "<iframe", "http://", "https://", "url(", "@import", "src="] {
        assert!(!page.contains(part), "{part}");
    }
    // Every link is to a place on the page.
    for target in page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        let id = target.strip_prefix('#').unwrap_or_else(|| panic!("elsewhere: {target}"));
        assert!(page.contains(&format!("id=\"{id}\"")), "{target}");
    }
}
