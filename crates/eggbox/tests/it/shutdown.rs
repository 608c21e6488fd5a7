//! A server that ends leaves nothing behind, in whatever way it ends.

use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::process::{Footprint, footprint, nest_pid, wait_for};
use crate::python;
use crate::server::{Server, Setup};

/// How long after its server a nest and all in it may still be there.
const GONE_MAX: Duration = Duration::from_secs(5);

/// Children that do what they can to stay: a session of their own, orphaned twice over, deaf to signals.
const STAY: &str = "\
import os, signal, subprocess, time
def stay():
    for _ in range(2):
        if os.fork(): os._exit(0)
        os.setsid()
    for n in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try: signal.signal(n, signal.SIG_IGN)
        except (OSError, ValueError): pass
    while True: time.sleep(1)
if os.fork() == 0: stay()
subprocess.Popen(['setsid', 'sh', '-c', 'trap \"\" HUP INT TERM; sleep 1000 & sleep 1000'], stdin=0)
time.sleep(.2)
";

/// A server whose interpreter has a path of its own, by which its processes are found.
struct Marked {
    server: Server,
    interpreter: PathBuf,
    _folder: TempDir,
}

impl Marked {
    fn start(options: &str) -> Self {
        let folder = python::own_folder();
        let interpreter = folder.path().join("python3");
        symlink(python::bare(), &interpreter).expect("a link can be made");
        let server = Setup::with_python(&interpreter).option(options).start();
        Self { server, interpreter, _folder: folder }
    }

    /// What it holds once two sessions have children that want to stay.
    fn footprint(&self) -> Footprint {
        for _ in 0..2 {
            self.server.session().print(STAY);
        }
        let footprint = footprint(&self.interpreter);
        assert!(footprint.pids.len() >= 9, "a nest, two sessions and three children each: {footprint:?}");
        // Of the nest and of two sessions.
        assert!(footprint.namespaces.len() >= 3 + 2 * 5, "{footprint:?}");
        footprint
    }
}

fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted")
}

#[test]
fn a_server_with_nothing_to_wait_for_ends_at_once() {
    let server = Server::with("");
    server.session().print("x = 1");
    let began = Instant::now();
    server.signal(Signal::TERM);
    assert!(server.wait().status.success());
    // It took two seconds to wait for a keeper that waited for it.
    assert!(began.elapsed() < Duration::from_millis(1900), "{:?}", began.elapsed());
}

#[test]
fn a_nest_that_does_not_come_up_again_does_not_hold_up_the_end() {
    let folder = python::own_folder();
    let made = Command::new(python::bare()).args(["-m", "venv", "--without-pip"]).arg(folder.path()).status();
    assert!(made.is_ok_and(|status| status.success()));
    let interpreter = folder.path().join("bin/python3");
    let server = Setup::with_python(&interpreter).start();
    let packages = std::fs::read_dir(folder.path().join("lib")).expect("it has a folder of modules");
    let packages = packages.flatten().next().expect("of its version").path().join("site-packages");
    // Python executes lines of this kind when it starts (site).
    std::fs::write(packages.join("slow.pth"), "import time; time.sleep(100)\n").expect("it can be written");
    let nest = Pid::from_raw(nest_pid(&interpreter).cast_signed()).expect("a pid is positive");
    kill_process(nest, Signal::KILL).expect("the nest can be killed");
    let is_starting = || footprint(&interpreter).pids.iter().any(|pid| Pid::from_raw(pid.cast_signed()) != Some(nest));
    assert!(wait_for(Duration::from_secs(5), || is_starting().then_some(())).is_some());
    let footprint = footprint(&interpreter);
    let began = Instant::now();
    server.signal(Signal::TERM);
    assert!(server.wait().status.success());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    footprint.assert_gone(GONE_MAX);
}

#[test]
fn an_interrupt_or_a_request_to_terminate_leaves_nothing() {
    for signal in [Signal::INT, Signal::TERM] {
        let mounts_before = mounts();
        let marked = Marked::start("--shutdown-grace-seconds 2");
        let footprint = marked.footprint();
        let address = marked.server.address;
        marked.server.signal(signal);
        let stopped = marked.server.wait();
        // Not a moment later: the server has waited for its nest.
        footprint.assert_gone(Duration::ZERO);
        assert!(stopped.status.success(), "{stopped:?}");
        assert_eq!(mounts(), mounts_before);
        TcpListener::bind(address).expect("the port is free again");
    }
}

#[test]
fn a_server_that_is_killed_takes_its_nest_along() {
    let marked = Marked::start("");
    let footprint = marked.footprint();
    let address = marked.server.address;
    marked.server.signal(Signal::KILL);
    marked.server.wait();
    footprint.assert_gone(GONE_MAX);
    TcpListener::bind(address).expect("the port is free again");
}

#[test]
fn a_running_execution_is_finished_and_answered() {
    let server = Server::with("--shutdown-grace-seconds 10");
    let address = server.address;
    let session = server.session();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| session.print("import time; time.sleep(1); print('finished')"));
        std::thread::sleep(Duration::from_millis(400));
        server.signal(Signal::TERM);
        std::thread::sleep(Duration::from_millis(200));
        assert!(std::net::TcpStream::connect(address).is_err(), "new connections are refused");
        assert_eq!(running.join().expect("it is answered"), "finished\n");
    });
    assert!(server.wait().status.success());
}

#[test]
fn the_grace_ends_what_does_not() {
    let server = Server::with("--shutdown-grace-seconds 0.5");
    let answer = std::thread::scope(|scope| {
        let running = scope.spawn(|| server.run("print('so far')\nimport time; time.sleep(60)"));
        std::thread::sleep(Duration::from_millis(400));
        server.signal(Signal::TERM);
        running.join().expect("it is answered")
    });
    assert_eq!((answer.status, answer.stdout()), (200, "so far\n"));
    assert!(
        answer.error().starts_with("session ended: ") && answer.error().ends_with("session state lost"),
        "{answer:?}"
    );
    assert!(server.wait().status.success());
}

#[test]
fn what_waits_when_the_grace_is_over_is_told_and_nothing_is_started_for_it() {
    let server = Server::with("--shutdown-grace-seconds 1");
    std::thread::scope(|scope| {
        let running = scope.spawn(|| server.run_in("busy", "import time; time.sleep(20)"));
        std::thread::sleep(Duration::from_millis(300));
        let waiting = scope.spawn(|| server.run_in("busy", "print('a new interpreter')"));
        std::thread::sleep(Duration::from_millis(300));
        server.signal(Signal::TERM);
        let running = running.join().expect("it is answered");
        assert!(running.error().contains("the server was shut down; session state lost"), "{running:?}");
        let waiting = waiting.join().expect("it is answered");
        assert_eq!((waiting.status, waiting.stdout()), (503, ""), "{waiting:?}");
        assert!(waiting.error().contains("shutting down"), "{waiting:?}");
    });
    let stopped = server.wait();
    assert!(stopped.status.success() && !stopped.log.contains("starting another"), "{}", stopped.log);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let marked = Marked::start("--shutdown-grace-seconds 60");
        let footprint = marked.footprint();
        std::thread::scope(|scope| {
            scope.spawn(|| marked.server.run("import time; time.sleep(60)"));
            std::thread::sleep(Duration::from_millis(300));
            marked.server.signal(signal);
            std::thread::sleep(Duration::from_millis(300));
            marked.server.signal(signal);
        });
        let asked = Instant::now();
        let stopped = marked.server.wait();
        assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
        assert_eq!(stopped.status.code(), Some(status), "{stopped:?}");
        // Not a moment later: the server has waited for its nest.
        footprint.assert_gone(Duration::ZERO);
    }
}

#[test]
fn a_signal_while_it_starts_ends_it_and_its_nest() {
    let folder = python::own_folder();
    let interpreter = folder.path().join("python3");
    symlink(python::bare(), &interpreter).expect("a link can be made");
    let setup = Setup::with_python(&interpreter);
    for millis in [5, 40, 80, 120] {
        let mut child = setup.command(&folder.path().join("state")).spawn().expect("the binary can be run");
        std::thread::sleep(Duration::from_millis(millis));
        kill_process(Pid::from_child(&child), Signal::TERM).expect("it is there");
        let ended = wait_for(GONE_MAX, || child.try_wait().expect("a child can be waited for"));
        assert!(ended.is_some(), "it did not end after {millis} ms");
        let left = wait_for(GONE_MAX, || footprint(&interpreter).pids.is_empty().then_some(()));
        assert!(left.is_some(), "{:?}", footprint(&interpreter));
    }
}

#[test]
fn a_second_server_on_the_same_folder_is_refused_and_told_of_the_first() {
    let first = Server::bare();
    let second = Setup::bare().command(&first.state_dir()).output().expect("the binary can be run");
    assert!(!second.status.success());
    let log = String::from_utf8_lossy(&second.stderr);
    assert!(log.contains(first.state_dir().to_str().expect("text")) && log.contains("--state-dir"), "{log}");
    let holder = std::fs::read_to_string(first.state_dir().join("server.lock")).expect("the lock can be read");
    assert!(log.contains(&format!("process id {}", holder.trim())), "{log}");
}

#[test]
fn a_folder_can_be_used_again_by_the_next() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    for signal in [Signal::TERM, Signal::KILL, Signal::TERM] {
        let mut child =
            Setup::bare().command(folder.path()).stdout(std::process::Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is a pipe");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("it says where");
        assert!(line.starts_with("listening on "), "{line}");
        kill_process(Pid::from_child(&child), signal).expect("it is there");
        child.wait().expect("a child can be waited for");
    }
}

#[test]
fn a_port_in_use_is_refused_by_name() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    let setup = Setup::bare();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut command = Command::new(&setup.binary);
    command.args(["serve", "--listen", &address, "--state-dir"]).arg(folder.path()).arg("--python").arg(&setup.python);
    let output = command.output().expect("the binary can be run");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && log.contains(&address) && log.contains("--listen"), "{log}");
}

#[test]
fn ended_sessions_leave_nothing_while_the_server_goes_on() {
    let marked = Marked::start("--parked-sessions-max 0");
    let before = footprint(&marked.interpreter);
    for _ in 0..5 {
        let session = marked.server.session();
        session.print(STAY);
        session.run("import os; os._exit(0)");
    }
    let gone = wait_for(GONE_MAX, || (footprint(&marked.interpreter).namespaces == before.namespaces).then_some(()));
    assert!(gone.is_some(), "{:?} but before {before:?}", footprint(&marked.interpreter));
}
