//! What a session keeps from one request to the next.

use crate::server::Server;

#[test]
fn variables_functions_classes_and_imports() {
    let server = Server::bare();
    let session = server.session();
    session.print("import json as j\nfrom math import tau\nx = [1]\ndef f(): return x\nclass A:\n    y = 2");
    session.print("a = A(); f().append(a.y); global_ = 3");
    assert_eq!(
        session.print("print(j.dumps(f()), A.y, round(tau, 2), global_, isinstance(a, A))"),
        "[1, 2] 2 6.28 3 True\n"
    );
    session.print("del x");
    assert!(session.run("f()").stderr().ends_with("NameError: name 'x' is not defined\n"));
}

#[test]
fn open_generators_files_locks_and_iterators() {
    let server = Server::bare();
    let session = server.session();
    session.print("import threading\ndef count():\n    n = 0\n    while True:\n        n += 1\n        yield n");
    session.print(
        "g = count(); next(g); f = open('kept.txt', 'w+'); f.write('egg'); lock = threading.Lock(); lock.acquire()",
    );
    assert_eq!(session.print("f.seek(0); print(next(g), f.read(), lock.locked(), f.closed)"), "2 egg True False\n");
}

#[test]
fn a_thread_and_a_child_live_on() {
    let server = Server::bare();
    let session = server.session();
    session.print(
        "import threading, subprocess\ngo, done = threading.Event(), []\n\
         t = threading.Thread(target=lambda: (go.wait(), done.append(1))); t.start()\n\
         cat = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)",
    );
    assert_eq!(session.print("go.set(); t.join(); print(done, cat.communicate(b'egg')[0])"), "[1] b'egg'\n");
}

#[test]
fn what_an_exception_or_a_syntax_error_interrupts_is_kept() {
    let server = Server::bare();
    let session = server.session();
    session.run("x = 1\nraise ValueError");
    session.run("x = 2\n)");
    assert_eq!(session.print("print(x)"), "1\n");
}

#[test]
fn future_statements_and_annotations_are_those_of_a_module() {
    let server = Server::bare();
    let session = server.session();
    session.print("n: int = 3");
    assert_eq!(session.print("print(n, __annotations__)").lines().count(), 1);
    assert_eq!(
        session.print("print(__name__, __builtins__.__name__, type(__import__('sys').modules['__main__']).__name__)"),
        "__main__ builtins module\n"
    );
}

#[test]
fn sessions_see_nothing_of_each_others_variables() {
    let server = Server::bare();
    let (a, b) = (server.session(), server.session());
    a.print("import json; json.dumps = None; marker = 1; __builtins__.len = None");
    assert_eq!(b.print("import json; print(json.dumps(len('ab')), 'marker' in globals())"), "2 False\n");
}

#[test]
fn environment_variables_and_the_working_directory_are_kept() {
    let server = Server::bare();
    let session = server.session();
    session.print("import os; os.environ['EGG'] = 'fried'; os.mkdir('sub'); os.chdir('sub')");
    assert_eq!(
        session.print("import subprocess; subprocess.run('echo $EGG; pwd', shell=True)"),
        "fried\n/workspace/sub\n"
    );
}

#[test]
fn randomness_differs_between_sessions() {
    let server = Server::bare();
    let code = "import random, uuid, os, tempfile, secrets\n\
                print(random.random(), uuid.uuid4(), os.urandom(4), tempfile.mktemp(), secrets.token_hex(4))";
    let (first, second) = (server.session().print(code), server.session().print(code));
    for (a, b) in first.split_whitespace().zip(second.split_whitespace()) {
        assert_ne!(a, b);
    }
}
