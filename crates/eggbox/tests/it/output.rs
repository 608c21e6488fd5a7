//! Much output: it arrives whole, or its head does and the rest is counted, and nobody else is hurt.

use std::time::{Duration, Instant};

use crate::server::Server;

/// A page, a pipe, what pipes hold at most by default in other set-ups, and orders beyond.
const SIZES: [usize; 7] = [4096, 65_536, 65_537, 196_608, 304_487, 1_000_000, 10_000_000];
/// More than is kept by default.
const MUCH: &str = "--output-bytes-max 16777216";

#[test]
fn every_size_arrives_whole_on_stdout() {
    let server = Server::with(MUCH);
    let session = server.session();
    for size in SIZES {
        let printed = session.print(&format!("print('x' * {}, end='\\n')", size - 1));
        assert_eq!((printed.len(), printed.trim_end().bytes().all(|byte| byte == b'x')), (size, true));
    }
}

#[test]
fn every_size_arrives_whole_on_stderr() {
    let server = Server::with(MUCH);
    let session = server.session();
    for size in SIZES {
        let answer = session.run(&format!("import os\nleft = {size}\nwhile left: left -= os.write(2, b'y' * left)"));
        assert_eq!((answer.stderr().len(), answer.stdout(), answer.error()), (size, "", ""));
    }
}

#[test]
fn both_streams_at_once_and_many_small_writes() {
    let code = "import sys\nfor n in range(50_000):\n    print(n)\n    print(n, file=sys.stderr)";
    let answer = Server::bare().run(code);
    let expected: String = (0..50_000).map(|n| format!("{n}\n")).collect();
    assert_eq!((answer.stdout() == expected, answer.stderr() == expected), (true, true), "{}", answer.error());
}

#[test]
fn a_child_writes_ten_megabytes() {
    let code = "import subprocess; subprocess.run('head -c 10000000 /dev/zero | tr \"\\\\0\" z', shell=True)";
    assert_eq!(Server::with(MUCH).session().print(code).len(), 10_000_000);
}

#[test]
fn what_is_over_the_limit_is_counted_and_dropped() {
    let server = Server::with("--output-bytes-max 1024");
    let session = server.session();
    let answer = session.run("import sys; print('x' * 1523); print('y' * 1023, file=sys.stderr)");
    assert_eq!((answer.status, answer.stdout().len(), answer.stderr().len()), (200, 1024, 1024));
    let error = "output limit exceeded: the first 1024 bytes of stdout were kept, 500 dropped; session state kept";
    assert_eq!(answer.error(), error);
    assert_eq!(session.print("print('fresh')"), "fresh\n");
    let answer = session.run("print('é' * 1000)");
    assert_eq!(answer.stdout(), "é".repeat(512));
}

#[test]
fn an_endless_loop_of_prints_hurts_nobody() {
    let server = Server::with("--wall-seconds-max 2 --output-bytes-max 1000000");
    let neighbour = server.session();
    neighbour.print("x = 5");
    std::thread::scope(|scope| {
        let endless = scope.spawn(|| server.run("while True: print('x' * 1000)"));
        let end = Instant::now() + Duration::from_millis(1500);
        while Instant::now() < end {
            let asked = Instant::now();
            assert_eq!(neighbour.print("print(x)"), "5\n");
            assert!(asked.elapsed() < Duration::from_secs(1), "a neighbour waited for {:?}", asked.elapsed());
        }
        let answer = endless.join().expect("the endless loop is answered");
        assert_eq!((answer.status, answer.stdout().len()), (200, 1_000_000));
        assert!(answer.error().starts_with("execution timeout: 2 s of wall time are over; output limit exceeded: "));
        assert!(answer.error().ends_with("; session state kept"), "{}", answer.error());
        assert!(answer.stderr().ends_with("KeyboardInterrupt\n"), "{}", answer.stderr());
    });
}
