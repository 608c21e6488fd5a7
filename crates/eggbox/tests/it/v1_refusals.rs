//! What is not answered under `/v1` has a code, a message and the request's id, whatever the reason; elsewhere a text.

use crate::client::{self, Answer};
use crate::server::Server;

fn send(server: &Server, first: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    let text = format!("{first} HTTP/1.1\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}");
    client::send(server.address, text.as_bytes())
}

const HOST: &str = "host: localhost\r\n";
const JSON: &str = "host: localhost\r\ncontent-type: application/json\r\n";

#[test]
fn every_refusal_under_v1_has_its_code() {
    let server = Server::with("--body-bytes-max 1024");
    let long = format!(r#"{{"id": "{}"}}"#, "x".repeat(2000));
    for (first, headers, body, status, code) in [
        ("GET /v1", HOST, "", 404, "no_such_route"),
        ("GET /v1/", HOST, "", 404, "no_such_route"),
        ("GET /v1/eggs", HOST, "", 404, "no_such_route"),
        ("GET /v1/sessions/%ff", HOST, "", 400, "invalid_session_id"),
        ("PUT /v1/sessions", HOST, "", 405, "method_not_allowed"),
        ("PUT /v1/sessions/a", HOST, "", 405, "method_not_allowed"),
        ("POST /v1/sessions/a/executions/last", HOST, "", 405, "method_not_allowed"),
        ("GET /v1/sessions/a%20b", HOST, "", 400, "invalid_session_id"),
        ("DELETE /v1/sessions/a%20b", HOST, "", 400, "invalid_session_id"),
        ("GET /v1/sessions/a%20b/executions/last", HOST, "", 400, "invalid_session_id"),
        ("GET /v1/sessions/none", HOST, "", 404, "no_such_session"),
        ("DELETE /v1/sessions/none", HOST, "", 404, "no_such_session"),
        ("GET /v1/sessions/none/executions/last", HOST, "", 404, "no_such_session"),
        ("POST /v1/sessions", HOST, "{}", 415, "unsupported_content_type"),
        ("POST /v1/sessions", JSON, &long, 413, "body_too_large"),
        ("POST /v1/sessions", "host: evil.example\r\n", "{}", 403, "foreign_request"),
        ("GET /v1/sessions/a", "host: localhost\r\norigin: null\r\n", "", 403, "foreign_request"),
    ] {
        let refused = send(&server, first, headers, body);
        let [found, message, _] = refused.refusal();
        assert_eq!((refused.status, found), (status, code), "{first}: {refused:?}");
        assert_eq!(refused.header("content-type"), Some("application/json"), "{first}");
        assert!(!message.is_empty(), "{first}");
    }
}

#[test]
fn elsewhere_a_refusal_is_a_text_as_ever() {
    let server = Server::bare();
    for (first, headers, status) in [
        ("GET /", HOST, 404),
        ("GET /v1x", HOST, 404),
        ("GET //v1/sessions", HOST, 404),
        ("GET /execute", HOST, 405),
        ("POST /execute", HOST, 415),
        ("POST /execute", JSON, 400),
        ("GET /health", "host: evil.example\r\n", 403),
    ] {
        let refused = send(&server, first, headers, "");
        assert_eq!((refused.status, refused.keys()), (status, vec!["error"]), "{first}: {refused:?}");
        assert!(!refused.error().is_empty(), "{first}");
    }
}
