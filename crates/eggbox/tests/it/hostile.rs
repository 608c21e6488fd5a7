//! Programs that hurt the server, or were answered wrongly, before it knew better.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::attacks::way::Way;
use crate::process::wait_for;
use crate::server::{Server, Setup};

/// The server answers others, at once, and without working for what is idle.
fn is_unharmed(server: &Server) {
    let start = Instant::now();
    assert_eq!(server.session().print("print('well')"), "well\n");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn deaths_with_requests_behind_them_are_all_reported() {
    let server = Server::with("--wall-seconds-max 20");
    for round in 0..20 {
        std::thread::scope(|scope| {
            for id in 0..4 {
                let id = format!("dying-{id}");
                let (first, second) = (id.clone(), id);
                let server = &server;
                scope.spawn(move || {
                    let answer = server.run_in(&first, "import os, time; time.sleep(.02); os._exit(0)");
                    assert!(answer.error().contains("session ended"), "{round}: {answer:?}");
                });
                scope.spawn(move || server.run_in(&second, "y = 1"));
            }
        });
    }
    is_unharmed(&server);
}

#[test]
fn another_program_in_the_interpreters_place_is_heard_to_its_end() {
    let server = Server::bare();
    let code = "import os, sys; os.execv(sys.executable, ['python3', '-c', 'import time; print(\"x\" * 500000); time.sleep(1.5); print(\"end\")'])";
    let answer = server.session().run(code);
    assert_eq!((answer.stdout().len(), answer.stdout().ends_with("end\n")), (500_005, true));
    assert!(answer.error().contains("exited with status 0"), "{answer:?}");
}

#[test]
fn code_runs_though_the_runners_modules_are_broken() {
    let server = Server::bare();
    let session = server.session();
    session.run(
        "import linecache, traceback, io; linecache.cache = None; traceback.format_exception = io.StringIO = None",
    );
    assert_eq!(session.print("print('still')"), "still\n");
    assert!(!session.run("1/0").stderr().is_empty());
}

#[test]
fn an_exception_that_resists_is_not_lost() {
    let server = Server::bare();
    for class in [
        "class A(Exception):\n    def __setattr__(self, *a): raise ValueError",
        "class M(type):\n    @property\n    def __name__(self): raise ValueError\nclass A(Exception, metaclass=M): pass",
        "class X(int):\n    def __eq__(self, other): raise ValueError\n    __hash__ = None\nA = lambda: PermissionError(X(13), 'no')",
    ] {
        let answer = server.session().run(&format!("{class}\nraise A()"));
        assert!(!answer.stderr().is_empty(), "{class}: {answer:?}");
    }
}

#[test]
fn one_session_does_not_use_up_what_the_kernel_counts_per_user() {
    let server = Server::bare();
    let take = "import ctypes\nlibc = ctypes.CDLL(None)\ncount = 0\nwhile count < 200 and libc.inotify_init1(0) >= 0: count += 1\nprint(count)";
    let (first, second) = (server.session(), server.session());
    let taken: u32 = first.print(take).trim().parse().expect("a count is printed");
    assert!((1..=16).contains(&taken), "{taken}");
    assert_eq!(second.print("import ctypes; print(ctypes.CDLL(None).inotify_init1(0) >= 0)"), "True\n");
}

#[test]
fn a_lease_on_a_shared_file_is_refused() {
    let code = "import fcntl, os\nfd = os.open(os.__file__, os.O_RDONLY)\ntry: fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)\nexcept PermissionError: print('refused')";
    assert_eq!(Server::bare().session().print(code), "refused\n");
}

#[test]
fn the_channel_carries_no_descriptors() {
    let code = "\
import array, socket
rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [1]))]
own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=256)
try: own.sendmsg([b'x'], rights)
except OSError as error: print(error.strerror)
own.detach()
try: socket.socket(fileno=257).getsockname()
except OSError as error: print(error.strerror)";
    let server = Server::bare();
    let session = server.session();
    assert_eq!(session.print(code), "Broken pipe\nSocket operation on non-socket\n");
    assert_eq!(session.print("print(1)"), "1\n");
}

#[test]
fn a_flood_does_not_move_the_deadline_or_the_neighbours() {
    let server = Server::with("--wall-seconds-max 1 --interrupt-grace-seconds 0.5");
    let code = "import fcntl, os, signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nfcntl.fcntl(1, 1031, 1 << 20)\nfor _ in range(2): os.fork()\nblock = b'x' * (1 << 20)\nwhile True: os.write(1, block)";
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let start = Instant::now();
            (server.run(code), start.elapsed())
        });
        std::thread::sleep(Duration::from_millis(300));
        is_unharmed(&server);
        let (answer, elapsed) = flood.join().expect("the flood is answered");
        assert!(answer.error().contains("execution timeout"), "{}", answer.error());
        // Two seconds, and what a machine that is busy with other tests adds.
        assert!(elapsed < Duration::from_secs(8), "{elapsed:?}");
    });
    is_unharmed(&server);
}

#[test]
fn too_few_open_files_are_refused_by_number() {
    let setup = Setup::bare().option("--sessions-max 60000");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let plain = setup.command(folder.path());
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "ulimit -n 4096; exec \"$@\"", "sh"]).arg(plain.get_program()).args(plain.get_args());
    let output = limited.output().expect("a shell can be run");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("sessions_max") && said.contains("4096"), "{said}");
}

#[test]
fn there_are_fewer_sessions_where_open_files_are_few_and_nobody_asked_for_more() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let plain = Setup::bare().command(folder.path());
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "ulimit -n 2600; exec \"$@\"", "sh"]).arg(plain.get_program()).args(plain.get_args());
    let mut server = limited.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a shell can be run");
    let mut said = String::new();
    let stdout = server.stdout.take().expect("it is a pipe");
    BufReader::new(stdout).read_line(&mut said).expect("it says where it listens");
    kill_process(Pid::from_child(&server), Signal::TERM).expect("it can be ended");
    let log = server.wait_with_output().expect("it ends").stderr;
    let log = String::from_utf8_lossy(&log);
    assert!(said.starts_with("listening on ") && log.contains("open_files_max=2600"), "{said}{log}");
}

#[test]
fn a_session_holds_no_more_open_files_than_are_counted_for_it() {
    const SESSIONS: usize = 4;
    /// As docs/configuration.md has it.
    const PER_SESSION: usize = 18;
    let server = Setup::bare().option("--parked-sessions-max 0").start();
    let open_files = || {
        let folder = format!("/proc/{}/fd", server.pid().as_raw_nonzero());
        std::fs::read_dir(folder).expect("the server runs").count()
    };
    let before = open_files();
    for session in 0..SESSIONS {
        // Each leaves something behind that holds its streams.
        for _ in 0..4 {
            let left =
                server.run_in(&session.to_string(), "import subprocess as s; s.Popen(['sleep', '60']); print(1)");
            assert_eq!(left.stdout(), "1\n", "{left:?}");
        }
    }
    // The connection of the client that looks may still be there.
    let held = open_files() - before;
    assert!((PER_SESSION - 1) * SESSIONS < held && held <= PER_SESSION * SESSIONS + 2, "{held} by {SESSIONS} sessions");
}

#[test]
fn folders_that_are_closed_to_everybody_do_not_cost_a_slot() {
    for way in Way::possible() {
        let server = way.setup().option("--sessions-max 2").start();
        for _ in 0..25 {
            let session = server.session();
            let answer = wait_for(Duration::from_secs(10), || {
                let code =
                    "import os; os.makedirs('a/b/c'); os.mkdir('z', 0)\nfor f in ('a/b/c', 'a/b', 'a'): os.chmod(f, 0)";
                Some(session.run(code)).filter(|answer| answer.status == 200)
            });
            assert!(answer.is_some(), "{}", way.name());
            session.run("import os; os._exit(0)");
        }
        assert!(!server.log().contains("could not be removed"), "{}: {}", way.name(), server.log());
    }
}

#[test]
fn values_that_make_no_sense_do_not_keep_the_server_busy() {
    let server = Server::with("");
    server.create(r#"{"id": "a"}"#);
    // Beyond as many events as there may be at once, and then what never becomes one.
    for last in [
        "os.write(258, b'\\xff' * 40)",
        "os.write(258, b'\\x00\\x00\\x01\\x00\\x01' + bytes(8))",
        "os.write(1, b'\\xf0\\x9f')",
    ] {
        let code = format!(
            "import os, time\nfor n in range(6000): os.write(1, b'x\\n'); time.sleep(0.0001)\n{last}\ntime.sleep(2.5)"
        );
        let asked = server.ask("a", &json!({ "code": code, "detach": true }));
        assert_eq!(asked.status, 202);
        let execution = asked.json["execution"].to_string();
        let printed = || {
            Some(server.get(&format!("/v1/sessions/a/executions/{execution}")))
                .filter(|answer| answer.stdout().len() >= 12_000)
        };
        assert!(wait_for(Duration::from_secs(20), printed).is_some());
        std::thread::sleep(Duration::from_millis(500));
        let before = crate::process::cpu_ticks(server.pid());
        std::thread::sleep(Duration::from_millis(1500));
        let used = crate::process::cpu_ticks(server.pid()) - before;
        assert!(used < 50, "{used} ticks for {last}");
        assert_eq!(server.get(&format!("/v1/sessions/a/executions/{execution}?wait_seconds=20")).text("outcome"), "ok");
    }
}
