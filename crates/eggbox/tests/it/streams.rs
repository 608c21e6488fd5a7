//! Bytes and order within each stream: everything that reaches a descriptor counts, whoever wrote it.

use crate::server::Server;

fn stdout_of(code: &str) -> String {
    Server::bare().session().print(code)
}

#[test]
fn print_os_write_c_and_children_keep_their_order() {
    let code = "\
import ctypes, os, subprocess, sys
c = ctypes.CDLL(None)
for n in range(3):
    print(n, 'print', end=' ')
    os.write(1, b'write ')
    c.printf(b'printf ')
    subprocess.run(['echo', '-n', 'child '])
    sys.stdout.buffer.write(b'buffer ')
    os.system('printf system')
    print()
";
    let expected: String = (0..3).map(|n| format!("{n} print write printf child buffer system\n")).collect();
    assert_eq!(stdout_of(code), expected);
}

#[test]
fn stderr_keeps_its_order_too() {
    let code = "\
import ctypes, os, subprocess, sys, warnings
print('print', end=' ', file=sys.stderr)
os.write(2, b'write ')
subprocess.run('printf child >&2', shell=True)
sys.stderr.write(' text\\n')
1/0
";
    let answer = Server::bare().run(code);
    assert!(answer.stderr().starts_with("print write child text\nTraceback (most recent call last):\n"), "{answer:?}");
}

#[test]
fn what_is_printed_without_a_newline_or_a_flush_arrives() {
    assert_eq!(stdout_of("print('egg', end='')"), "egg");
    assert_eq!(stdout_of("import sys; sys.stdout.write('egg')"), "egg");
    assert_eq!(stdout_of("import ctypes; ctypes.CDLL(None).printf(b'egg')"), "egg");
    assert_eq!(stdout_of("import io; f = open(1, 'w', closefd=False); f.write('egg'); f.flush()"), "egg");
}

#[test]
fn what_is_not_utf_8_becomes_a_replacement_character() {
    assert_eq!(stdout_of("import os; os.write(1, b'a\\xffb\\xc3(\\xf0\\x9f')"), "a\u{fffd}b\u{fffd}(\u{fffd}");
    let answer = Server::bare().run("import os; os.write(2, bytes(range(128, 256)) + b'end')");
    assert!(answer.stderr().ends_with("end") && answer.stderr().starts_with('\u{fffd}'), "{answer:?}");
}

#[test]
fn a_character_split_over_writes_is_whole() {
    assert_eq!(
        stdout_of("import os, time\nfor b in 'é🥚'.encode():\n    os.write(1, bytes([b])); time.sleep(.01)"),
        "é🥚"
    );
}

#[test]
fn a_lone_surrogate_does_no_harm() {
    let server = Server::bare();
    let session = server.session();
    let printed = session.print("print('a\\ud800b\\udfff', chr(0xdc80)); print('end')");
    assert!(printed.starts_with("a\u{fffd}") && printed.ends_with("\nend\n"), "{printed:?}");
    let answer = session.run("import sys; print('a\\ud800b', file=sys.stderr); raise ValueError('\\udc80')");
    assert_eq!(answer.status, 200);
    assert!(answer.stderr().starts_with("a\\ud800b\n") && answer.stderr().contains("ValueError: "), "{answer:?}");
}

#[test]
fn control_characters_and_nulls_arrive() {
    assert_eq!(stdout_of("print('\\0\\x01\\x1b[31m\\x7f\\u2028\\\"\\\\')"), "\0\x01\x1b[31m\x7f\u{2028}\"\\\n");
    assert_eq!(stdout_of("print('a\\r\\nb\\rc')"), "a\r\nb\rc\n");
}

#[test]
fn redirection_and_rebinding_work_as_in_a_script() {
    let server = Server::bare();
    let session = server.session();
    let code = "import contextlib, io, sys\nb = io.StringIO()\nwith contextlib.redirect_stdout(b):\n    print('in')\n\
        print(repr(b.getvalue()))";
    assert_eq!(session.print(code), "'in\\n'\n");
    session.run("keep = sys.stdout; sys.stdout = io.StringIO(); print('lost')");
    assert_eq!(session.print("sys.stdout = keep; print('back')"), "back\n");
    session.run("sys.stdout = None; print('nowhere')");
    assert_eq!(session.print("sys.stdout = sys.__stdout__; print('back')"), "back\n");
}

#[test]
fn closed_streams_and_descriptors_do_not_cost_the_session() {
    let server = Server::with("--wall-seconds-max 5 --shutdown-grace-seconds 1");
    let session = server.session();
    session.run("import os, sys; x = 1; sys.stdout.close()");
    assert_eq!(session.run("os.write(1, b'raw')").stdout(), "raw");
    let closed = session.run("os.close(1); os.close(2); print(1)");
    assert_eq!((closed.status, closed.stdout()), (200, ""));
    assert_eq!(session.run("x += 1; assert x == 2").error(), "");
}

#[test]
fn output_between_executions_does_not_leak_into_the_next() {
    let server = Server::bare();
    let session = server.session();
    session.print(
        "import os, threading, time\ndef late():\n    time.sleep(.2)\n    print('late'); os.write(2, b'late')\n\
         t = threading.Thread(target=late); t.start()\nprint('now')",
    );
    std::thread::sleep(std::time::Duration::from_millis(600));
    assert_eq!(session.print("t.join(); print('next')"), "next\n");
}

#[test]
fn output_of_a_thread_and_a_child_that_are_joined_is_there() {
    let code = "\
import os, threading
t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()
pid = os.fork()
if pid == 0:
    os.write(1, b'child\\n'); os._exit(0)
os.waitpid(pid, 0)
print('parent')
";
    assert_eq!(stdout_of(code), "thread\nchild\nparent\n");
}
