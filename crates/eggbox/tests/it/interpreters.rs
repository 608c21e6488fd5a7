//! Which interpreters work: those of the host, virtual environments, odd places; and which are refused by name.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::python::{self, Python};
use crate::server::Setup;
use crate::tracebacks;

/// A handful of programs that touch what differs between versions and installations.
const SMOKE: &str = "\
import asyncio, ctypes, json, multiprocessing, pickle, sqlite3, ssl, subprocess, sys, tempfile, threading, zlib
class A: pass
assert pickle.loads(pickle.dumps(A())).__class__ is A
async def f(): return 1
assert await f() == 1
with tempfile.TemporaryDirectory(): pass
t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()
with multiprocessing.get_context('fork').Pool(1) as pool: assert pool.map(abs, [-1]) == [1]
assert subprocess.check_output([sys.executable, '-c', 'print(1)']) == b'1\\n'
print(*sys.version_info[:2])
";

fn check(python: &Path, version: (u32, u32)) {
    let server = Setup::with_python(python).start();
    let session = server.session();
    assert_eq!(session.print(SMOKE), format!("thread\n{} {}\n", version.0, version.1), "{}", python.display());
    let denied = session.run("import os; os.remove('file.txt')");
    assert_eq!(denied.error(), "[Errno 13] Permission denied: filesystem access restricted");
    assert_eq!(session.print("print(A.__name__)"), "A\n");
}

fn bare() -> Python {
    python::all().into_iter().find(|python| python.path == python::bare()).expect("the first is among all")
}

fn refusal(python: &Path) -> String {
    let stopped = Setup::with_python(python).run_to_end();
    assert!(!stopped.status.success(), "{} was taken", python.display());
    stopped.log
}

fn virtual_environment(base: &Path, folder: &Path) -> PathBuf {
    let made = Command::new(base).args(["-m", "venv", "--without-pip"]).arg(folder).output().expect("it can be run");
    assert!(made.status.success(), "{made:?}");
    folder.join("bin/python3")
}

#[test]
fn every_version_found_works() {
    let found = python::all();
    println!("found: {found:#?}");
    for Python { path, version } in found {
        check(&path, version);
    }
}

#[test]
fn every_version_prints_its_own_tracebacks() {
    let mut failed = Vec::new();
    for python in python::all() {
        let server = Setup::with_python(&python.path).start();
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| tracebacks::check(&server, &python)));
        failed.extend(checked.err().map(|_| python));
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn a_name_is_looked_up_on_path() {
    check(Path::new("python3"), bare().version);
}

#[test]
fn virtual_environments_of_each_kind_of_base() {
    let folder = python::own_folder();
    let mut bases = vec![bare()];
    bases.extend(python::all().into_iter().filter(|python| python.path.starts_with("/usr/bin")));
    for (n, base) in bases.iter().enumerate() {
        let python = virtual_environment(&base.path, &folder.path().join(n.to_string()));
        let site = python.ancestors().nth(2).expect("it is two folders down");
        let site = site.join(format!("lib/python{}.{}/site-packages", base.version.0, base.version.1));
        std::fs::write(site.join("only_here.py"), "x = 5").expect("a module can be added");
        check(&python, base.version);
        let session = Setup::with_python(&python).start();
        let found =
            session.run("import only_here, sys; print(only_here.x, sys.prefix != sys.base_prefix, sys.executable)");
        assert_eq!(found.stdout(), format!("5 True {}\n", python.display()), "{found:?}");
    }
}

#[test]
fn a_path_with_links_in_it() {
    let folder = python::own_folder();
    let environment = virtual_environment(python::bare(), &folder.path().join("real"));
    symlink("real", folder.path().join("linked")).expect("a link can be made");
    symlink(folder.path().join("linked/bin"), folder.path().join("again")).expect("a link can be made");
    check(&folder.path().join("again").join(environment.file_name().expect("it has a name")), bare().version);
    symlink(python::bare(), folder.path().join("my python")).expect("a link can be made");
    check(&folder.path().join("my python"), bare().version);
}

#[test]
fn an_environment_beneath_tmp() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    check(&virtual_environment(python::bare(), &folder.path().join("env")), bare().version);
}

#[test]
fn an_interpreter_beneath_a_folder_that_is_closed_to_others() {
    if !rustix::process::geteuid().is_root() {
        println!("these tests do not run as root: a folder closed to sessions is closed to the server as well");
        return;
    }
    let folder = python::own_folder();
    let closed = folder.path().join("closed");
    let python = virtual_environment(python::bare(), &closed.join("env"));
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).expect("it can be closed");
    check(&python, bare().version);
}

#[test]
fn what_is_no_interpreter_is_refused_by_name() {
    let missing = refusal(Path::new("/nowhere/python3"));
    assert!(missing.contains("/nowhere/python3") && missing.contains("--python"), "{missing}");
    let unknown = refusal(Path::new("no-such-python"));
    assert!(unknown.contains("no-such-python") && unknown.contains("--python"), "{unknown}");
    for foreign in ["/bin/true", "/bin/false", "/bin/echo", "/etc/passwd", "/tmp"] {
        let log = refusal(Path::new(foreign));
        assert!(log.contains(foreign) && log.lines().count() < 6, "{log}");
    }
}

#[test]
fn an_interpreter_that_is_too_old_or_another_python_is_refused_by_name() {
    let folder = python::own_folder();
    let fake = |name: &str, implementation: &str, version: &str| {
        let path = folder.path().join(name);
        let rest = r#""prefixes": [], "module_path": []"#;
        let says = format!(
            r#"{{"executable": "{}", "version": "{version}", "implementation": "{implementation}", {rest}}}"#,
            path.display()
        );
        std::fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).expect("a script can be written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it can be made executable");
        path
    };
    for (name, implementation, version) in
        [("old", "cpython", "3.8.18"), ("older", "cpython", "2.7.18"), ("pypy", "pypy", "3.10.14")]
    {
        let path = fake(name, implementation, version);
        let log = refusal(&path);
        assert!(
            log.contains(path.to_str().expect("text")) && log.contains(version) && log.contains("3.9 or later"),
            "{log}"
        );
    }
    let old: Vec<PathBuf> = ["2.7.18", "3.6.15", "3.7.16", "3.8.18"]
        .iter()
        .filter_map(|version| Some(std::env::home_dir()?.join(".pyenv/versions").join(version).join("bin/python")))
        .filter(|path| path.exists())
        .collect();
    println!("old interpreters found: {old:?}");
    for path in old {
        let log = refusal(&path);
        assert!(log.contains(path.to_str().expect("text")), "{log}");
    }
}

#[test]
fn a_preload_that_fails_is_refused_by_name() {
    let folder = python::own_folder();
    let environment = virtual_environment(python::bare(), &folder.path().join("env"));
    let mut setup = Setup::with_python(&environment);
    setup.arguments = vec!["--preload=json,no_such_module".to_owned()];
    let stopped = setup.run_to_end();
    assert!(!stopped.status.success() && stopped.log.contains("no_such_module"), "{}", stopped.log);
}
