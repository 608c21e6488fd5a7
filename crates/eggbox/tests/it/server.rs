//! Starts the real server, each on a free port and with a folder of its own, and ends what it started.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use crate::client::{self, Answer};
use crate::process::wait_for;
use crate::python;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_eggbox");

/// In the environment of every server; nothing of it may show in a session.
pub(crate) const SECRET: &str = "marmalade-on-the-host";

const START_MAX: Duration = Duration::from_secs(120);
const STOP_MAX: Duration = Duration::from_secs(20);

/// Starts the server that its arguments name and ends it when standard input closes, which it does at the latest when
/// the tests end in whatever way: a server that several tests share outlives them all.
const KEEPER: &str = "folder=$1; shift; trap '' INT TERM; \"$@\" </dev/null & server=$!; read -r _; \
                      kill -TERM $server; (sleep 5; kill -KILL $server) & wait $server; kill $!; rm -rf \"$folder\"";

/// How to start a server.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) binary: PathBuf,
    pub(crate) python: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Another user to start it as.
    pub(crate) uid: Option<u32>,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Holds the state directory and the log.
    folder: PathBuf,
    _removed_at_the_end: Option<TempDir>,
}

/// A server as it was when it had ended.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
}

/// What a server has left behind that ended without ending its sessions.
#[derive(Debug)]
pub(crate) struct Ended {
    address: SocketAddr,
    folder: TempDir,
}

impl Ended {
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }
}

/// A server that several tests use at once, each with sessions of its own.
#[derive(Debug)]
pub(crate) struct Shared(&'static Server);

/// A session of this test alone.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    server: &'a Server,
    pub(crate) id: String,
}

/// Whether this run is the one that sees how everything goes without sessions that are made ahead.
pub(crate) fn is_pool_off() -> bool {
    std::env::var("EGGBOX_TEST_POOL").is_ok_and(|pool| pool == "off")
}

impl Setup {
    /// The first interpreter on PATH, without preloaded packages.
    pub(crate) fn bare() -> Self {
        Self::with_python(python::bare())
    }

    pub(crate) fn with_python(python: &Path) -> Self {
        let arguments = vec!["--preload=".to_owned()];
        Self { binary: BINARY.into(), python: python.to_owned(), arguments, uid: None }
    }

    pub(crate) fn option(mut self, argument: &str) -> Self {
        self.arguments.extend(argument.split_whitespace().map(str::to_owned));
        self
    }

    pub(crate) fn command(&self, state_dir: &Path) -> Command {
        let mut command = match self.uid {
            None => Command::new(&self.binary),
            Some(uid) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", &uid.to_string(), "--regid", &uid.to_string(), "--clear-groups"]);
                command.arg(&self.binary);
                command
            }
        };
        command.args(["serve", "--state-dir"]).arg(state_dir);
        if !self.arguments.iter().any(|argument| argument == "--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        if !self.arguments.iter().any(|argument| argument == "--abandoned-seconds-max") {
            // So that nothing outlives the tests for long, whatever becomes of their servers.
            command.args(["--abandoned-seconds-max", "1"]);
        }
        command.arg("--python").arg(&self.python).args(&self.arguments);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("EGGBOX_")) {
            command.env_remove(name);
        }
        if is_pool_off() {
            // An option goes before it.
            command.env("EGGBOX_PARKED_SESSIONS_MAX", "0");
        }
        command.env("API_KEY", SECRET).current_dir("/").stdin(Stdio::null());
        command
    }

    /// Starts it and waits until it serves.
    pub(crate) fn start(self) -> Server {
        let folder = self.folder();
        let mut server = self.run(folder.path(), self.command(&folder.path().join("state")));
        server._removed_at_the_end = Some(folder);
        server
    }

    /// Starts it on the state directory that another one has left, at the same address.
    pub(crate) fn start_after(self, ended: Ended) -> Server {
        let setup = self.option(&format!("--listen {}", ended.address));
        let folder = ended.folder;
        let state_dir = folder.path().join("state");
        let mut server = setup.run(folder.path(), setup.command(&state_dir));
        server._removed_at_the_end = Some(folder);
        server
    }

    /// Starts it and waits until it has ended by itself; returns how, and what it said on standard error.
    pub(crate) fn run_to_end(&self) -> Stopped {
        let folder = self.folder();
        let output = self.command(&folder.path().join("state")).output().expect("the binary can be run");
        Stopped { status: output.status, log: String::from_utf8_lossy(&output.stderr).into_owned() }
    }

    pub(crate) fn start_shared(self) -> Server {
        let folder = self.folder().keep();
        let plain = self.command(&folder.join("state"));
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "keeper"]).arg(&folder).arg(plain.get_program()).args(plain.get_args());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => keeper.env(name, value),
                None => keeper.env_remove(name),
            };
        }
        keeper.current_dir("/").stdin(Stdio::piped());
        self.run(&folder, keeper)
    }

    fn folder(&self) -> TempDir {
        let folder = tempfile::Builder::new().prefix("eggbox-test-").tempdir().expect("a folder can be made");
        if let Some(uid) = self.uid {
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(uid)).expect("root can give a folder away");
        }
        folder
    }

    fn run(&self, folder: &Path, mut command: Command) -> Server {
        let log = fs::File::create(folder.join("log")).expect("a log can be made");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("the binary can be run");
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let line = receiver.recv_timeout(START_MAX).unwrap_or_default();
        let Some(address) = line.strip_prefix("listening on http://").and_then(|address| address.parse().ok()) else {
            let _ = child.kill();
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            panic!("the server did not start, it said {line:?}:\n{log}");
        };
        Server { child, address, folder: folder.to_owned(), _removed_at_the_end: None }
    }
}

impl Server {
    /// One with an interpreter and nothing else, shared.
    pub(crate) fn bare() -> Shared {
        static SERVER: OnceLock<Server> = OnceLock::new();
        Shared(SERVER.get_or_init(|| Setup::bare().option("--idle-seconds-max 30").start_shared()))
    }

    /// One with the data packages preloaded, shared.
    pub(crate) fn data() -> Shared {
        static SERVER: OnceLock<Server> = OnceLock::new();
        Shared(SERVER.get_or_init(|| {
            let setup = Setup { arguments: Vec::new(), ..Setup::with_python(&python::data()) };
            setup.option("--idle-seconds-max 30").start_shared()
        }))
    }

    /// One of the test's own, with these options, separated by spaces.
    pub(crate) fn with(options: &str) -> Self {
        Setup::bare().option(options).start()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.join("state")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Sends a body to /execute.
    pub(crate) fn post(&self, body: &str) -> Answer {
        client::send(self.address, &client::post(body))
    }

    /// Runs code in a session of that name.
    pub(crate) fn run_in(&self, id: &str, code: &str) -> Answer {
        self.post(&json!({ "id": id, "code": code }).to_string())
    }

    /// Runs code in a new session.
    pub(crate) fn run(&self, code: &str) -> Answer {
        self.session().run(code)
    }

    /// A name that no other test uses.
    pub(crate) fn session(&self) -> Session<'_> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Session { server: self, id: format!("test-{}-{number}", std::process::id()) }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the server is there to be signalled");
    }

    /// Waits until the server is gone.
    pub(crate) fn wait(mut self) -> Stopped {
        let status = wait_for(STOP_MAX, || self.child.try_wait().expect("a child can be waited for"));
        let log = self.log();
        Stopped { status: status.unwrap_or_else(|| panic!("the server does not end:\n{log}")), log }
    }

    /// Ends it by a signal, so that another one can take its sessions over.
    pub(crate) fn end_by(mut self, signal: Signal) -> Ended {
        self.signal(signal);
        let status = wait_for(STOP_MAX, || self.child.try_wait().expect("a child can be waited for"));
        assert!(status.is_some(), "the server does not end:\n{}", self.log());
        let folder = self._removed_at_the_end.take().expect("it is no shared server");
        Ended { address: self.address, folder }
    }

    /// Asks for a session by a body of POST /v1/sessions.
    pub(crate) fn create(&self, body: &str) -> Answer {
        client::send(self.address, &client::post_to("/v1/sessions", body))
    }

    /// The session of that name as it is now.
    pub(crate) fn look_at(&self, id: &str) -> Answer {
        self.get(&format!("/v1/sessions/{id}"))
    }

    /// A session of this test alone, which is to have these limits.
    pub(crate) fn session_with(&self, limits: &serde_json::Value) -> Session<'_> {
        let session = self.session();
        let created = self.create(&json!({ "id": session.id, "limits": limits }).to_string());
        assert_eq!(created.status, 201, "{created:?}");
        session
    }

    /// Ends the session of that name.
    pub(crate) fn delete(&self, id: &str) -> Answer {
        let request = format!("DELETE /v1/sessions/{id} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        client::send(self.address, request.as_bytes())
    }

    /// Has a session that was made run code, by a body of POST /v1/sessions/{id}/executions.
    pub(crate) fn ask(&self, id: &str, body: &serde_json::Value) -> Answer {
        client::send(self.address, &client::post_to(&format!("/v1/sessions/{id}/executions"), &body.to_string()))
    }

    /// Sends a body by any method.
    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        let request = String::from_utf8(client::post_to(path, body)).expect("it is text");
        client::send(self.address, request.replacen("POST", method, 1).as_bytes())
    }

    /// Asks for something by GET.
    pub(crate) fn get(&self, path: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        client::send(self.address, request.as_bytes())
    }

    fn show_log_of_failure(&self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            println!("log of the server:\n{}", lines[lines.len().saturating_sub(30)..].join("\n"));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.show_log_of_failure();
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let _ = kill_process(self.pid(), Signal::TERM);
        // At the second signal it ends without waiting for what runs.
        std::thread::sleep(Duration::from_millis(50));
        let _ = kill_process(self.pid(), Signal::TERM);
        if wait_for(STOP_MAX, || self.child.try_wait().ok().flatten()).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Deref for Shared {
    type Target = Server;

    fn deref(&self) -> &Server {
        self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.show_log_of_failure();
    }
}

impl Session<'_> {
    pub(crate) fn run(&self, code: &str) -> Answer {
        self.server.run_in(&self.id, code)
    }

    /// Runs code that must succeed and say nothing but its standard output, which is returned.
    pub(crate) fn print(&self, code: &str) -> String {
        let answer = self.run(code);
        assert_eq!((answer.status, answer.stderr(), answer.error()), (200, "", ""), "{code}\n{answer:?}");
        answer.stdout().to_owned()
    }
}
