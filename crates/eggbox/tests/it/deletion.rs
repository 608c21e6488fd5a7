//! Nothing in the working directory can be deleted or replaced, by whatever route; scratch is free.

use crate::server::{Server, Session};

const DENIED: &str = "[Errno 13] Permission denied: filesystem access restricted";

/// Makes `file` (with the text `egg`), `other`, the empty folder `empty` and `tree/leaf`.
const PREPARE: &str = "\
import ctypes, errno, os, pathlib, platform, shutil, subprocess, tempfile
from pathlib import Path
for name, text in (('file', 'egg'), ('other', 'other')):
    Path(name).write_text(text)
os.mkdir('empty'); os.makedirs('tree'); Path('tree/leaf').write_text('leaf')
libc = ctypes.CDLL(None, use_errno=True)
here = os.open('.', os.O_RDONLY)
x86 = platform.machine() == 'x86_64'
";

/// Fails unless everything that was prepared is as it was.
const STILL_THERE: &str = "\
os.chdir('/workspace')
assert Path('file').read_text() == 'egg', Path('file').read_text()
assert Path('other').read_text() == 'other'
assert Path('tree/leaf').read_text() == 'leaf' and os.path.isdir('empty')
";

/// Python's own ways, each of which the kernel would refuse.
const CALLS: &[&str] = &[
    "os.remove('file')",
    "os.remove(b'file')",
    "os.remove(Path('file'))",
    "os.remove('/workspace/file')",
    "os.remove('tree/../file')",
    "os.remove('file', dir_fd=here)",
    "os.unlink('file')",
    "Path('file').unlink()",
    "Path('file').unlink(missing_ok=True)",
    "os.rmdir('empty')",
    "os.rmdir('empty', dir_fd=here)",
    "Path('empty').rmdir()",
    "os.removedirs('empty')",
    "shutil.rmtree('tree')",
    "os.rename('file', 'other')",
    "os.rename('file', 'new')",
    "os.replace('file', 'other')",
    "os.replace('file', 'new')",
    "os.renames('file', 'new')",
    "Path('file').rename('other')",
    "Path('file').replace('other')",
    "os.rename('empty', 'elsewhere')",
    "os.rename('tree/leaf', 'file')",
    "shutil.move('file', 'new')",
    "os.rename('file', 'tree/leaf', src_dir_fd=here, dst_dir_fd=here)",
];

/// Ways around Python's own calls.
const ROUTES: &[&str] = &[
    "subprocess.run(['rm', '-rf', 'file', 'tree', 'empty'])",
    "os.system('rm -f /workspace/file; rmdir /workspace/empty; unlink /workspace/file')",
    "subprocess.run('mv file other; mv file new; mv other /tmp/', shell=True)",
    "subprocess.run(['find', '.', '-delete'])",
    "subprocess.run([__import__('sys').executable, '-c', 'import os; os.remove(\"file\")'])",
    "libc.unlink(b'file'); libc.rmdir(b'empty'); libc.remove(b'file'); libc.rename(b'file', b'other')",
    "libc.unlinkat(here, b'file', 0); libc.unlinkat(here, b'empty', 0x200)",
    "libc.renameat(here, b'file', here, b'other'); libc.renameat2(here, b'file', here, b'other', 0)",
    "libc.renameat2(here, b'file', here, b'other', 2)",
    "[libc.syscall(n, b'file', b'other', 0) for n in (87, 82) if x86]; libc.syscall(84, b'empty') if x86 else 0",
    "[libc.syscall(n, here, b'file', 0) for n in (263 if x86 else 35,)]",
    "[libc.syscall(n, here, b'file', here, b'other', f) for n in ((264, 316) if x86 else (38, 276)) for f in (0, 2)]",
    "os.fork() or (libc.unlink(b'file'), os._exit(0))",
    "__import__('threading').Thread(target=lambda: libc.unlink(b'file')).start()",
    "libc.mount(b'none', b'/workspace', b'tmpfs', 0, None)",
    "libc.umount2(b'/workspace', 2)",
];

fn prepared(server: &Server) -> Session<'_> {
    let session = server.session();
    session.print(PREPARE);
    session
}

#[test]
fn an_uncaught_refusal_is_the_error_and_keeps_the_output_so_far() {
    let server = Server::bare();
    for call in CALLS {
        let session = prepared(&server);
        let answer = session.run(&format!("print('before')\n{call}\nprint('after')"));
        assert_eq!((answer.stdout(), answer.stderr(), answer.error()), ("before\n", "", DENIED), "{call}");
        session.print(STILL_THERE);
    }
}

#[test]
fn a_caught_refusal_is_an_ordinary_permission_error() {
    let server = Server::bare();
    let session = prepared(&server);
    for call in CALLS {
        let code = format!(
            "try:\n    {call}\n\
                except OSError as e:\n    print(type(e).__name__, e.errno == errno.EACCES == e.args[0], e)\n\
                    else:\n    print('no')"
        );
        assert_eq!(session.print(&code), format!("PermissionError True {DENIED}\n"), "{call}");
    }
    session.print(STILL_THERE);
}

#[test]
fn code_that_looks_before_it_deletes_can_go_on() {
    let server = Server::bare();
    let session = prepared(&server);
    session.print(
        "shutil.rmtree('tree', ignore_errors=True)\nimport contextlib\n\
        with contextlib.suppress(OSError): os.remove('file')",
    );
    session.print(STILL_THERE);
    let raised =
        session.run("try:\n    os.remove('file')\nexcept OSError as e:\n    raise RuntimeError('mine') from e");
    assert_eq!(raised.error(), "");
    assert!(raised.stderr().contains(DENIED) && raised.stderr().ends_with("RuntimeError: mine\n"), "{raised:?}");
}

#[test]
fn no_other_route_gets_past_the_kernel() {
    let server = Server::bare();
    for route in ROUTES {
        let session = prepared(&server);
        let answer = session.run(route);
        assert_eq!(answer.status, 200, "{route}");
        let after = session.run(STILL_THERE);
        assert_eq!((after.stderr(), after.error()), ("", ""), "{route}: {answer:?}");
    }
}

#[test]
fn the_kernels_answer_is_an_errno() {
    let server = Server::bare();
    let session = prepared(&server);
    let code = "print(libc.unlink(b'file'), errno.errorcode[ctypes.get_errno()])";
    assert_eq!(session.print(code), "-1 EACCES\n");
    assert_eq!(
        session
            .print("print(subprocess.run(['rm', 'file'], capture_output=True).stderr.decode())")
            .matches("Permission denied")
            .count(),
        1
    );
}

#[test]
fn what_is_not_a_deletion_is_allowed() {
    let server = Server::bare();
    let session = prepared(&server);
    session.print("Path('file').write_text('new'); Path('file').open('a').write('er'); os.truncate('other', 0)");
    session.print("os.symlink('file', 'link'); os.link('file', 'hard'); os.chmod('file', 0o600); os.utime('file')");
    assert_eq!(
        session.print("print(Path('link').read_text(), Path('hard').read_text(), sorted(os.listdir()))"),
        "newer newer ['empty', 'file', 'hard', 'link', 'other', 'tree']\n"
    );
}

#[test]
fn scratch_is_free() {
    let server = Server::bare();
    let session = prepared(&server);
    let code = "\
for scratch in ('/tmp', '/dev/shm'):
    os.chdir(scratch)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        Path(folder, 'a').write_text('a'); os.makedirs(folder + '/b/c')
    with tempfile.NamedTemporaryFile(dir=scratch) as file:
        file.write(b'a')
    Path('a').write_text('a'); Path('b').write_text('b')
    os.replace('a', 'b'); os.rename('b', 'c'); os.remove('c')
    os.makedirs('d/e/f'); Path('d/e/g').touch(); shutil.rmtree('d')
    os.makedirs('h/i'); os.removedirs('h/i')
    Path('j').touch(); subprocess.run(['rm', 'j'], check=True)
    print(os.listdir())
os.chdir('/workspace')
";
    assert_eq!(session.print(code), "[]\n[]\n");
    let missing = session.run("os.remove('/tmp/missing')");
    assert!(missing.stderr().ends_with("FileNotFoundError: [Errno 2] No such file or directory: '/tmp/missing'\n"));
}

#[test]
fn the_read_only_parts_refuse_as_well() {
    let server = Server::bare();
    let session = prepared(&server);
    for call in
        ["os.remove('/etc/hosts')", "os.rmdir('/usr')", "os.remove(os.__file__)", "os.rename('/etc/hosts', '/tmp/x')"]
    {
        let answer = session.run(call);
        assert_eq!(answer.error(), DENIED, "{call}: {answer:?}");
    }
    assert_eq!(session.print("print(os.path.exists('/etc/hosts'), os.path.isdir('/usr'))"), "True True\n");
}
