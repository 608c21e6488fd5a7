//! The wall, seen from inside: as root, and as a user without rights.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::python;
use crate::server::{BINARY, SECRET, Server, Setup};

/// Some user that is not root; no account of that number is needed.
const UID: u32 = 4711;

/// Runs a check against a server of each mode that this run can have.
fn in_each_mode(check: impl Fn(&Server)) {
    check(&Server::bare());
    if !rustix::process::geteuid().is_root() {
        println!("these tests do not run as root: only the mode without root is tested");
        return;
    }
    let folder = tempfile::Builder::new().prefix("eggbox-test-binary-").tempdir().expect("a folder can be made");
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("it can be opened");
    let binary = folder.path().join("eggbox");
    std::fs::copy(BINARY, &binary).expect("the binary can be copied");
    let python = Path::new("/usr/bin/python3");
    check(&Setup { binary, uid: Some(UID), ..Setup::with_python(python) }.start());
}

#[test]
fn the_kernel_confirms_the_wall() {
    in_each_mode(|server| {
        let status = server.session().print("print(open('/proc/self/status').read())");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap_or_default()
        };
        for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(field(name), "0000000000000000", "{name}");
        }
        for (name, value) in [("NoNewPrivs", "1"), ("Seccomp", "2"), ("Pid", "1"), ("PPid", "0"), ("Threads", "1")] {
            assert_eq!(field(name), value, "{name}");
        }
        let uids: BTreeSet<String> = field("Uid").split(' ').map(str::to_owned).collect();
        assert!(uids.len() == 1 && !uids.contains("0"), "{uids:?}");
        // Without root the kernel does not let groups be dropped; there were none.
        assert!(["", "1000"].contains(&field("Groups").as_str()) || field("Groups").ends_with("65534"), "{status}");
    });
}

#[test]
fn children_and_threads_are_behind_the_same_wall() {
    in_each_mode(|server| {
        let code = "\
import subprocess, threading
subprocess.run(['grep', '-E', '^(NoNewPrivs|Seccomp|CapEff|CapBnd):', '/proc/self/status'])
t = threading.Thread(target=lambda: print([l for l in open('/proc/thread-self/status') if l.startswith('Seccomp:')]))
t.start(); t.join()
";
        let zero = "0000000000000000";
        let expected = format!("CapEff:\t{zero}\nCapBnd:\t{zero}\nNoNewPrivs:\t1\nSeccomp:\t2\n['Seccomp:\\t2\\n']\n");
        assert_eq!(server.session().print(code), expected);
    });
}

#[test]
fn the_environment_is_an_allow_list() {
    let allowed: BTreeSet<&str> =
        "HOME LANG LOGNAME USER PATH XDG_CACHE_HOME MPLBACKEND MPLCONFIGDIR MKL_NUM_THREADS NUMEXPR_NUM_THREADS \
                                   OMP_NUM_THREADS OPENBLAS_NUM_THREADS PYTHONDONTWRITEBYTECODE"
            .split_whitespace()
            .collect();
    in_each_mode(|server| {
        let session = server.session();
        let names = session.print("import os; print(*os.environ)");
        assert_eq!(names.split_whitespace().collect::<BTreeSet<_>>(), allowed);
        // Where the kernel shows this process what it was started with, that is no more than it has now.
        let code = "\
try: print(*(v.split('=')[0] for v in open('/proc/self/environ').read().split('\\0')))
except PermissionError: print('closed')
";
        let raw = session.print(code);
        assert!(raw == "closed\n" || raw.split_whitespace().collect::<BTreeSet<_>>() == allowed, "{raw}");
        let child = session
            .print("import subprocess; print(*(l.split('=')[0] for l in subprocess.getoutput('env').splitlines()))");
        assert_eq!(
            child
                .split_whitespace()
                .filter(|name| !["PWD", "_", "SHLVL", "OLDPWD"].contains(name))
                .collect::<BTreeSet<_>>(),
            allowed
        );
        assert_eq!(session.print(&format!("print('{SECRET}' in str(os.environ))")), "False\n");
    });
}

#[test]
fn the_descriptors_are_the_streams_and_the_channel() {
    in_each_mode(|server| {
        let code = "\
import os
folder = '/proc/self/fd'
fds = {int(n): os.readlink(f'{folder}/{n}') for n in os.listdir(folder) if os.path.lexists(f'{folder}/{n}')}
kinds = {n: to.split(':')[0] for n, to in fds.items()}
print(kinds[0], kinds[1], kinds[2], *(f'{n}={kinds[n]}' for n in sorted(kinds) if n > 2))
";
        assert_eq!(server.session().print(code), "/dev/null pipe pipe 256=socket 257=pipe 258=pipe 259=/memfd\n");
        let inherited =
            server.session().print("import subprocess; print(subprocess.getoutput('ls /proc/self/fd').split())");
        assert_eq!(inherited, "['0', '1', '2', '3']\n");
    });
}

#[test]
fn the_hosts_files_are_not_there() {
    in_each_mode(|server| {
        let session = server.session();
        let marker = tempfile::NamedTempFile::new().expect("a file can be made");
        let paths = [marker.path().to_owned(), server.state_dir(), server.state_dir().join("server.lock")];
        let secret = [
            "/etc/shadow",
            "/root/.ssh",
            "/root/.bashrc",
            "/home",
            "/var",
            "/sys",
            "/boot",
            "/mnt",
            "/run/docker.sock",
            "/proc/1/root/etc/shadow",
            "/.dockerenv",
        ];
        for path in paths.iter().map(|path| path.to_str().expect("the path is text")).chain(secret) {
            let answer = session.print(&format!("import os; print(os.path.exists('{path}'))"));
            assert_eq!(answer, "False\n", "{path}");
        }
        let users = session.print("print({l.split(':')[0] for l in open('/etc/passwd')})");
        assert_eq!(users, "{'eggbox'}\n");
        assert_eq!(
            session.print("import socket, os; print(socket.gethostname(), os.uname().nodename)"),
            "eggbox eggbox\n"
        );
    });
}

#[test]
fn nothing_of_the_host_can_be_reached_over_the_network() {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let six = TcpListener::bind("[::1]:0").ok();
    let name =
        std::os::unix::net::SocketAddr::from_abstract_name(format!("canary-{}", std::process::id())).expect("a name");
    let abstracted = UnixListener::bind_addr(&name).expect("an abstract socket can be bound");
    in_each_mode(|server| {
        let session = server.session();
        let reach = "\
import socket, errno
def reach(family, address):
    s = socket.socket(family); s.settimeout(3)
    try:
        s.connect(address); return 'REACHED'
    except OSError as e:
        return errno.errorcode.get(e.errno, repr(e))
";
        session.print(reach);
        let port = tcp.local_addr().expect("it is bound").port();
        assert_eq!(session.print(&format!("print(reach(socket.AF_INET, ('127.0.0.1', {port})))")), "ECONNREFUSED\n");
        assert_eq!(
            session.print(&format!("print(reach(socket.AF_INET, ('127.0.0.1', {})))", server.address.port())),
            "ECONNREFUSED\n"
        );
        if let Some(six) = &six {
            let port = six.local_addr().expect("it is bound").port();
            assert_eq!(session.print(&format!("print(reach(socket.AF_INET6, ('::1', {port})))")), "ECONNREFUSED\n");
        }
        let path = format!("'\\0canary-{}'", std::process::id());
        assert_ne!(session.print(&format!("print(reach(socket.AF_UNIX, {path}))")), "REACHED\n");
        // There is no route to anywhere, so nothing is sent.
        assert_eq!(
            session.print(
                "print([l.split()[0] for l in list(open('/proc/net/dev'))[2:]], len(list(open('/proc/net/route'))))"
            ),
            "['lo:'] 1\n"
        );
        assert_eq!(session.print("print(reach(socket.AF_INET, ('192.0.2.1', 9)))"), "ENETUNREACH\n");
    });
    tcp.set_nonblocking(true).expect("it can be set");
    abstracted.set_nonblocking(true).expect("it can be set");
    assert_eq!(tcp.accept().expect_err("nobody came").kind(), ErrorKind::WouldBlock);
    assert_eq!(abstracted.accept().expect_err("nobody came").kind(), ErrorKind::WouldBlock);
}

#[test]
fn sessions_see_nothing_of_each_other() {
    in_each_mode(|server| {
        let (a, b) = (server.session(), server.session());
        a.print(
            "\
import os, socket, subprocess, sys
p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)', 'marker-of-a'])
for f in ('/workspace', '/tmp', '/dev/shm'): open(f + '/marker-of-a', 'w').write('marker-of-a')
s = socket.create_server(('127.0.0.1', 4242)); u = socket.socket(socket.AF_UNIX); u.bind('\\0marker-of-a'); u.listen()
os.environ['MARKER'] = 'marker-of-a'
",
        );
        b.print(
            "\
import glob, os, pathlib, socket, subprocess
pids = sorted(os.path.basename(p) for p in glob.glob('/proc/[0-9]*'))
assert pids == ['1'], pids
found = [p for f in ('/workspace', '/tmp', '/dev/shm', '/run') for p in pathlib.Path(f).rglob('*marker-of-a*')]
assert not found, found
for address in (('127.0.0.1', 4242), '\\0marker-of-a'):
    s = socket.socket(socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX)
    assert s.connect_ex(address) != 0, address
assert 'marker-of-a' not in open('/proc/net/unix').read()
try:
    os.kill(2, 0)
except ProcessLookupError: pass
else: raise AssertionError('a process of another session')
",
        );
        let namespaces =
            "import os; print(*(os.readlink(f'/proc/self/ns/{n}') for n in ('pid', 'net', 'mnt', 'ipc', 'uts')))";
        let (of_a, of_b) = (a.print(namespaces), b.print(namespaces));
        assert!(of_a.split_whitespace().zip(of_b.split_whitespace()).all(|(a, b)| a != b), "{of_a}{of_b}");
        a.print("p.kill(); p.wait()");
    });
}

#[test]
fn deletion_is_refused_without_root_too() {
    in_each_mode(|server| {
        let session = server.session();
        session.print("import ctypes, os\nopen('file', 'w').write('egg')");
        let answer = session.run("os.remove('file')");
        assert_eq!(answer.error(), "[Errno 13] Permission denied: filesystem access restricted");
        session.run("ctypes.CDLL(None).unlink(b'file'); os.system('rm -f file; mv file /tmp/file')");
        assert_eq!(session.print("print(open('file').read())"), "egg\n");
        session.print("import tempfile\nwith tempfile.NamedTemporaryFile() as f: f.write(b'x')");
    });
}

#[test]
fn as_root_every_session_has_a_uid_of_its_own() {
    if !rustix::process::geteuid().is_root() {
        println!("these tests do not run as root: sessions share the uid of the server");
        return;
    }
    let server = Server::bare();
    let (a, b) = (server.session(), server.session());
    assert_ne!(
        a.print("import os; print(os.getuid(), os.getgid())"),
        b.print("import os; print(os.getuid(), os.getgid())")
    );
}

#[test]
fn a_user_cannot_use_an_interpreter_that_only_root_may_read() {
    if !rustix::process::geteuid().is_root() {
        println!("these tests do not run as root: an interpreter closed to the server cannot be made");
        return;
    }
    let closed = python::own_folder();
    let binary = closed.path().join("python3");
    std::os::unix::fs::symlink(python::bare(), &binary).expect("a link can be made");
    std::fs::set_permissions(closed.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("it can be closed");
    let open = tempfile::Builder::new().prefix("eggbox-test-binary-").tempdir().expect("a folder can be made");
    std::fs::set_permissions(open.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("it can be opened");
    let copy = open.path().join("eggbox");
    std::fs::copy(BINARY, &copy).expect("the binary can be copied");
    let stopped = Setup { binary: copy, uid: Some(UID), ..Setup::with_python(&binary) }.run_to_end();
    assert!(!stopped.status.success());
    assert!(
        stopped.log.contains(binary.to_str().expect("text")) && stopped.log.contains("--python"),
        "{}",
        stopped.log
    );
}
