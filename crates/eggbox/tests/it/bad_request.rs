//! Requests that are not answered 200: the exact status, and a message that names the field, the limit and the mend.

use crate::client::{self, Answer};
use crate::server::Server;

fn refused(answer: &Answer, status: u16, parts: &[&str], request: &str) {
    assert_eq!(answer.status, status, "{request}: {answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{request}");
    assert!(answer.header("x-request-id").is_some_and(|id| id.len() == 36), "{request}: {answer:?}");
    assert_eq!(answer.keys(), ["error"], "{request}");
    for part in parts {
        assert!(answer.error().contains(part), "{request}: {part:?} is not in {:?}", answer.error());
    }
}

fn check(server: &Server, request: &[u8], status: u16, parts: &[&str]) {
    refused(
        &client::send(server.address, request),
        status,
        parts,
        &String::from_utf8_lossy(&request[..request.len().min(300)]),
    );
}

/// A request with these lines in its head; `Connection: close` is added.
fn request(first: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("{first} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n\r\n{body}").into_bytes()
}

#[test]
fn a_body_that_is_no_request_is_400_and_says_why() {
    let server = Server::bare();
    let long = format!(r#"{{"code": "", "id": "{}"}}"#, "x".repeat(129));
    let cases: &[(&str, &[&str])] = &[
        ("", &["not valid JSON"]),
        ("print(1)", &["not valid JSON", "line 1 column 1"]),
        ("{\"code\": \"print(1)\"", &["not valid JSON"]),
        ("{'code': 'x'}", &["not valid JSON"]),
        (r#"{"code": "x"} x"#, &["not valid JSON", "trailing"]),
        (r#"{"code": "x", "code": "y"}"#, &["not valid JSON", "`code`"]),
        (r#"{"code": "\ud800"}"#, &["not valid JSON"]),
        ("[]", &["must be a JSON object", "{\"code\""]),
        ("\"code\"", &["must be a JSON object"]),
        ("null", &["must be a JSON object"]),
        ("1", &["must be a JSON object"]),
        ("{}", &["`code` is missing", "as a string"]),
        (r#"{"Code": "x"}"#, &["`code` is missing"]),
        (r#"{"code": null}"#, &["`code`"]),
        (r#"{"code": 1}"#, &["`code` must be a string", "a number"]),
        (r#"{"code": ["x"]}"#, &["`code` must be a string", "an array"]),
        (r#"{"code": {"x": 1}}"#, &["`code` must be a string", "an object"]),
        (r#"{"code": true}"#, &["`code` must be a string", "a boolean"]),
        (r#"{"code": "", "id": ""}"#, &["`id`", "empty", "1 to 128", "A-Z a-z 0-9 . _ -"]),
        (r#"{"code": "", "id": "a b"}"#, &["`id`", "A-Z a-z 0-9 . _ -", "byte 1"]),
        (r#"{"code": "", "id": "é"}"#, &["`id`", "A-Z a-z 0-9 . _ -", "byte 0"]),
        (r#"{"code": "", "id": "../x"}"#, &["`id`", "byte 2"]),
        (r#"{"code": "", "id": "a\n"}"#, &["`id`"]),
        (r#"{"code": "", "id": "a\u0000"}"#, &["`id`"]),
        (&long, &["`id`", "129", "128"]),
        (r#"{"code": "", "id": 7}"#, &["`id` must be a string"]),
        (r#"{"code": "", "session_id": 7}"#, &["`session_id` must be a string"]),
        (r#"{"code": "", "session_id": "a/b"}"#, &["`session_id`", "byte 1"]),
        (r#"{"code": "", "id": "a", "session_id": "b"}"#, &["`id` and `session_id`", "one of them"]),
    ];
    for (body, parts) in cases {
        check(&server, &client::post(body), 400, parts);
    }
    let deep = format!("{{\"code\": {}", "[".repeat(100_000));
    check(&server, &client::post(&deep), 400, &["not valid JSON"]);
}

#[test]
fn a_body_that_is_not_utf_8_is_400() {
    let mut bytes = client::post("{\"code\": \"....\"}");
    let end = bytes.len() - 3;
    bytes[end - 1] = 0xff;
    check(&Server::bare(), &bytes, 400, &["not valid JSON"]);
}

#[test]
fn a_body_that_ends_early_is_400() {
    use std::io::{Read, Write};
    let server = Server::bare();
    let mut stream = std::net::TcpStream::connect(server.address).expect("the server accepts connections");
    let head = request("POST /execute", "host: localhost\r\ncontent-type: application/json\r\ncontent-length: 99", "{");
    stream.write_all(&head).expect("the request is sent");
    stream.shutdown(std::net::Shutdown::Write).expect("the connection is half closed");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer is read");
    // Some peers close at once, so no answer is one too.
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn another_content_type_is_415() {
    let server = Server::bare();
    for kind in [
        "",
        "content-type:\r\n",
        "content-type: text/plain\r\n",
        "content-type: application/x-www-form-urlencoded\r\n",
        "content-type: multipart/form-data; boundary=x\r\n",
        "content-type: application/jsonp\r\n",
        "content-type: text/plain; application/json\r\n",
        "content-type: application/json; charset=utf-16\r\n",
        "content-type: application/json\r\ncontent-type: text/plain\r\n",
    ] {
        let bytes =
            request("POST /execute", &format!("host: localhost\r\n{kind}content-length: 13"), r#"{"code": "1"}"#);
        check(&server, &bytes, 415, &["Content-Type", "application/json"]);
    }
    for kind in ["Application/JSON", "application/json; charset=UTF-8", "application/json;charset=\"utf-8\""] {
        let headers = format!("host: localhost\r\ncontent-type: {kind}\r\ncontent-length: 13");
        assert_eq!(client::send(server.address, &request("POST /execute", &headers, r#"{"code": "1"}"#)).status, 200);
    }
}

#[test]
fn a_body_over_the_limit_is_413_however_it_is_sent() {
    let server = Server::with("--body-bytes-max 2048");
    let long = format!(r#"{{"code": "{}"}}"#, "#".repeat(4096));
    let parts = ["2048 bytes", "body_bytes_max"];
    check(&server, &client::post(&long), 413, &parts);
    let json = "host: localhost\r\ncontent-type: application/json\r\n";
    let chunked = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    check(&server, &request("POST /execute", &format!("{json}transfer-encoding: chunked"), &chunked), 413, &parts);
    let small_chunks: String = (0..500).map(|_| "a\r\n##########\r\n").collect();
    check(
        &server,
        &request("POST /execute", &format!("{json}transfer-encoding: chunked"), &(small_chunks + "0\r\n\r\n")),
        413,
        &parts,
    );
    let announced = format!("{json}content-length: 999999999\r\nexpect: 100-continue");
    check(&server, &request("POST /execute", &announced, ""), 413, &parts);
}

#[test]
fn the_limit_is_eight_mebibytes_and_itself_allowed() {
    let server = Server::bare();
    let (head, tail) = (r#"{"code": "print(1) #"#, r#""}"#);
    let body = |length: usize| format!("{head}{}{tail}", "x".repeat(length - head.len() - tail.len()));
    assert_eq!(server.post(&body(8 << 20)).stdout(), "1\n");
    check(&server, &client::post(&body((8 << 20) + 1)), 413, &["8388608 bytes", "body_bytes_max"]);
}

#[test]
fn an_unknown_path_is_404_and_a_wrong_method_405() {
    let server = Server::bare();
    for path in ["/", "/Execute", "/execute/", "/execute/x", "//execute", "/health/", "/%65xecute", "/../execute"] {
        check(
            &server,
            &request(&format!("POST {path}"), "host: localhost\r\ncontent-length: 0", ""),
            404,
            &["POST /execute", "GET /health"],
        );
    }
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "EGGS"] {
        let answer = client::send(server.address, &request(&format!("{method} /execute"), "host: localhost", ""));
        refused(&answer, 405, &[method, "`/execute`", "POST /execute"], method);
        assert_eq!(answer.header("allow"), Some("POST"));
    }
    assert_eq!(client::send(server.address, &request("GET /health?x=1", "host: localhost", "")).status, 200);
}

#[test]
fn a_foreign_host_or_origin_is_403() {
    let server = Server::bare();
    let port = server.address.port();
    let body = r#"{"code": "print(1)"}"#;
    let send = |headers: &str| {
        let headers = format!("{headers}\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
        client::send(server.address, &request("POST /execute", &headers, body))
    };
    for headers in [
        "x-no-host: 1",
        "host: evil.example",
        "host: evil.example:5000",
        "host: localhost.evil.example",
        "host: 127.0.0.1.evil.example",
        "host: 192.0.2.1",
        "host: localhost:99999",
        "host: ",
        "host: localhost\r\nhost: localhost",
        "host: localhost\r\norigin: http://evil.example",
        "host: localhost\r\norigin: null",
        "host: localhost\r\norigin: http://localhost:1",
        "host: localhost\r\norigin: file://",
        "host: localhost\r\norigin: http://localhost.evil.example",
        "host: localhost\r\norigin: http://localhost\r\norigin: http://localhost",
    ] {
        let mend = if headers.contains("evil") { "allowed_hosts" } else { "" };
        refused(&send(headers), 403, &[mend], headers);
    }
    for headers in [
        "host: localhost".to_owned(),
        format!("host: 127.0.0.1:{port}"),
        format!("host: [::1]:{port}"),
        format!("host: LOCALHOST.:{port}"),
        format!("host: localhost:{port}\r\norigin: http://localhost:{port}"),
        "host: localhost\r\norigin: http://localhost".to_owned(),
    ] {
        assert_eq!(send(&headers).status, 200, "{headers}");
    }
}

#[test]
fn allowed_hosts_widens_what_host_and_origin_may_be() {
    let server = Server::with("--allowed-hosts eggs.example,ham.example:8443");
    let status = |headers: &str| client::send(server.address, &request("GET /health", headers, "")).status;
    for headers in [
        "host: eggs.example",
        "host: eggs.example:1",
        "host: ham.example:8443",
        "host: localhost\r\norigin: https://eggs.example",
    ] {
        assert_eq!(status(headers), 200, "{headers}");
    }
    for headers in ["host: ham.example:1", "host: spam.example", "host: localhost\r\norigin: https://ham.example"] {
        assert_eq!(status(headers), 403, "{headers}");
    }
}

#[test]
fn every_answer_has_a_request_id_of_its_own() {
    let server = Server::bare();
    let id = |answer: Answer| answer.header("x-request-id").expect("there is one").to_owned();
    let first = id(server.post(r#"{"code": ""}"#));
    let second = id(server.post("{}"));
    assert!(first.len() == 36 && second.len() == 36 && first != second, "{first} {second}");
}

#[test]
fn bytes_that_are_no_http_do_no_harm() {
    use std::io::{Read, Write};
    let server = Server::bare();
    for bytes in [&b"\x16\x03\x01\x02\x00"[..], b"EGGS\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", &[b'x'; 200_000]] {
        let mut stream = std::net::TcpStream::connect(server.address).expect("the server accepts connections");
        let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(server.run("print(1)").stdout(), "1\n");
}

#[test]
fn a_head_may_have_64_kib() {
    let server = Server::bare();
    let head = |bytes: usize| format!("host: localhost\r\nx-filling: {}", "x".repeat(bytes));
    let ask = |bytes| client::send(server.address, &request("GET /health", &head(bytes), ""));
    assert_eq!(ask(60 << 10).status, 200);
    let refused = ask(65 << 10);
    assert_eq!((refused.status, refused.error().contains("limit of 65536 bytes")), (431, true), "{refused:?}");
}
