//! The ways to run the server that attacks are tried on.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::python;
use crate::server::{BINARY, Setup};

/// Who the server runs as where that is to be an ordinary user.
pub(crate) const USER: u32 = 54_321;

/// Turns the host into one that refuses namespaces and mounts, for the server alone.
const REFUSER: &str = include_str!("refuse_namespaces.py");

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// As root, `--isolation strict`.
    Root,
    /// As an ordinary user, `--isolation strict`.
    User,
    /// On a host that refuses namespaces and mounts, as root, `--isolation reduced`.
    Reduced,
    /// The same as an ordinary user, where all sessions share the server's uid.
    ReducedUser,
}

impl Way {
    pub(crate) const ALL: [Self; 4] = [Self::Root, Self::User, Self::Reduced, Self::ReducedUser];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::User => "user",
            Self::Reduced => "reduced",
            Self::ReducedUser => "reduced-user",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.name() == name)
    }

    pub(crate) fn is_reduced(self) -> bool {
        matches!(self, Self::Reduced | Self::ReducedUser)
    }

    pub(crate) fn is_root(self) -> bool {
        matches!(self, Self::Root | Self::Reduced)
    }

    /// Those that the user who runs the tests can try; says which those are not.
    pub(crate) fn possible() -> Vec<Self> {
        let root = rustix::process::geteuid().is_root();
        let (possible, left_out): (Vec<_>, Vec<_>) = Self::ALL.into_iter().partition(|way| root || !way.is_root());
        for way in left_out {
            println!("left out, as the tests do not run as root: the server as `{}`", way.name());
        }
        possible
    }

    /// The uid to switch to, where the tests have to switch.
    pub(crate) fn uid(self) -> Option<u32> {
        (!self.is_root() && rustix::process::geteuid().is_root()).then_some(USER)
    }

    pub(crate) fn setup(self) -> Setup {
        // Only a root of its own can be built from folders that others may not enter.
        let interpreter = if self == Self::Root { python::bare() } else { for_everybody() };
        let setup = Setup { uid: self.uid(), ..Setup::with_python(interpreter) };
        if self.is_reduced() { Setup { binary: refuser(), ..setup }.option("--isolation reduced") } else { setup }
    }
}

/// An interpreter that every user may enter.
fn for_everybody() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        if !rustix::process::geteuid().is_root() {
            return python::bare().to_owned();
        }
        let may_be_used = |path: &PathBuf| {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", &USER.to_string(), "--regid", &USER.to_string(), "--clear-groups"]);
            // By way of a shell: setpriv still has rights of root's when it executes its program.
            command.args(["sh", "-c", "exec \"$0\" -I -c ''"]).arg(path);
            command.output().is_ok_and(|output| output.status.success())
        };
        let all = python::all().into_iter().map(|python| python.path);
        all.into_iter().find(may_be_used).expect("an interpreter that every user may use (Debian: apt install python3)")
    })
}

/// A program that starts the server on a host that refuses.
pub(crate) fn refuser() -> PathBuf {
    script("refuse_namespaces", REFUSER)
}

/// A Python program as an executable file that starts the server with its own arguments.
pub(crate) fn script(name: &str, text: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("{name}-{}.py", std::process::id()));
    let interpreter = for_everybody().display();
    let text = format!("#!{interpreter} -I\nBINARY = {BINARY:?}\n{text}");
    // By another process, and moved into place: a file that this one has open for writing when another thread forks
    // cannot be executed (ETXTBSY).
    let write = "unfinished=$(mktemp \"$0.XXXXXX\") && cat >\"$unfinished\" && chmod 755 \"$unfinished\" && mv \"$unfinished\" \"$0\"";
    let mut shell =
        Command::new("sh").args(["-c", write]).arg(&path).stdin(Stdio::piped()).spawn().expect("there is sh");
    let mut input = shell.stdin.take().expect("its input is a pipe");
    input.write_all(text.as_bytes()).expect("it reads");
    drop(input);
    assert!(shell.wait().expect("it ends").success(), "{} can be written", path.display());
    path
}
