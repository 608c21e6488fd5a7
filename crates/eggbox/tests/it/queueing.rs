//! One request at a time in a session, in order of arrival; sessions beside one another.

use std::time::Duration;

use crate::server::Server;

#[test]
fn requests_of_one_session_run_in_order_of_arrival() {
    let server = Server::bare();
    let session = server.session();
    session.print("import time; order = []; busy = False");
    std::thread::scope(|scope| {
        for n in 0..8 {
            let code = format!("assert not busy; busy = True; time.sleep(.2); order.append({n}); busy = False");
            let session = &session;
            scope.spawn(move || session.print(&code));
            // Enough for a request to be read, and less than each takes to run.
            std::thread::sleep(Duration::from_millis(60));
        }
    });
    assert_eq!(session.print("print(order)"), "[0, 1, 2, 3, 4, 5, 6, 7]\n");
}

#[test]
fn a_burst_of_requests_of_one_session_runs_one_at_a_time() {
    let server = Server::bare();
    let session = server.session();
    session.print("import time; count = 0");
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| session.print("seen = count; time.sleep(.02); count = seen + 1"));
        }
    });
    assert_eq!(session.print("print(count)"), "12\n");
}

#[test]
fn different_sessions_run_at_the_same_time() {
    let server = Server::bare();
    let code = "import time; start = time.monotonic(); time.sleep(.5); print(start, time.monotonic())";
    let spans: Vec<(f64, f64)> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..4).map(|_| scope.spawn(|| server.session().print(code))).collect();
        let span = |printed: String| {
            let (start, end) = printed.trim().split_once(' ').expect("two numbers are printed");
            (start.parse().expect("a number"), end.parse().expect("a number"))
        };
        running.into_iter().map(|running| span(running.join().expect("it is answered"))).collect()
    });
    let last_start = spans.iter().map(|span| span.0).fold(f64::MIN, f64::max);
    let first_end = spans.iter().map(|span| span.1).fold(f64::MAX, f64::min);
    assert!(last_start < first_end, "{spans:?}");
}

#[test]
fn requests_that_wait_for_a_session_that_ends_go_to_its_successor() {
    let server = Server::bare();
    let session = server.session();
    session.print("x = 1");
    std::thread::scope(|scope| {
        let last = scope.spawn(|| session.run("import os, time; time.sleep(.5); os._exit(1)"));
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(session.print("print('x' in globals())"), "False\n");
        assert!(last.join().expect("it is answered").error().contains("session state lost"));
    });
}

#[test]
fn a_client_that_goes_away_does_not_stop_its_code() {
    use std::io::Write;
    let server = Server::bare();
    let session = server.session();
    session.print("import time; done = False");
    let body = format!(r#"{{"id": "{}", "code": "time.sleep(.3); done = True"}}"#, session.id);
    let mut stream = std::net::TcpStream::connect(server.address).expect("the server accepts connections");
    stream.write_all(&crate::client::post(&body)).expect("the request is sent");
    std::thread::sleep(Duration::from_millis(100));
    drop(stream);
    assert_eq!(session.print("print(done)"), "True\n");
}
