//! Forks of sessions: that they go on as the one that they are of, that nothing is theirs together, and what cannot be forked.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::attacks::way::Way;
use crate::checkpoints::{begin, fork_to, hibernate, printed};
use crate::client::Answer;
use crate::keys::{Keys, ask as ask_with_key};
use crate::process::{resident_bytes, wait_for};
use crate::python;
use crate::server::{Server, Setup};

const KEPT: &str = "--abandoned-seconds-max 60";

fn fork(server: &Server, id: &str, body: &Value) -> Answer {
    server.send("POST", &format!("/v1/sessions/{id}/fork"), &body.to_string())
}

#[test]
fn tables_and_arrays_go_on_too() {
    let server = Server::data();
    let code = "\
import numpy as np, pandas as pd
frame = pd.DataFrame({'k': np.arange(50_000) % 7, 'v': np.arange(50_000.0), 's': [str(i) for i in range(50_000)]})
array = np.arange(3_000_000)
groups = iter(frame.groupby('k'))
next(groups)
view = array[::2]";
    begin(&server, "a", code);
    let look = "\
name, group = next(groups)
print(name, group.v.sum(), frame.groupby('k').v.mean().round(3).tolist(), array.sum(), view.base is array, len(frame.s.unique()))
array[0] += 1; frame.loc[0, 'v'] += 1";
    let made = fork(&server, "a", &json!({ "count": 3 }));
    assert_eq!(made.status, 201, "{made:?}");
    let children: Vec<_> =
        made.json["sessions"].as_array().expect("a list").iter().map(|one| one["id"].as_str()).collect();
    let first = printed(&server, "a", look);
    for child in children.into_iter().flatten() {
        assert_eq!(printed(&server, child, look), first);
    }
    let second = printed(&server, "a", look);
    assert_ne!(second, first);
    // One of what shows an image itself.
    fork_to(&server, "a", "b");
    fork_to(&server, "b", "c");
    assert_eq!(printed(&server, "c", look), printed(&server, "a", look));
}

#[test]
fn a_fork_is_what_its_session_was_and_nothing_is_theirs_together() {
    let server = Setup::bare().option(KEPT).start();
    let made = json!({
        "id": "a", "labels": { "team": "x" }, "env": { "TOKEN": "t" }, "policy": { "files": "full" },
        "limits": { "memory_bytes": 200 << 20, "wall_seconds": 5 }, "idle_seconds": 60,
    });
    assert_eq!(server.create(&made.to_string()).status, 201);
    printed(&server, "a", "import os; x = 1; open('f', 'w').write('a'); os.symlink('f', 'link')");
    let before = server.look_at("a");
    let forked = fork(&server, "a", &json!({ "ids": ["b", "c"] }));
    assert_eq!(forked.status, 201, "{forked:?}");
    let [b, c] = [0, 1].map(|index| forked.json["sessions"][index].clone());
    assert_eq!((&b["id"], &c["id"], &b["parent"]), (&json!("b"), &json!("c"), &json!("a")));
    for field in ["limits", "labels", "policy", "environment", "idle_seconds", "ttl_seconds"] {
        assert_eq!(
            (&b[field], &server.look_at("c").json[field]),
            (&before.json[field], &before.json[field]),
            "{field}"
        );
    }
    // Each has its own of everything.
    for (id, value) in [("a", 10), ("b", 20), ("c", 30)] {
        printed(&server, id, &format!("x += {value}; open('f', 'a').write(str(x)); os.environ['X'] = str(x)"));
    }
    for (id, value) in [("a", 11), ("b", 21), ("c", 31)] {
        let seen = printed(&server, id, "print(x, open('link').read(), os.environ['X'], os.environ['TOKEN'])");
        assert_eq!(seen, format!("{value} a{value} {value} t\n"), "{id}");
    }
    // What was asked for holds for each.
    let large = server.ask("b", &json!({ "code": "block = bytearray(300 << 20)" }));
    assert_eq!(large.text("outcome"), "out_of_memory", "{large:?}");
    assert!(server.ask("c", &json!({ "code": "while True: pass" })).error().contains("5 s of wall time"));
    printed(&server, "b", "os.remove('f')");
    // The end of one is not that of another, whoever is older.
    server.delete("a");
    assert_eq!(printed(&server, "b", "print(x)"), "21\n");
    // A fresh interpreter has the variables that its session was made with.
    assert_eq!(server.send("POST", "/v1/sessions/b/restart", "{}").status, 200);
    assert_eq!(printed(&server, "b", "import os; print(os.environ['TOKEN'], 'x' in globals())"), "t False\n");
    // So does everything outlive the server.
    let server = Setup::bare().option(KEPT).start_after(server.end_by(Signal::KILL));
    assert_eq!(printed(&server, "c", "print(x)"), "31\n");
    assert_eq!(server.look_at("c").text("parent"), "a");
    fork_to(&server, "c", "d");
    assert_eq!(printed(&server, "d", "print(x)"), "31\n");
}

#[test]
fn wherever_sessions_see_what_they_have_they_can_be_forked() {
    for way in Way::possible() {
        let server = way.setup().start();
        let code = "\
import fcntl, os, tempfile
for name in 'zyx': open(name, 'w').close()
x = [5]; f = open('f', 'w+'); f.write('kept'); f.flush(); fcntl.lockf(f, fcntl.LOCK_EX)
number = os.fstat(f.fileno()).st_ino";
        begin(&server, "a", code);
        let forked = fork(&server, "a", &json!({ "ids": ["b"] }));
        if way.is_reduced() {
            let message = forked.refusal()[1];
            assert_eq!((forked.status, forked.refusal()[0]), (409, "not_checkpointable"), "{}", way.name());
            assert!(message.contains("--isolation reduced"), "{}: {message}", way.name());
            assert_eq!(printed(&server, "a", "print(x)"), "[5]\n", "{}", way.name());
            continue;
        }
        assert_eq!(forked.status, 201, "{}: {forked:?}", way.name());
        let code = "x.append(f.tell()); f.seek(0); print(x, f.read(), os.getuid() > 0, tempfile.mkdtemp()[:5], os.getpid(), os.fstat(f.fileno()).st_ino == number)";
        assert_eq!(printed(&server, "b", code), "[5, 4] kept True /tmp/ 1 True\n", "{}", way.name());
    }
}

/// What of the wall can be seen from inside.
const WALL: &str = "\
import os, socket, ctypes
status = dict(line.split(':', 1) for line in open('/proc/self/status').read().splitlines())
print([status[name].strip() for name in ('NoNewPrivs', 'Seccomp', 'CapEff', 'CapBnd', 'Groups', 'Threads')])
print(sorted(os.listdir('/proc/self/fd')), os.getuid(), sorted(pid for pid in os.listdir('/proc') if pid.isdigit()))
for attempt in (
    lambda: socket.create_connection(('192.0.2.1', 80), timeout=1),
    lambda: open('/etc/shadow'),
    lambda: os.remove('kept'),
    lambda: os.listdir('/root'),
    lambda: os.setuid(0),
):
    try: print(attempt())
    except OSError as error: print(type(error).__name__, error.errno)
libc = ctypes.CDLL(None, use_errno=True)
print([(libc.syscall(number, 0, 0, 0, 0, 0), ctypes.get_errno()) for number in (101, 165, 321, 323, 425)])
try: os.kill(2, 0)
except OSError as error: print(error.errno)";

#[test]
fn the_wall_around_a_fork_is_that_around_every_session() {
    let server = Setup::bare().option("--parked-sessions-max 2").start();
    begin(&server, "a", "open('kept', 'w').close()");
    fork_to(&server, "a", "b");
    fork_to(&server, "b", "c");
    let around = printed(&server, "a", WALL);
    for id in ["b", "c"] {
        let own = printed(&server, id, WALL);
        // All but the uid, which is each one's own.
        let without_uid = |text: &str| {
            let lines = text.lines().enumerate().map(|(number, line)| match number {
                1 => {
                    line.split(']').next().unwrap_or_default().to_owned() + line.rsplit('[').next().unwrap_or_default()
                }
                _ => line.to_owned(),
            });
            lines.collect::<Vec<_>>()
        };
        assert_eq!(without_uid(&own), without_uid(&around), "{id}");
        assert_ne!(own, around, "{id}");
    }
    // Neither sees the other.
    printed(
        &server,
        "b",
        "secret = 'marker-of-b'; open('/tmp/secret', 'w').write(secret); open('secret', 'w').write(secret)",
    );
    let search = "print([name for folder in ('/tmp', '/workspace', '/dev/shm') for name in os.listdir(folder)], 'secret' in globals())";
    assert_eq!(printed(&server, "c", search), "['kept'] False\n");
}

#[test]
fn what_is_random_is_not_the_same_twice() {
    let server = Server::data();
    begin(
        &server,
        "random-a",
        "import random, secrets, ssl, tempfile, uuid, numpy as np; random.seed(5); np.random.seed(5)",
    );
    let forked = fork(&server, "random-a", &json!({ "ids": ["random-b", "random-c"] }));
    assert_eq!(forked.status, 201, "{forked:?}");
    let look = "print(random.random(), np.random.rand(), np.random.default_rng().random(), uuid.uuid4(), secrets.token_hex(), \
                ssl.RAND_bytes(8).hex(), tempfile.mktemp())";
    let [b, c, a] = ["random-b", "random-c", "random-a"].map(|id| printed(&server, id, look));
    for (one, other) in [(&a, &b), (&a, &c), (&b, &c)] {
        let pairs = one.split_whitespace().zip(other.split_whitespace());
        assert!(pairs.clone().count() == 7 && pairs.clone().all(|(one, other)| one != other), "{one}{other}");
    }
    let generation = "import os; print(os.environ.get('EGGBOX_GENERATION'))";
    fork_to(&server, "random-b", "random-d");
    assert_eq!(
        ["random-a", "random-b", "random-d"].map(|id| printed(&server, id, generation)),
        ["None\n", "1\n", "2\n"]
    );
}

#[test]
fn what_cannot_be_carried_is_refused_by_name_and_stays() {
    let server = Setup::bare().option(KEPT).start();
    let late = "import threading, time, socket, subprocess, os, mmap, asyncio, select, multiprocessing\n";
    for (code, says, after) in [
        (
            "e = threading.Event()\nt = [threading.Thread(target=e.wait, name=f'waits-{i}') for i in (1, 2)]\n[x.start() for x in t]",
            "2 threads are running: waits-1, waits-2",
            "e.set(); [x.join() for x in t]",
        ),
        ("s = socket.socket()", "a socket is open on descriptor", "s.close()"),
        ("r, w = os.pipe()", "a pipe is open on descriptor", "os.close(r); os.close(w)"),
        ("p = select.epoll()", "an eventpoll is open on descriptor", "p.close()"),
        ("p = subprocess.Popen(['sleep', '60'])", "(sleep) is alive", "p.kill(); p.wait()"),
        ("m = mmap.mmap(-1, 4096)", "memory that is shared with others is mapped", "m.close()"),
        (
            "f = open('/tmp/gone', 'w'); os.remove('/tmp/gone'); f.truncate(66 << 20)",
            "the deleted file /tmp/gone, with more than 67108864 bytes, is open",
            "f.close()",
        ),
        (
            "f = os.memfd_create('x'); os.ftruncate(f, 65 << 20)",
            "the file in memory /memfd:x, with more than 67108864 bytes, is open on descriptor",
            "os.close(f)",
        ),
        (
            "m = open('mapped', 'w+b'); m.write(b'x' * 4096); m.flush(); v = mmap.mmap(m.fileno(), 0, access=mmap.ACCESS_READ)",
            "/workspace/mapped is mapped",
            "v.close(); m.close()",
        ),
        (
            "import ctypes; c = ctypes.CDLL(None); t = ctypes.c_void_p(); c.timer_create(1, None, ctypes.byref(t))",
            "it has a timer of timer_create",
            "c.timer_delete(t)",
        ),
        (
            "import fcntl; f = open(os.__file__); fcntl.flock(f, fcntl.LOCK_EX)",
            "is of a file that is not the session's alone",
            "f.close()",
        ),
        (
            "pid = os.fork()\nif pid == 0: os._exit(3)\ntime.sleep(0.3)",
            "has ended and has not been waited for",
            "os.waitpid(pid, 0)",
        ),
        (
            "loop = asyncio.get_running_loop(); r, w = socket.socketpair(); loop.add_reader(r, print); await asyncio.sleep(0)",
            "an event loop watches descriptors",
            "loop.remove_reader(r); r.close(); w.close()",
        ),
    ] {
        assert_eq!(server.create(r#"{"id": "a", "policy": {"files": "full"}}"#).status, 201);
        printed(&server, "a", &format!("{late}{code}\nx = 5"));
        let refused = fork(&server, "a", &json!({ "ids": ["b"] }));
        assert_eq!((refused.status, refused.refusal()[0]), (409, "not_checkpointable"), "{code}: {refused:?}");
        assert!(refused.refusal()[1].contains(says), "{code}: {refused:?}");
        assert_eq!(server.look_at("b").status, 404, "{code}");
        // It goes on, and can be forked when that is over.
        assert_eq!(printed(&server, "a", &format!("print(x)\n{after}")), "5\n", "{code}");
        let forked = wait_for(Duration::from_secs(5), || {
            Some(fork(&server, "a", &json!({ "ids": ["b"] }))).filter(|forked| forked.status == 201)
        });
        assert!(forked.is_some(), "{code}: {:?}", fork(&server, "a", &json!({ "ids": ["c"] })));
        assert_eq!(printed(&server, "b", "print(x)"), "5\n", "{code}");
        server.delete("a");
        server.delete("b");
    }
}

#[test]
fn what_code_has_made_of_its_limits_and_its_place_goes_along() {
    let server = Setup::bare().option(KEPT).start();
    let look = "\
import os, resource
names = sorted(name for name in dir(resource) if name.startswith('RLIMIT_') and name != 'RLIMIT_DATA')
print([resource.getrlimit(getattr(resource, name)) for name in names], os.nice(0), os.sched_getaffinity(0), os.sched_getscheduler(0))
soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
print(hard - soft)";
    let limited = r#"{"id": "a", "limits": {"memory_bytes": 209715200, "processes": 20}}"#;
    assert_eq!(server.create(limited).status, 201);
    let begun = printed(&server, "a", look);
    fork_to(&server, "a", "as-begun");
    assert_eq!(printed(&server, "as-begun", look), begun);
    let change = "\
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (20, 30))
resource.setrlimit(resource.RLIMIT_CPU, (500, resource.RLIM_INFINITY))
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 9 << 30))
resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, resource.getrlimit(resource.RLIMIT_STACK)[1]))
resource.setrlimit(resource.RLIMIT_DATA, (resource.getrlimit(resource.RLIMIT_DATA)[0] - (1 << 20), resource.getrlimit(resource.RLIMIT_DATA)[1]))
os.nice(3)
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))";
    printed(&server, "a", change);
    let changed = printed(&server, "a", look);
    assert!(changed.contains("(20, 30)") && changed.contains(" 3 {"), "{changed}");
    fork_to(&server, "a", "b");
    fork_to(&server, "b", "c");
    for id in ["a", "b", "c"] {
        assert_eq!(printed(&server, id, look), changed, "{id}");
        // They are the kernel's.
        let full = "\
import os
opened = []
try:
    while True: opened.append(os.open('/dev/null', 0))
except OSError as error: print(error.errno, len(opened) < 20)
[os.close(one) for one in opened]";
        assert_eq!(printed(&server, id, full), "24 True\n", "{id}");
        // What is put by for when memory runs out is put by again afterwards, and the limit is what code has made of it.
        let out = "\
try: x = bytearray(150 << 20); x = bytearray(190 << 20)
except MemoryError: print('out')";
        assert_eq!(printed(&server, id, out), "out\n", "{id}");
        assert_eq!(printed(&server, id, look), changed, "{id}");
    }
    // One with less keeps its less.
    let taken = server.send("POST", "/v1/sessions/c/checkpoints", r#"{"name": "there"}"#);
    assert_eq!(taken.status, 201, "{taken:?}");
    let less = r#"{"id": "less", "checkpoint": "there", "limits": {"processes": 10}}"#;
    assert_eq!(server.create(less).status, 201);
    let seen = printed(&server, "less", look);
    assert!(changed.contains("(20, 20)") && seen.contains("(10, 10)"), "{seen}");
    assert_eq!(seen.replace("(10, 10)", "(20, 20)"), changed);
}

#[test]
fn locks_on_files_are_held_on_both_sides() {
    let server = Server::bare();
    let code = "\
import fcntl, os, sqlite3
files = {name: open(name, 'w+b') for name in ('part', 'whole', 'deleted', 'twice')}
os.remove('deleted')
fcntl.lockf(files['part'], fcntl.LOCK_EX, 10, 5)
fcntl.lockf(files['deleted'], fcntl.LOCK_EX)
fcntl.flock(files['whole'], fcntl.LOCK_SH)
fcntl.flock(files['twice'], fcntl.LOCK_EX)
again = os.dup(files['twice'].fileno())
db = sqlite3.connect('db'); db.execute('create table t(x)'); db.commit()
db.execute('insert into t values(1)')
def ask(wish, path):
    # Another process is in the way of none of its own.
    pid = os.fork()
    if pid == 0:
        try:
            with open(path, 'r+b') as file: wish(file)
            os._exit(0)
        except OSError: os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
def look():
    part = lambda file, start: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, start)
    whole = lambda kind: lambda file: fcntl.flock(file, kind | fcntl.LOCK_NB)
    return ([ask(lambda file: part(file, start), 'part') for start in (4, 5, 14, 15)],
        ask(lambda file: part(file, 0), f'/proc/self/fd/{files[\"deleted\"].fileno()}'),
        [ask(whole(kind), 'whole') for kind in (fcntl.LOCK_SH, fcntl.LOCK_EX)], ask(whole(fcntl.LOCK_SH), 'twice'),
        ask(lambda file: part(file, (1 << 30) + 1), 'db'))";
    assert_eq!(server.create(r#"{"id": "locks-a", "policy": {"files": "full"}}"#).status, 201);
    printed(&server, "locks-a", code);
    let held = "([0, 1, 1, 0], 1, [0, 1], 1, 1)\n";
    let look = "print(look())";
    assert_eq!(printed(&server, "locks-a", look), held);
    fork_to(&server, "locks-a", "locks-b");
    fork_to(&server, "locks-b", "locks-c");
    for id in ["locks-a", "locks-b", "locks-c"] {
        assert_eq!(printed(&server, id, look), held, "{id}");
    }
    assert_eq!(printed(&server, "locks-c", "db.rollback(); print(look()[4])"), "0\n");
    // Where what is asked for is refused, they are held, too.
    printed(&server, "locks-a", "import socket; s = socket.socket()");
    assert_eq!(fork(&server, "locks-a", &json!({})).status, 409);
    assert_eq!(printed(&server, "locks-a", look), held);
}

#[test]
fn databases_in_files_are_still_theirs() {
    let server = Setup::bare().option(KEPT).start();
    let code = "\
import os, sqlite3
def numbers(folder, count):
    # Each has a number that is never given to another.
    for _ in range(count):
        open(f'{folder}/passing', 'w').close(); os.remove(f'{folder}/passing')
def begin(folder):
    numbers(folder, 7)
    os.makedirs(f'{folder}/a/b')
    made = sqlite3.connect(f'{folder}/a/b/db')
    numbers(folder, 500)
    made.execute('create table t(x)')
    return made
dbs = [begin(folder) for folder in ('/workspace', '/tmp')]
others = [open(f'/workspace/{name}', 'w') for name in ('z', 'y', 'x')]
numbers('/workspace', 100)
def look():
    for db in dbs:
        db.execute('insert into t values(1)'); db.commit()
    kept = [(os.stat(path).st_ino, os.fstat(file.fileno()).st_ino) for path, file in zip(('z', 'y', 'x'), others)]
    return [db.execute('select count(*) from t').fetchone()[0] for db in dbs], kept";
    assert_eq!(server.create(r#"{"id": "a", "policy": {"files": "full"}}"#).status, 201);
    printed(&server, "a", code);
    let ask = |id: &str| printed(&server, id, "print(*look())");
    let first = ask("a");
    let nth = |count: u32| first.replace("[1, 1]", &format!("[{count}, {count}]"));
    assert!(first.contains("[1, 1]"), "{first}");
    fork_to(&server, "a", "b");
    fork_to(&server, "b", "c");
    assert_eq!(["a", "b", "c"].map(ask), [2, 2, 2].map(nth));
    let ask_for = |path: &str, body: &str| {
        let answer = server.send("POST", path, body);
        assert!(answer.status < 300, "{path}: {answer:?}");
    };
    ask_for("/v1/sessions/c/checkpoints", r#"{"name": "there"}"#);
    assert_eq!(ask("c"), nth(3));
    ask_for("/v1/sessions/c/restore", r#"{"checkpoint": "there"}"#);
    ask_for("/v1/sessions", r#"{"id": "d", "checkpoint": "there"}"#);
    for id in ["c", "d"] {
        ask_for(&format!("/v1/sessions/{id}/hibernate"), "{}");
        assert_eq!(ask(id), nth(3), "{id}");
    }
    // More than anybody waits for.
    printed(&server, "a", "numbers('/workspace', 20_500); late = open('late', 'w')");
    fork_to(&server, "a", "e");
    assert_eq!(ask("e"), nth(3));
    assert_eq!(printed(&server, "e", "print(late.write('x'), os.fstat(late.fileno()).st_ino > 10_000)"), "1 False\n");
}

#[test]
fn sessions_in_every_extremity_are_taken_or_refused_and_go_on() {
    let server = Setup::bare().option(KEPT).start();
    let full = |id: &str, memory_mib: u64| {
        let limits = json!({ "memory_bytes": memory_mib << 20 });
        let made = json!({ "id": id, "policy": { "files": "full" }, "limits": limits });
        assert_eq!(server.create(&made.to_string()).status, 201);
    };
    // What it is asked for is answered, whatever things are called.
    for (code, says) in [
        ("fs = [open('/workspace/' + chr(97 + k) + '\\x01' * 200, 'w') for k in range(25)]", None),
        ("t = threading.Thread(target=e.wait, name='x' * 20_000); t.start()", Some("1 thread is running: xxx")),
        ("t = threading.Thread(target=e.wait, name='\\udc80'); t.start()", Some("1 thread is running: ?")),
        ("f = open('n' * 255, 'w+'); os.remove(f.name); f.write('x'); f.flush()", None),
        ("f = open(b'\\xff' * 100, 'w+'); os.remove(f.name); f.write('x'); f.flush()", None),
        ("f = open('/dev/null', 'r+b', buffering=0); fcntl.flock(f, fcntl.LOCK_EX)", Some("not the session's alone")),
        (
            "f = open('f', 'w+b'); [fcntl.lockf(f, fcntl.LOCK_EX, 1, 2 * i) for i in range(2000)]",
            Some("more than 1000 locks"),
        ),
        ("os.mkdir('d'); os.chdir('d'); os.chmod('.', 0)", Some("could not be entered again")),
    ] {
        full("a", 200);
        printed(&server, "a", &format!("import fcntl, os, threading\ne = threading.Event(); x = 5\n{code}"));
        let forked = fork(&server, "a", &json!({ "ids": ["b"] }));
        match says {
            None => {
                assert_eq!(forked.status, 201, "{code}: {forked:?}");
                assert_eq!(printed(&server, "b", "print(x)"), "5\n", "{code}");
                server.delete("b");
            }
            Some(says) => {
                assert_eq!((forked.status, forked.refusal()[0]), (409, "not_checkpointable"), "{code}: {forked:?}");
                assert!(forked.refusal()[1].contains(says), "{code}: {forked:?}");
            }
        }
        assert_eq!(printed(&server, "a", "print(x); e.set()"), "5\n", "{code}");
        server.delete("a");
    }
    // One that is at the end of its memory goes on elsewhere, too.
    full("out", 100);
    let code = "x = []\ntry:\n    while True: x.append(bytes(1 << 16))\nexcept MemoryError: print('out')";
    assert_eq!(printed(&server, "out", code), "out\n");
    hibernate(&server, "out");
    assert_eq!(
        printed(&server, "out", "print(len(x) > 500); x.clear(); y = bytes(50 << 20); print('free')"),
        "True\nfree\n"
    );
    // There is no room for what would have to be read; it goes on as it is.
    full("large", 200);
    let code = "\
import tempfile
t = tempfile.TemporaryFile(); t.write(b'x' * (50 << 20)); t.flush()
x = [bytearray(1 << 20) for _ in range(120)]";
    printed(&server, "large", code);
    let refused = fork(&server, "large", &json!({}));
    assert_eq!((refused.status, refused.refusal()[0]), (409, "not_checkpointable"), "{refused:?}");
    assert_eq!(printed(&server, "large", "print(len(x))"), "120\n");
}

#[test]
fn copies_of_files_are_what_they_were_and_so_are_the_files() {
    let server = Setup::bare().option(KEPT).start();
    assert_eq!(server.create(r#"{"id": "a", "policy": {"files": "full"}}"#).status, 201);
    let code = "\
import fcntl, os, sqlite3
for number in range(30): open('passing', 'w').close(); os.remove('passing')
db = sqlite3.connect('/workspace/db'); db.execute('create table t(x)')
os.link('db', 'another name'); os.link('db', 'a')
os.mkdir('closed'); open('closed/file', 'w').close(); os.chmod('closed/file', 0); os.chmod('closed', 0o111)
f = open('shared', 'w+b', buffering=0); g = os.dup(f.fileno()); fcntl.flock(f, fcntl.LOCK_EX)
h = os.open('shared', os.O_RDONLY)
f.write(b'12345')
# Whether the kernel tells that they are the same (F_DUPFD_QUERY).
try: is_told = fcntl.fcntl(f, 1027, g) == 1
except OSError: is_told = False
def modes():
    before = oct(os.stat('closed').st_mode)
    os.chmod('closed', 0o700)
    inner = oct(os.stat('closed/file').st_mode)
    os.chmod('closed', 0o111)
    return before, inner
def look():
    db.execute('insert into t values(1)'); db.commit()
    if is_told:
        fcntl.flock(g, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.lseek(g if is_told else f.fileno(), 2, os.SEEK_SET)
    return os.stat('a').st_nlink, modes(), f.tell(), os.lseek(h, 0, os.SEEK_CUR), os.get_inheritable(g)";
    printed(&server, "a", code);
    if printed(&server, "a", "print(is_told)") == "False\n" {
        eprintln!("this kernel does not tell which descriptors have one open file: that is not tested");
    }
    let looked = "(3, ('0o40111', '0o100000'), 2, 0, False)\n";
    assert_eq!(printed(&server, "a", "print(look())"), looked);
    fork_to(&server, "a", "b");
    fork_to(&server, "b", "c");
    hibernate(&server, "c");
    for id in ["a", "b", "c"] {
        assert_eq!(printed(&server, id, "print(look())"), looked, "{id}");
    }
    // Descriptors of folders take no room that is needed.
    let code = "\
import errno, os
for k in range(3): os.mkdir(f'd{k}')
ds = [os.open(f'd{k}', 0) for k in range(3)]
try:
    for n in range(100_000): open(f'd0/{n}', 'w').close()
except OSError as error: print(error.errno == errno.ENOSPC)";
    assert_eq!(server.create(r#"{"id": "full", "policy": {"files": "full"}}"#).status, 201);
    assert_eq!(printed(&server, "full", code), "True\n");
    fork_to(&server, "full", "full-too");
    assert_eq!(printed(&server, "full-too", "print(len(os.listdir('d0')) == n, os.listdir(ds[1]))"), "True []\n");
}

#[test]
fn an_event_loop_goes_on_with_what_waits_in_it() {
    let server = Server::bare();
    // A first await makes all of it run in a loop.
    let code = "\
import asyncio; await asyncio.sleep(0)
loop = asyncio.get_running_loop()
answer = loop.create_future()
loop.call_later(0.4, answer.set_result, 7)
async def adding(): return await answer + 1
task = loop.create_task(adding())
await asyncio.sleep(0)";
    begin(&server, "loop-a", code);
    fork_to(&server, "loop-a", "loop-b");
    let look = "await asyncio.sleep(0)\nprint(await task, asyncio.get_running_loop() is loop, await asyncio.to_thread(lambda: 5))";
    assert_eq!(["loop-a", "loop-b"].map(|id| printed(&server, id, look)), ["8 True 5\n", "8 True 5\n"]);
    // Also where nothing came of it: a thread of the pool is left.
    assert_eq!(fork(&server, "loop-a", &json!({})).status, 409);
    assert_eq!(printed(&server, "loop-a", "print(await asyncio.sleep(0, 'on'))"), "on\n");
}

#[test]
fn no_handler_runs_while_an_image_is_taken_and_what_was_asked_in_vain_is_no_offence() {
    let server = Server::bare();
    let code = "\
import ctypes, mmap, signal, struct, time
block = bytearray(64 << 20)
block[::4096] = b'x' * len(block[::4096])
first = ctypes.c_long.from_buffer(block, 8192); last = ctypes.c_long.from_buffer(block, 60 << 20)
first.value = last.value = 0
# For both: mov rax, address; inc qword [rax]. Then: ret. What may be done in a handler at any time.
each = b''.join(b'\\x48\\xb8' + struct.pack('<Q', ctypes.addressof(of)) + b'\\x48\\xff\\x00' for of in (first, last))
page = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
page[:len(each) + 1] = each + b'\\xc3'
libc = ctypes.CDLL(None); libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.signal(signal.SIGALRM, ctypes.addressof(ctypes.c_char.from_buffer(page)))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.001)
while first.value < 5: time.sleep(0.001)";
    // The handler is machine code.
    let rounds = if cfg!(target_arch = "x86_64") { 4 } else { 0 };
    if rounds > 0 {
        begin(&server, "signals-a", code);
    }
    for round in 0..rounds {
        let child = format!("signals-{round}");
        fork_to(&server, "signals-a", &child);
        let seen = printed(
            &server,
            &child,
            "signal.setitimer(signal.ITIMER_REAL, 0); print(first.value == last.value, first.value > 0)",
        );
        assert_eq!(seen, "True True\n");
        server.delete(&child);
    }
    // One that is asked while a handler of its own keeps it, and answers later.
    let code = "import signal, time\nx = 5\ndef handler(*_): time.sleep(10)\nsignal.signal(signal.SIGALRM, handler)\nsignal.setitimer(signal.ITIMER_REAL, 0.2)";
    begin(&server, "late", code);
    std::thread::sleep(Duration::from_millis(500));
    let refused = fork(&server, "late", &json!({}));
    assert_eq!((refused.status, refused.refusal()[0]), (409, "not_checkpointable"), "{refused:?}");
    assert!(refused.refusal()[1].contains("does not stand still"), "{refused:?}");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(server.look_at("late").text("state"), "idle");
    assert_eq!(printed(&server, "late", "print(x)"), "5\n");
    fork_to(&server, "late", "later");
    assert_eq!(printed(&server, "later", "print(x)"), "5\n");
}

#[test]
fn streams_that_code_has_changed_are_so_in_a_fork() {
    let server = Server::bare();
    for (id, change, look) in [
        ("null", "f = os.open('/dev/null', 1); os.dup2(f, 1); os.close(f)", "os.write(1, b'RAW'); os.write(2, b'!')"),
        ("stdin", "os.close(0)", "os.write(2, str(os.open('/workspace', 0)).encode())"),
        (
            "file",
            "f = os.open('out', os.O_WRONLY | os.O_CREAT); os.dup2(f, 1); os.close(f)",
            "os.write(1, b'x'); os.write(2, open('out').read().encode())",
        ),
        (
            "flags",
            "os.set_blocking(2, False); os.set_inheritable(2, False)",
            "os.write(2, str((os.get_blocking(2), os.get_inheritable(2))).encode())",
        ),
    ] {
        begin(&server, id, &format!("import os\n{change}"));
        let child = format!("{id}-fork");
        fork_to(&server, id, &child);
        let [own, its] = [id, child.as_str()].map(|id| server.ask(id, &json!({ "code": look })));
        assert_eq!((own.stdout(), own.stderr()), (its.stdout(), its.stderr()), "{id}: {own:?}");
        assert!(!own.stderr().is_empty(), "{id}: {own:?}");
    }
}

/// Half of the pages of much memory, each by itself.
const SCATTERED: &str = "\
import ctypes, mmap
libc = ctypes.CDLL(None); libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
def scatter(length, rights, times):
    for _ in range(times):
        at = libc.mmap(None, length, rights, 0x4022, -1, 0)
        (ctypes.c_char * length).from_address(at)[0:length:8192]";

#[test]
fn memory_in_very_many_pieces_is_refused_before_it_costs_the_server_much() {
    let server = Setup::bare().start();
    begin(&server, "a", &format!("{SCATTERED}\nscatter(512 << 20, 1, 12)\nx = 5"));
    let before = resident_bytes(server.pid());
    let refused = fork(&server, "a", &json!({}));
    assert_eq!((refused.status, refused.refusal()[0]), (409, "not_checkpointable"), "{refused:?}");
    let grown = resident_bytes(server.pid()).saturating_sub(before);
    assert!(grown < 100 << 20, "{grown}");
    assert_eq!(printed(&server, "a", "print(x)"), "5\n");
}

#[test]
fn names_and_room_are_looked_at_before_anything_is_made() {
    let server = Setup::bare().option("--sessions-max 4").start();
    begin(&server, "a", "x = 5");
    begin(&server, "b", "x = 6");
    for (body, status, code) in [
        (json!({ "ids": ["c", "b"] }), 409, "session_exists"),
        (json!({ "ids": ["a"] }), 409, "session_exists"),
        (json!({ "count": 3 }), 503, "no_room_for_session"),
        (json!({ "ids": ["c", "c"] }), 400, "out_of_range"),
        (json!({ "ids": ["c", "../d"] }), 400, "invalid_session_id"),
        (json!({ "count": 0 }), 400, "out_of_range"),
        (json!({ "number": 1 }), 400, "unknown_field"),
    ] {
        let refused = fork(&server, "a", &body);
        assert_eq!((refused.status, refused.refusal()[0]), (status, code), "{body}: {refused:?}");
    }
    assert_eq!(fork(&server, "none", &json!({})).status, 404);
    assert_eq!(server.get("/v1/sessions").json["sessions"].as_array().map(Vec::len), Some(2));
    let forked = fork(&server, "a", &json!({ "ids": ["c"], "count": 1 }));
    assert_eq!(forked.status, 201, "{forked:?}");
    assert_eq!(fork(&server, "a", &json!({})).status, 201);
    assert_eq!(fork(&server, "a", &json!({})).status, 503);
}

#[test]
fn a_session_that_works_is_forked_when_it_rests_and_many_at_once_are() {
    let server = Setup::bare().option("--sessions-max 64").start();
    begin(&server, "a", "import time; n = 0");
    server.ask("a", &json!({ "code": "time.sleep(0.6); n += 1", "detach": true }));
    std::thread::scope(|scope| {
        let forks: Vec<_> = (0..6).map(|_| scope.spawn(|| fork(&server, "a", &json!({ "count": 4 })))).collect();
        let runs: Vec<_> =
            (0..6).map(|_| scope.spawn(|| server.ask("a", &json!({ "code": "n += 1; print(n)" })))).collect();
        for fork in forks {
            let forked = fork.join().expect("it is answered");
            assert_eq!(forked.status, 201, "{forked:?}");
            for child in forked.json["sessions"].as_array().expect("a list") {
                let n = printed(&server, child["id"].as_str().expect("it has a name"), "print(n)");
                assert!((1..=7).contains(&n.trim().parse::<u32>().expect("a number")), "{n}");
            }
        }
        let mut seen: Vec<u32> =
            runs.into_iter().map(|run| run.join().expect("it is answered").stdout().trim().parse().unwrap()).collect();
        seen.sort_unstable();
        assert_eq!(seen, [2, 3, 4, 5, 6, 7]);
    });
}

#[test]
fn generations_of_forks_go_on_and_so_do_many_of_one() {
    let server = Setup::bare().option("--sessions-max 128").start();
    begin(&server, "0", "trail = []; big = bytearray(1 << 20)");
    for depth in 1..=100_u32 {
        let (parent, child) = ((depth - 1).to_string(), depth.to_string());
        fork_to(&server, &parent, &child);
        server.delete(&parent);
        assert_eq!(
            printed(&server, &child, &format!("trail.append({depth}); print(len(trail), sum(trail))")),
            format!("{depth} {}\n", depth * (depth + 1) / 2)
        );
    }
    for half in 0..2 {
        let wide = fork(&server, "100", &json!({ "count": 50 }));
        assert_eq!(wide.status, 201, "{half}: {wide:?}");
        for child in wide.json["sessions"].as_array().expect("a list") {
            let id = child["id"].as_str().expect("it has a name");
            assert_eq!(printed(&server, id, "print(len(trail), len(big))"), "100 1048576\n");
        }
    }
}

#[test]
fn a_killed_server_leaves_a_fork_or_none() {
    let mut server = Setup::bare().option(KEPT).start();
    begin(&server, "a", "x = 0; block = bytearray(5 << 20)");
    for round in 0..8_u32 {
        let address = server.address;
        let child = format!("b{round}");
        std::thread::scope(|scope| {
            let body = json!({ "ids": [&child] }).to_string();
            scope.spawn(move || {
                // The answer may be lost.
                let request = crate::client::post_to("/v1/sessions/a/fork", &body);
                if let Ok(mut stream) = std::net::TcpStream::connect(address) {
                    let _ = std::io::Write::write_all(&mut stream, &request);
                    let _ = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
                }
            });
            std::thread::sleep(Duration::from_millis(u64::from(round) * 12));
            server = Setup::bare()
                .option(KEPT)
                .start_after(std::mem::replace(&mut server, Setup::bare().start()).end_by(Signal::KILL));
        });
        assert_eq!(printed(&server, "a", "x += 1; print(x, len(block))"), format!("{} 5242880\n", round + 1));
        match server.look_at(&child).status {
            404 => {}
            200 => assert_eq!(printed(&server, &child, "x += 1; print(x)"), format!("{}\n", round + 1)),
            other => panic!("{other}"),
        }
        server.delete(&child);
    }
}

#[test]
fn forks_are_their_keys_and_of_its_number() {
    let keys = Keys::new(["ann --sessions-max 3", "bob"]);
    let server = keys.setup("").start();
    let ask =
        |key: usize, route: &str, body: &Value| ask_with_key(&server, Some(keys.text(key)), route, &body.to_string());
    assert_eq!(ask(0, "POST /v1/sessions", &json!({ "id": "a" })).status, 201);
    assert_eq!(ask(1, "POST /v1/sessions/a/fork", &json!({})).status, 404);
    assert_eq!(ask(0, "POST /v1/sessions/a/fork", &json!({ "count": 3 })).status, 503);
    assert_eq!(ask(0, "POST /v1/sessions/a/fork", &json!({ "ids": ["b", "c"] })).status, 201);
    assert_eq!(ask(1, "GET /v1/sessions/b", &json!({})).status, 404);
    assert_eq!(ask(0, "GET /v1/sessions/b", &json!({})).text("parent"), "a");
    // The same name is free for another key.
    assert_eq!(ask(1, "POST /v1/sessions", &json!({ "id": "x" })).status, 201);
    assert_eq!(ask(1, "POST /v1/sessions/x/fork", &json!({ "ids": ["b"] })).status, 201);
}

#[test]
fn a_fork_of_a_session_begun_under_other_settings_is_refused() {
    let folder = python::own_folder();
    let other = folder.path().join("python3");
    std::os::unix::fs::symlink(python::bare(), &other).expect("a link can be made");
    let server = Setup::bare().option(KEPT).start();
    begin(&server, "a", "x = 5");
    let ended = server.end_by(Signal::KILL);
    let server = Setup::with_python(&other).option(KEPT).start_after(ended);
    let refused = fork(&server, "a", &json!({}));
    assert_eq!((refused.status, refused.refusal()[0]), (409, "not_checkpointable"), "{refused:?}");
    assert_eq!(printed(&server, "a", "print(x)"), "5\n");
}

#[test]
fn large_memory_is_theirs_together_until_somebody_writes_to_it() {
    let server = Setup::bare().start();
    let code = "\
import os
big = bytearray(os.urandom(1 << 20) * 96); more = [bytearray(bytes([n])) * (5 << 20) for n in range(6)]
def look(): return hash(bytes(big[:: 4097])), len(big), [m[-1] for m in more], sum(map(len, more))
def own(): return int(open('/proc/self/smaps_rollup').read().split('Anonymous:')[1].split()[0]) >> 10";
    begin(&server, "a", code);
    let look = "print(look())";
    fork_to(&server, "a", "b");
    let own = |id: &str| printed(&server, id, "print(own())").trim().parse::<u32>().expect("a number of MiB");
    let (before, after) = (own("a"), own("b"));
    assert!(before < 30 && after < 30, "{before} and {after} MiB");
    // Each has its own where it writes.
    printed(&server, "a", "big[5] ^= 255; more[2][-1] = 77; extra = bytearray(9 << 20)");
    printed(&server, "b", "big[6] ^= 255; more.pop(0)");
    let [a, b] = ["a", "b"].map(|id| printed(&server, id, "print(big[5:7], len(more), more[1][-1], more[2][-1])"));
    assert_ne!(a, b);
    for (parent, child) in [("a", "c"), ("b", "d"), ("c", "e"), ("d", "f")] {
        fork_to(&server, parent, child);
        let code = "print(look(), big[5:7], len(more), more[1][-1], more[2][-1])";
        assert_eq!(printed(&server, parent, code), printed(&server, child, code), "{parent} {child}");
        assert!(own(parent) < 45 && own(child) < 45, "{parent} {} {child} {}", own(parent), own(child));
    }
    // What is written down has all of it.
    let taken = server.send("POST", "/v1/sessions/e/checkpoints", r#"{"name": "one"}"#);
    assert_eq!(taken.status, 201, "{taken:?}");
    assert!(taken.json["bytes"].as_u64().is_some_and(|bytes| bytes > 100 << 20), "{taken:?}");
    let now = printed(&server, "e", look);
    for id in ["a", "b", "c", "d", "e"] {
        server.delete(id);
    }
    assert_eq!(server.create(r#"{"id": "g", "checkpoint": "one"}"#).status, 201);
    assert_eq!(printed(&server, "g", look), now);
    fork_to(&server, "g", "h");
    assert_eq!(printed(&server, "h", look), now);
    // Many generations, each of which writes.
    let mut last = "f".to_owned();
    for generation in 0..14 {
        let child = format!("f{generation}");
        fork_to(&server, &last, &child);
        server.delete(&last);
        printed(
            &server,
            &child,
            &format!("big[{generation} * 1000] = 1; block{generation} = bytearray(b'{generation}') * (5 << 20)"),
        );
        last = child;
    }
    let sum = printed(
        &server,
        &last,
        "print(sum(big[i * 1000] for i in range(14)), [globals()[f'block{i}'][:2] == str(i).encode()[:2] * (2 if i < 10 else 1) for i in range(14)])",
    );
    assert_eq!(sum, format!("14 [{}]\n", ["True"; 14].join(", ")));
}
