//! Sessions that are made ahead: counted, as many as are asked for, and nothing of one in another.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::process::{nest_pid, wait_for};
use crate::python;
use crate::server::{Server, Setup};

/// What the server says of its pool.
fn pool(server: &Server, key: &str) -> u64 {
    server.get("/health").json["pools"]["default"][key].as_u64().expect("health tells of the pool")
}

fn wait_until(server: &Server, key: &str, is_so: impl Fn(u64) -> bool, wait_max: Duration) {
    let seen = wait_for(wait_max, || is_so(pool(server, key)).then_some(()));
    assert!(seen.is_some(), "{key} is {}: {}", pool(server, key), server.get("/health").json);
}

#[test]
fn a_session_that_was_ready_is_a_hit_and_one_that_was_not_is_a_miss() {
    let server = Server::with("--parked-sessions-min 1 --parked-sessions-max 1");
    wait_until(&server, "parked", |parked| parked == 1, Duration::from_secs(10));
    assert_eq!(server.run("print(1)").stdout(), "1\n");
    assert_eq!((pool(&server, "hits"), pool(&server, "misses")), (1, 0));
    let server = Server::with("--parked-sessions-max 0");
    assert_eq!(server.run("print(1)").stdout(), "1\n");
    let keys = ["parked", "wanted", "hits", "misses"];
    assert_eq!(keys.map(|key| pool(&server, key)), [0, 0, 0, 1]);
}

#[test]
fn more_are_kept_where_more_are_asked_for_and_fewer_again_later() {
    let server = Server::with("--parked-sessions-min 1 --parked-sessions-max 3 --sessions-max 64");
    wait_until(&server, "parked", |parked| parked == 1, Duration::from_secs(10));
    for _ in 0..25 {
        server.run("import os; os._exit(0)");
    }
    // How many exactly depends on how fast they were asked for; no more than allowed.
    wait_until(&server, "parked", |parked| parked > 1, Duration::from_secs(10));
    assert!(pool(&server, "wanted") <= 3);
    wait_until(&server, "parked", |parked| parked == 1, Duration::from_secs(60));
    assert_eq!(server.run("print(1)").stdout(), "1\n");
}

/// Everything that a program may take for random without having asked for it.
const RANDOM: &str = "\
import multiprocessing, random, secrets, ssl, tempfile, uuid
print(multiprocessing.current_process().authkey.hex())
print(random.random(), random.gauss(0, 1), random.getrandbits(64))
print(secrets.token_hex(8))
print(ssl.RAND_bytes(8).hex())
print(tempfile.mktemp())
print(uuid.uuid4())
";
const RANDOM_OF_NUMPY: &str = "\
import numpy as np
print(np.random.rand(), np.random.normal(), np.random.randint(1 << 40))
print(np.random.RandomState().rand(), np.random.default_rng().random())
";

#[test]
fn nothing_random_is_the_same_in_two_sessions() {
    for (python, code) in
        [(python::bare().to_owned(), RANDOM.to_owned()), (python::data(), format!("{RANDOM}{RANDOM_OF_NUMPY}"))]
    {
        // Of a pool, on demand, and in slots that are used again.
        for parked in ["--parked-sessions-max 8", "--parked-sessions-max 0"] {
            let setup = Setup { arguments: Vec::new(), ..Setup::with_python(&python) };
            let server = setup.option(parked).option("--sessions-max 2").start();
            let mut seen = BTreeSet::new();
            for _ in 0..12 {
                let session = server.session();
                let printed = session.print(&code);
                session.run("import os; os._exit(0)");
                for number in printed.split_whitespace() {
                    assert!(seen.insert(number.to_owned()), "{number} was seen before, {parked}: {printed}");
                }
            }
        }
    }
}

#[test]
fn a_seed_gives_what_it_gives_elsewhere() {
    let server = Server::data();
    let code =
        "import random, numpy as np\nrandom.seed(1); np.random.seed(1)\nprint(random.random(), np.random.rand())";
    assert_eq!(server.session().print(code), "0.13436424411240122 0.417022004702574\n");
}

#[test]
fn forks_of_a_session_are_repaired_as_those_of_any_program() {
    let server = Server::bare();
    let code = "\
import os, random, threading, logging, sys
log = logging.getLogger('x'); log.addHandler(logging.StreamHandler(sys.stdout))
order = []
os.register_at_fork(before=lambda: order.append('before'), after_in_child=lambda: order.append('child'),
                    after_in_parent=lambda: order.append('parent'))
lock = threading.Lock()
thread = threading.Thread(target=lambda: (lock.acquire(), threading.Event().wait(0.3), lock.release()))
thread.start()
reading, writing = os.pipe()
if os.fork() == 0:
    main = threading.main_thread()
    ok = main is threading.current_thread() and not lock.acquire(False)
    ok = ok and threading.active_count() == 1 and order == ['before', 'child']
    log.warning('from the child')
    os.write(writing, f'{ok} {random.random()}'.encode())
    os._exit(0)
os.wait(); thread.join()
child = os.read(reading, 100).decode().split()
print(child[0], float(child[1]) != random.random(), order)
";
    assert_eq!(server.session().print(code), "from the child\nTrue True ['before', 'parent']\n");
}

#[test]
fn nothing_of_the_making_is_seen() {
    let code = "\
import sys, os, linecache, threading, concurrent.futures, asyncio
loop = asyncio.get_event_loop()
task = loop.create_task(asyncio.sleep(0, 'slept'))
print(task.get_name(), loop.run_until_complete(task)); loop.close()
print(sorted(name for name in globals() if not name.startswith('__')))
print(sys.modules['__main__'].__dict__ is globals(), linecache.cache.keys() == {'execution 1'})
print(threading.active_count(), os.listdir('.'), os.listdir('/tmp'), sys.stdin.read())
print([stream.fileno() for stream in (sys.stdin, sys.stdout, sys.stderr)], sys.stdout.seekable(), sys.stdout.isatty())
print(threading.Thread().name, concurrent.futures.ThreadPoolExecutor()._thread_name_prefix)
print(len(os.listdir('/proc/self/fd')) < 9)
";
    let expected = "Task-1 slept\n['asyncio', 'concurrent', 'linecache', 'loop', 'os', 'sys', 'task', 'threading']\nTrue True\n1 [] [] \n\
                    [0, 1, 2] False False\nThread-1 ThreadPoolExecutor-0\nTrue\n";
    let ahead = Server::with("--parked-sessions-min 1 --parked-sessions-max 1");
    wait_until(&ahead, "parked", |parked| parked == 1, Duration::from_secs(10));
    let on_demand = Server::with("--parked-sessions-max 0");
    for (server, hits) in [(ahead, 1), (on_demand, 0)] {
        assert_eq!(server.session().print(code), expected);
        assert_eq!(pool(&server, "hits"), hits);
    }
}

#[test]
fn sessions_that_ended_with_their_nest_are_not_counted_and_made_anew() {
    let folder = python::own_folder();
    let interpreter = folder.path().join("python3");
    symlink(python::bare(), &interpreter).expect("a link can be made");
    let server = Setup::with_python(&interpreter).option("--parked-sessions-max 2").start();
    wait_until(&server, "parked", |parked| parked == 2, Duration::from_secs(10));
    let nest = Pid::from_raw(nest_pid(&interpreter).cast_signed()).expect("a pid is positive");
    kill_process(nest, Signal::KILL).expect("the nest can be killed");
    let is_new = || server.log().matches("nest is up").count() == 2;
    assert!(wait_for(Duration::from_secs(10), || is_new().then_some(())).is_some());
    // Of the new nest: those of the old one are gone from the moment that it is.
    let hit = wait_for(Duration::from_secs(20), || {
        let before = pool(&server, "hits");
        server.run("print(1)");
        (pool(&server, "hits") > before).then_some(())
    });
    assert!(hit.is_some(), "{}", server.get("/health").json);
}
