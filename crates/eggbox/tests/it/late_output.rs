//! Output of what an execution has left behind is never taken for that of a later one.

use std::time::Duration;

use rustix::process::Signal;

use crate::attacks::way::Way;
use crate::process::wait_for;
use crate::server::Setup;

/// A child that prints for as long as the test may take, and says in a file how far it is.
const PRINTER: &str = "\
import os, sys, time
progress = os.open('progress', os.O_RDWR | os.O_CREAT)
os.pwrite(progress, b'0000', 0)
if not os.fork():
    for n in range(600):
        os.write(1, b'late child\\n'); os.write(2, b'late child\\n')
        os.pwrite(progress, b'%04d' % n, 0)
        time.sleep(0.01)
    os._exit(0)
time.sleep(0.05)
";

#[test]
fn a_child_of_an_earlier_execution_is_not_heard_in_a_later_one_and_is_not_held_up() {
    for way in Way::possible() {
        let server = way.setup().start();
        let session = server.session();
        let own = session.run(PRINTER);
        assert!(own.stdout().contains("late child") && own.error().is_empty(), "{}: {own:?}", way.name());
        for _ in 0..10 {
            let answer = session.run("time.sleep(0.05); print('own'); print('own', file=sys.stderr)");
            assert_eq!((answer.stdout(), answer.stderr()), ("own\n", "own\n"), "{}: {answer:?}", way.name());
        }
        let progress = session.print("print(int(open('progress').read()) > 20)");
        assert_eq!(progress, "True\n", "{}", way.name());
        // Children of the later ones are theirs, and the past is past for each.
        let child = "import subprocess; print(subprocess.run(['echo', 'child'], capture_output=False).returncode)";
        assert_eq!(session.print(child), "child\n0\n", "{}", way.name());
    }
}

#[test]
fn a_child_that_floods_what_nobody_hears_hurts_nobody() {
    let server = Setup::bare().start();
    let session = server.session();
    // What it writes before that execution has ended is that one's, and may be more than it may have.
    session.run("import os\nif not os.fork():\n    while True: os.write(1, b'x' * 65536)\n");
    for _ in 0..5 {
        let answer = session.run("print('own')");
        assert_eq!((answer.stdout(), answer.error()), ("own\n", ""), "{answer:?}");
    }
}

#[test]
fn a_thread_of_an_earlier_execution_is_not_heard_in_a_later_one() {
    for way in Way::possible() {
        let server = way.setup().start();
        let session = server.session();
        let own = session.run(
            "import sys, threading, time\ndef late():\n    for _ in range(300):\n        print('late thread'); print('late thread', file=sys.stderr)\n        time.sleep(0.01)\nthreading.Thread(target=late, daemon=True).start()\ntime.sleep(0.1)",
        );
        assert!(own.stdout().contains("late thread"), "{}: {own:?}", way.name());
        for _ in 0..5 {
            let answer = session.run(
                "time.sleep(0.05)\nt = threading.Thread(target=print, args=('own thread',)); t.start(); t.join()\nprint('own')",
            );
            let expected = ("own thread\nown\n", "");
            assert_eq!((answer.stdout(), answer.stderr()), expected, "{}: {answer:?}", way.name());
        }
    }
}

#[test]
fn what_is_left_behind_is_not_heard_after_a_restart_and_goes_on() {
    let setup = || Setup::bare().option("--abandoned-seconds-max 100");
    let server = setup().start();
    server.run_in("a", PRINTER);
    let server = setup().start_after(server.end_by(Signal::KILL));
    for _ in 0..3 {
        let answer = server.run_in("a", "time.sleep(0.05); print('own')");
        assert_eq!((answer.stdout(), answer.stderr(), answer.error()), ("own\n", "", ""));
    }
    let at = || server.run_in("a", "print(open('progress').read())").stdout().trim().parse::<u32>().unwrap_or(0);
    let before = at();
    assert!(
        wait_for(Duration::from_secs(3), || (at() > before).then_some(())).is_some(),
        "the child was held up or ended"
    );
    assert_eq!(server.run_in("a", "import subprocess; subprocess.run(['echo', 'child'])").stdout(), "child\n");
}

#[test]
fn a_pool_that_is_kept_is_heard_when_it_is_given_work() {
    for way in Way::possible() {
        let server = way.setup().start();
        let session = server.session();
        let setup = "import asyncio, concurrent.futures as f\npool = f.ThreadPoolExecutor(2)\npool.submit(print, 'one').result()\nawait asyncio.to_thread(print, 'two')";
        assert_eq!(session.print(setup), "one\ntwo\n", "{}", way.name());
        for _ in 0..3 {
            let again = "pool.submit(print, 'three').result()\nawait asyncio.to_thread(print, 'four')";
            assert_eq!(session.print(again), "three\nfour\n", "{}", way.name());
        }
    }
}
