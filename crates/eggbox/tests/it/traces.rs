//! Traces, in a build that has them: what a collector is sent of requests, and that nothing else depends on it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rustix::process::Signal;

use crate::client;
use crate::server::{BINARY, Server, Setup};

const WAIT_MAX: Duration = Duration::from_secs(30);
const CANARY: &str = "kestrel-7c1f";

/// Takes what is posted to /v1/traces, as a collector does (OTLP over HTTP, protobuf).
fn collector() -> (SocketAddr, Receiver<ExportTraceServiceRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let (sender, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(&stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert!(reader.read_line(&mut head).expect("a request is text") > 0, "{head}");
            }
            let head = head.to_ascii_lowercase();
            assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
            assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.and_then(|length| length.parse().ok()).expect("it has a length")];
            reader.read_exact(&mut body).expect("the body is whole");
            let _ = sender.send(ExportTraceServiceRequest::decode(&*body).expect("it is protobuf"));
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
            (&stream).write_all(head.as_bytes()).expect("it can be answered");
        }
    });
    (address, received)
}

/// A server that is told of a collector.
fn traced(collector: &str) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let wrapper = folder.path().join("eggbox");
    let script = format!("#!/bin/sh\nOTEL_EXPORTER_OTLP_ENDPOINT={collector} exec {BINARY} \"$@\"\n");
    std::fs::write(&wrapper, script).expect("it can be written");
    std::fs::set_permissions(&wrapper, PermissionsExt::from_mode(0o755)).expect("it can be made a program");
    (Setup { binary: wrapper, ..Setup::bare() }.start(), folder)
}

fn attributes(of: &[KeyValue]) -> BTreeMap<&str, String> {
    let text = |value: &AnyValue| match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    of.iter().map(|pair| (pair.key.as_str(), pair.value.as_ref().map(text).unwrap_or_default())).collect()
}

#[test]
fn every_request_is_a_span_in_the_trace_that_it_names() {
    let (address, received) = collector();
    let (server, _folder) = traced(&format!("http://{address}"));
    let first = server.run_in("a", &format!("print('{CANARY}')"));
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let head = format!(
        "GET /{CANARY} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntraceparent: 00-{trace}-b7ad6b7169203331-01\r\n\r\n"
    );
    assert_eq!(client::send(server.address, head.as_bytes()).status, 404);
    server.signal(Signal::TERM);
    let log = server.wait().log;
    let mut requests = Vec::new();
    while requests.iter().flat_map(spans).count() < 2 {
        requests.push(received.recv_timeout(WAIT_MAX).unwrap_or_else(|_| panic!("no traces have come: {log}")));
    }
    let resource = requests[0].resource_spans[0].resource.as_ref().expect("it says what it is");
    assert_eq!(attributes(&resource.attributes)["service.name"], "eggbox");
    let all: Vec<_> = requests.iter().flat_map(spans).collect();
    let [execute, nowhere] = all[..] else { panic!("{all:#?}") };
    let seen = attributes(&execute.attributes);
    assert_eq!(execute.name, "request");
    assert_eq!(
        ["method", "http.route", "http.response.status_code"].map(|name| &*seen[name]),
        ["POST", "/execute", "200"]
    );
    assert_eq!(Some(&*seen["id"]), first.header("x-request-id"));
    assert!(execute.end_time_unix_nano > execute.start_time_unix_nano && execute.parent_span_id.is_empty());
    assert_eq!(attributes(&nowhere.attributes)["http.response.status_code"], "404");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!([hex(&nowhere.trace_id), hex(&nowhere.parent_span_id)], [trace, "b7ad6b7169203331"]);
    assert!(!format!("{requests:?}").contains(CANARY), "{requests:#?}");
}

fn spans(request: &ExportTraceServiceRequest) -> impl Iterator<Item = &Span> {
    request.resource_spans.iter().flat_map(|resource| &resource.scope_spans).flat_map(|scope| &scope.spans)
}

#[test]
fn a_collector_that_is_not_there_holds_nothing_up() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free");
    let (server, _folder) = traced(&format!("http://{free}"));
    assert_eq!(server.run_in("a", "print(1)").stdout(), "1\n");
    server.signal(Signal::TERM);
    let stopped = server.wait();
    assert!(stopped.status.success() && stopped.log.contains("nest is up"), "{stopped:?}");
}
