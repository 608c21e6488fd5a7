//! What ordinary programs rely on: a real `__main__`, threads, processes, asyncio, the local network.

use crate::server::Server;

fn print(code: &str) -> String {
    Server::bare().session().print(code)
}

#[test]
fn main_is_a_real_module() {
    let server = Server::bare();
    let session = server.session();
    session.print("import __main__, sys, pickle\nclass A:\n    def __init__(self): self.x = 1\ndef f(): pass");
    assert_eq!(
        session.print("print(__name__, A.__module__, __main__.A is A, sys.modules['__main__'] is __main__)"),
        "__main__ __main__ True True\n"
    );
    assert_eq!(
        session.print("print(pickle.loads(pickle.dumps(A())).x, pickle.loads(pickle.dumps(f)) is f)"),
        "1 True\n"
    );
    assert_eq!(
        session.print(
            "import dataclasses, typing\n@dataclasses.dataclass\nclass P:\n    x: 'int' = 3\n\
        print(typing.get_type_hints(P), P())"
        ),
        "{'x': <class 'int'>} P(x=3)\n"
    );
    assert_eq!(session.print("if __name__ == '__main__':\n    print(sys.argv, vars() is globals())"), "[''] True\n");
}

#[test]
fn threads_and_pools() {
    assert_eq!(
        print(
            "from concurrent.futures import *\n\
                with ThreadPoolExecutor(8) as e:\n    print(sum(e.map(lambda n: n * n, range(100))))"
        ),
        "328350\n"
    );
    assert_eq!(
        print(
            "import threading\nt = [threading.Thread(target=print, args=(n,)) for n in range(3)]\n\
                for x in t: x.start(); x.join()"
        ),
        "0\n1\n2\n"
    );
}

#[test]
fn multiprocessing_by_fork() {
    let code = "\
import multiprocessing as m
def square(n):
    return n * n
c = m.get_context('fork')
with c.Pool(2) as pool:
    print(pool.map(square, range(5)))
q = c.Queue(); p = c.Process(target=q.put, args=('from the child',)); p.start(); print(q.get()); p.join()
v = c.Value('i', 0); p = c.Process(target=lambda: setattr(v, 'value', 7)); p.start(); p.join()
print(v.value, p.exitcode)
";
    assert_eq!(print(code), "[0, 1, 4, 9, 16]\nfrom the child\n7 0\n");
}

#[test]
fn multiprocessing_by_spawn_and_fork_server() {
    let code = "\
import math, multiprocessing as m, pathlib
pathlib.Path('own_module.py').write_text('def double(n): return 2 * n')
import own_module
for method in ('spawn', 'forkserver'):
    with m.get_context(method).Pool(1) as pool:
        print(method, pool.map(math.factorial, [5]), pool.map(own_module.double, [4]))
";
    assert_eq!(print(code), "spawn [120] [8]\nforkserver [120] [8]\n");
}

#[test]
fn process_pool_executor_and_shared_memory() {
    let code = "\
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, shared_memory
def add(n): return n + 1
with ProcessPoolExecutor(2, mp_context=get_context('fork')) as e:
    print(list(e.map(add, range(3))))
s = shared_memory.SharedMemory(create=True, size=10); s.buf[0] = 5; print(s.buf[0]); s.close(); s.unlink()
";
    assert_eq!(print(code), "[1, 2, 3]\n5\n");
}

#[test]
fn a_forked_child_that_reaches_the_end_of_the_code_is_no_second_session() {
    let server = Server::bare();
    for (ending, status) in [("pass", 0), ("raise SystemExit(3)", 3), ("import sys; sys.exit('said')", 1), ("1/0", 1)] {
        let session = server.session();
        let code = "\
import os
pid = os.fork()
if pid == 0:
    print('child')
    ENDING
else:
    status = os.waitpid(pid, 0)[1]
    print('parent', os.WEXITSTATUS(status), os.WIFEXITED(status))
";
        let answer = session.run(&code.replace("ENDING", ending));
        assert_eq!(
            (answer.stdout(), answer.error()),
            (format!("child\nparent {status} True\n").as_str(), ""),
            "{ending}: {answer:?}"
        );
        assert_eq!(session.print("print(os.getpid(), len(os.listdir('/proc/self/task')))"), "1 1\n", "{ending}");
    }
}

#[test]
fn a_forked_child_that_outlives_the_execution_does_not_answer_for_it() {
    let server = Server::bare();
    let session = server.session();
    session.print("import os, time\nif os.fork() == 0: time.sleep(.3)");
    assert_eq!(session.print("time.sleep(.6); print('parent')"), "parent\n");
    session.print("import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)");
    assert_eq!(session.print("print(1)"), "1\n");
}

#[test]
fn subprocesses() {
    let code = "\
import subprocess, sys
print(subprocess.check_output(['sh', '-c', 'echo $((6 * 7))'], text=True), end='')
r = subprocess.run([sys.executable, '-c', 'print(input())'], input='in\\n', capture_output=True, text=True)
print(r.stdout, end='')
print(subprocess.run('exit 3', shell=True).returncode, subprocess.getoutput('printf x | tr x y'))
print(subprocess.run(['sleep', '0'], timeout=10).returncode)
";
    assert_eq!(print(code), "42\nin\n3 y\n0\n");
}

#[test]
fn asyncio_runs_and_has_subprocesses() {
    let code = "\
import asyncio
async def echo():
    p = await asyncio.create_subprocess_exec('cat', stdin=-1, stdout=-1)
    return (await p.communicate(b'meow'))[0]
async def main():
    return await asyncio.gather(echo(), asyncio.to_thread(sum, [1, 2]), asyncio.sleep(0, 'slept'))
print(asyncio.run(main()))
";
    assert_eq!(print(code), "[b'meow', 3, 'slept']\n");
}

#[test]
fn top_level_await_keeps_one_loop_from_request_to_request() {
    let server = Server::bare();
    let session = server.session();
    session.print(
        "import asyncio\nq = asyncio.Queue()\nloop = asyncio.get_running_loop()\nawait q.put(1)\n\
        async def later(): await q.put(2)\nt = asyncio.create_task(later())",
    );
    assert_eq!(session.print("print(await q.get(), await q.get(), loop is asyncio.get_running_loop())"), "1 2 True\n");
    assert_eq!(
        session.print(
            "async with asyncio.Lock() as l: print([n async for n in (x async for x in aiter_())] if 0 else 'in')"
        ),
        "in\n"
    );
    assert_eq!(session.print("x = [await asyncio.sleep(0, n) for n in range(3)]; print(x)"), "[0, 1, 2]\n");
    assert_eq!(session.print("import asyncio\nasync def m(): return 5\nprint(asyncio.run(m()))"), "5\n");
    assert_eq!(session.print("await asyncio.sleep(0); print('again')"), "again\n");
}

#[test]
fn a_server_and_its_client_in_one_session() {
    let code = "\
import http.server, socket, threading, urllib.request
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(self.path.encode())
    def log_message(self, *a): pass
s = http.server.ThreadingHTTPServer(('localhost', 8000), H)
threading.Thread(target=s.serve_forever, daemon=True).start()
for host in ('localhost', '127.0.0.1', 'eggbox'):
    print(urllib.request.urlopen(f'http://{host}:8000/{host}').read())
s.shutdown()
six = socket.create_server(('::1', 0), family=socket.AF_INET6)
print(socket.create_connection(six.getsockname()[:2]).family.name)
";
    assert_eq!(print(code), "b'/localhost'\nb'/127.0.0.1'\nb'/eggbox'\nAF_INET6\n");
}

#[test]
fn signals_timers_and_handlers() {
    assert_eq!(
        print(
            "import signal, time\nsignal.signal(signal.SIGALRM, lambda *a: print('alarm'))\n\
                signal.setitimer(signal.ITIMER_REAL, .05); time.sleep(.2)"
        ),
        "alarm\n"
    );
    assert_eq!(
        print(
            "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\n\
                except KeyboardInterrupt:\n    print('caught')"
        ),
        "caught\n"
    );
}

#[test]
fn the_standard_library_that_needs_the_system() {
    let code = "\
import ctypes, decimal, getpass, hashlib, locale, lzma, mmap, os, platform, pwd, select, sqlite3, socket, ssl, time
import uuid, zoneinfo
db = sqlite3.connect('/tmp/a.db'); db.execute('create table t(x)'); db.execute('insert into t values (1)'); db.commit()
print(db.execute('select * from t').fetchall(), getpass.getuser(), pwd.getpwuid(os.getuid()).pw_name)
print(socket.gethostname())
print(zoneinfo.ZoneInfo('Europe/Paris').key, len(hashlib.sha3_256(b'').hexdigest()), os.cpu_count() > 0)
m = mmap.mmap(-1, 100); m[:3] = b'abc'; print(m[:3], ssl.create_default_context().verify_mode.name, platform.system())
";
    let expected = "[(1,)] eggbox eggbox\neggbox\nEurope/Paris 64 True\nb'abc' CERT_REQUIRED Linux\n";
    assert_eq!(print(code), expected);
}

#[test]
fn a_database_in_the_workspace_needs_a_journal_that_is_not_deleted() {
    let code = "\
import sqlite3
db = sqlite3.connect('a.db'); db.execute('pragma journal_mode = truncate')
db.execute('create table t(x)'); db.execute('insert into t values (1)'); db.commit(); db.close()
print(sqlite3.connect('a.db').execute('select * from t').fetchall())
";
    assert_eq!(print(code), "[(1,)]\n");
}
