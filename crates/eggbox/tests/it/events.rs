//! Executions as streams of events.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::process::wait_for;
use crate::server::{Server, Setup};
use crate::sse::{Event, Events, printed};

const KEPT: &str = "--abandoned-seconds-max 60";

/// A server with a session `a` that was made.
fn start(options: &str) -> Server {
    let server = Setup::bare().option(KEPT).option(options).start();
    assert_eq!(server.create(r#"{"id": "a"}"#).status, 201);
    server
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(Event::name).collect()
}

#[test]
fn events_come_as_they_happen_each_with_its_number() {
    let server = start("");
    let began = Instant::now();
    let code = "import sys, time\nprint('one'); time.sleep(0.4)\nprint('two', file=sys.stderr); time.sleep(0.4)\nprint('three')";
    let mut events = Events::of_new(server.address, "a", &json!({ "code": code }));
    let first = events.next_of("stdout");
    assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
    assert_eq!((first.id(), first.data()), ("1", json!({ "text": "one\n" })));
    let rest = events.rest();
    assert_eq!(names(&rest), ["stderr", "stdout", "finished"]);
    assert_eq!(rest.iter().map(Event::id).collect::<Vec<_>>(), ["2", "3", "4"]);
    let finished = rest[2].data();
    assert_eq!(
        (&finished["outcome"], &finished["execution"], &finished["session_state"]),
        (&json!("ok"), &json!(1), &json!("kept"))
    );
    let all = Events::after(server.address, "a", "1", None).rest();
    assert_eq!(names(&all), ["started", "stdout", "stderr", "stdout", "finished"]);
    assert_eq!(all[2..], rest[..]);
    // After any of them, and after the last.
    for (index, event) in all.iter().enumerate() {
        assert_eq!(Events::after(server.address, "a", "1", Some(event.id())).rest(), all[index + 1..]);
    }
    assert_eq!(Events::after(server.address, "a", "last", Some("1000")).rest(), []);
}

#[test]
fn a_stream_that_was_cut_goes_on_as_one_that_was_not_also_where_the_server_was_killed() {
    // Characters of every length, in pieces that have nothing to do with them, on both streams.
    let code = "\
import os, time
text = 'aé€🥚\\n' * 3000
data = text.encode()
for start in range(0, len(data), 37):
    os.write(1 + start % 2, data[start:start + 37])
    time.sleep(0.005)
os.write(1, b'\\xf0\\x9f')";
    let mut server = start("");
    server.ask("a", &json!({ "code": code, "detach": true }));
    let mut seen = Vec::new();
    let mut rounds = 0;
    while seen.last().is_none_or(|event: &Event| event.name() != "finished") {
        rounds += 1;
        assert!(rounds < 100, "{:?}", names(&seen));
        let last = seen.last().map(|event: &Event| event.id().to_owned());
        let mut events = Events::after(server.address, "a", "1", last.as_deref());
        for _ in 0..17 {
            let Some(event) = events.next() else { break };
            seen.push(event);
        }
        drop(events);
        if rounds % 3 == 1 && seen.last().is_some_and(|event| event.name() != "finished") {
            server = Setup::bare().option(KEPT).start_after(server.end_by(Signal::KILL));
        }
    }
    assert!(rounds > 3, "{rounds}");
    let uncut = Events::after(server.address, "a", "1", None).rest();
    assert_eq!(seen, uncut);
    let server = Setup::bare().option(KEPT).start_after(server.end_by(Signal::KILL));
    assert_eq!(Events::after(server.address, "a", "1", None).rest(), uncut);
    let whole = server.get("/v1/sessions/a/executions/1");
    // No character is cut by the events: what is none is the same in one piece.
    assert_eq!(
        (printed(&uncut, "stdout").as_str(), printed(&uncut, "stderr").as_str()),
        (whole.stdout(), whole.stderr())
    );
    assert!(whole.stdout().ends_with('\u{fffd}'), "{whole:?}");
}

#[test]
fn many_small_writes_are_one_line_and_a_line_without_an_end_comes_soon() {
    let server = start("");
    let code = "import time\nfor n in range(50): print(n, end='\\n')\nprint('so far', end=''); time.sleep(1)";
    let mut events = Events::of_new(server.address, "a", &json!({ "code": code }));
    let mut text = String::new();
    let began = Instant::now();
    while !text.ends_with("so far") {
        text.push_str(events.next_of("stdout").data()["text"].as_str().unwrap());
    }
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
    assert_eq!(text, (0..50).map(|n| format!("{n}\n")).collect::<String>() + "so far");
    // Not two for each: text and end of the line are written one after the other.
    let all = Events::after(server.address, "a", "1", None).rest();
    assert!(all.len() <= 54, "{}", all.len());
}

#[test]
fn events_of_what_was_asked_by_name_come_to_whoever_reads_them() {
    let server = start("");
    std::thread::scope(|scope| {
        let running = scope.spawn(|| server.run_in("a", "import time\nprint('one')\ntime.sleep(0.8)\nprint('two')"));
        let is_there = wait_for(Duration::from_secs(5), || {
            Some(server.get("/v1/sessions/a/executions/1")).filter(|answer| answer.stdout() == "one\n")
        });
        assert!(is_there.is_some());
        let began = Instant::now();
        let mut events = Events::after(server.address, "a", "1", None);
        assert_eq!(events.next_of("stdout").data()["text"], "one\n");
        assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
        assert_eq!(names(&events.rest()), ["stdout", "finished"]);
        assert_eq!(running.join().unwrap().stdout(), "one\ntwo\n");
    });
}

#[test]
fn a_stream_of_one_that_waits_begins_with_it_and_says_where_it_was_given_up() {
    let server = start("");
    server.ask("a", &json!({ "code": "import time; time.sleep(0.5)", "detach": true }));
    let begun = Events::of_new(server.address, "a", &json!({ "code": "print(1)" }));
    let given_up = Events::of_new(server.address, "a", &json!({ "code": "print(2)" }));
    assert_eq!(server.delete("a/executions/3").status, 202);
    assert_eq!(names(&begun.rest()), ["started", "stdout", "finished"]);
    let rest = given_up.rest();
    assert_eq!((names(&rest), &rest[0].data()["code"]), (vec!["error"], &json!("given_up")));
    assert_eq!(server.get("/v1/sessions/a/executions/3").status, 404);
}

#[test]
fn a_session_that_ends_says_so_in_the_stream_and_can_be_read_after() {
    let server = start("");
    let code = "import os; print('last', flush=True); os._exit(7)";
    let events = Events::of_new(server.address, "a", &json!({ "code": code })).rest();
    assert_eq!(names(&events), ["started", "stdout", "finished"]);
    let finished = events[2].data();
    assert_eq!((&finished["outcome"], &finished["session_state"]), (&json!("exited"), &json!("lost")));
    assert_eq!(Events::after(server.address, "a", "1", None).rest(), events);
    let server = Setup::bare().option(KEPT).start_after(server.end_by(Signal::KILL));
    assert_eq!(Events::after(server.address, "a", "1", None).rest(), events);
}

#[test]
fn a_thousand_streams_cost_little_and_who_does_not_read_holds_nobody_up() {
    let server = start("--connections-max 1100 --output-bytes-max 67108864 --wall-seconds-max 120");
    server.create(r#"{"id": "b"}"#);
    server.ask("a", &json!({ "code": "import time; time.sleep(6); print('x' * 6_000_000)", "detach": true }));
    let resident = || crate::process::resident_bytes(server.pid());
    let before = resident();
    // They get 6 MB each, and do not read it. Whoever reads gets all of it.
    let streams: Vec<Events> = (0..1000).map(|_| Events::after(server.address, "a", "1", None)).collect();
    let began = Instant::now();
    let more = Events::after(server.address, "a", "1", None);
    assert_eq!(printed(&more.rest(), "stdout").len(), 6_000_001);
    std::thread::sleep(Duration::from_millis(500));
    let grown = resident().saturating_sub(before);
    assert!(grown < 400 << 20, "{grown} bytes for {} streams", streams.len());
    assert!(began.elapsed() < Duration::from_secs(60));
    // Neither the code nor other clients wait for them.
    assert_eq!(server.get("/v1/sessions/a/executions/1?wait_seconds=30").text("state"), "finished");
    let began = Instant::now();
    assert_eq!(server.ask("b", &json!({ "code": "print(1)" })).stdout(), "1\n");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}
