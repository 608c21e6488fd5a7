//! Tracebacks are those that `python3 file` prints, but for the name of the file: each program runs on the host too.

use std::path::Path;
use std::process::Command;

use crate::python;
use crate::server::Server;

/// Programs that fail, with the oldest Python that knows their syntax.
const PROGRAMS: &[(&str, (u32, u32), &str)] = &[
    ("a plain exception", (3, 9), "x = 1\nraise ValueError('no eggs')\n"),
    (
        "nested functions",
        (3, 9),
        "def f(n):\n    return g(n) + 1\n\ndef g(n):\n    return 1 / n\n\nprint(f(1))\nf(0)\n",
    ),
    ("a method and a lambda", (3, 9), "class A:\n    def m(self):\n        return (lambda: self.missing)()\nA().m()\n"),
    ("a cause", (3, 9), "try:\n    {}['a']\nexcept KeyError as e:\n    raise RuntimeError('b') from e\n"),
    ("a context", (3, 9), "def f():\n    try:\n        1/0\n    finally:\n        [].pop()\nf()\n"),
    ("a suppressed context", (3, 9), "try:\n    1/0\nexcept ZeroDivisionError:\n    raise KeyError('k') from None\n"),
    (
        "a chain of three",
        (3, 9),
        "def f():\n    try:\n        int('x')\n    except ValueError as e:\n        raise TypeError from e\n\
         try:\n    f()\nexcept TypeError:\n    open('/nowhere/at/all')\n",
    ),
    (
        "an exception group",
        (3, 11),
        "def f():\n    raise ValueError(1)\nerrors = []\n\
            for _ in range(2):\n    try:\n        f()\n    except Exception as e:\n        \
         errors.append(e)\nraise ExceptionGroup('many', errors + [ExceptionGroup('inner', [TypeError('t')])])\n",
    ),
    ("notes", (3, 11), "e = ValueError('v')\ne.add_note('first')\ne.add_note('second\\nthird')\nraise e\n"),
    ("recursion", (3, 9), "def f(n):\n    return f(n + 1)\nf(0)\n"),
    ("frames of the library", (3, 9), "import json\njson.loads('{')\n"),
    ("a callback of the library", (3, 9), "import functools\nfunctools.reduce(lambda a, b: a / b, [1, 0])\n"),
    (
        "an own class",
        (3, 9),
        "class EggError(Exception):\n    def __str__(self):\n        return 'two\\nlines'\nraise EggError\n",
    ),
    ("an exception whose str fails", (3, 9), "class A(Exception):\n    def __str__(self):\n        1/0\nraise A\n"),
    ("a class of another class", (3, 9), "class A:\n    class B(Exception): pass\nraise A.B('b')\n"),
    ("an assertion", (3, 9), "assert 1 == 2, 'one is not two'\n"),
    ("a name that is nearly right", (3, 9), "egg_count = 1\nprint(egg_cuont)\n"),
    ("an attribute that is nearly right", (3, 9), "import math\nmath.sqr\n"),
    ("an expression over lines", (3, 9), "x = (1 +\n     2 +\n     (3 / 0))\n"),
    ("carets in a long line", (3, 9), "a = {'b': {'c': None}}\nprint(a['b']['c']['d'] + a['x'])\n"),
    ("wide characters", (3, 9), "é = 'ü🥚'\nprint(é + '🥚' + 1)\n"),
    ("a keyboard interrupt of its own", (3, 9), "def f():\n    raise KeyboardInterrupt\nf()\n"),
    ("a base exception", (3, 9), "class A(BaseException): pass\nraise A('a')\n"),
    ("a generator", (3, 9), "def g():\n    yield 1\n    raise StopIteration\nlist(g())\n"),
    ("a comprehension", (3, 9), "[1 / n for n in (1, 0)]\n"),
    ("a class body", (3, 9), "class A:\n    x = 1\n    y = x.z\n"),
    ("a decorator", (3, 9), "def d(f):\n    raise TypeError(f.__name__)\n@d\ndef f():\n    pass\n"),
    ("exec of a string", (3, 9), "exec('x = 1\\n1/0')\n"),
    ("an import that is missing", (3, 9), "import no_such_module_at_all\n"),
    ("asyncio.run", (3, 9), "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    1/0\nasyncio.run(f())\n"),
    (
        "an exception in a destructor",
        (3, 9),
        "class A:\n    def __del__(self):\n        1/0\na = A()\ndel a\nprint(1)\n",
    ),
    (
        "a thread",
        (3, 10),
        "import threading\ndef f():\n    1/0\nt = threading.Thread(target=f, name='t')\nt.start(); t.join()\n",
    ),
    ("a warning", (3, 9), "import warnings\nwarnings.warn('beware')\n"),
    (
        "an own hook",
        (3, 9),
        "import sys\nsys.excepthook = lambda t, e, tb: print('hook', t, e, tb.tb_lineno, file=sys.stderr)\n1/0\n",
    ),
    ("print_exc", (3, 9), "import traceback\ntry:\n    1/0\nexcept Exception:\n    traceback.print_exc()\n"),
    ("no new line at the end", (3, 9), "1/0"),
    ("syntax: a bracket that never closes", (3, 9), "x = (1,\ny = 2\n"),
    ("syntax: a bracket that never opened", (3, 9), "x = 1)\n"),
    ("syntax: a string that never ends", (3, 9), "x = 'abc\n"),
    // 3.9 gives these two another line when they are no file.
    ("syntax: a long string that never ends", (3, 10), "x = '''abc\n\n"),
    ("syntax: the end of the file", (3, 10), "for x in y:"),
    ("syntax: a statement", (3, 9), "print(1)\nif True\n    pass\n"),
    ("syntax: an indentation", (3, 9), "def f():\npass\n"),
    ("syntax: an unexpected indentation", (3, 9), "x = 1\n    y = 2\n"),
    ("syntax: a dedent to nowhere", (3, 9), "if True:\n        x = 1\n    y = 2\n"),
    ("syntax: tabs and spaces", (3, 9), "if True:\n        x = 1\n\ty = 2\n"),
    ("syntax: an assignment", (3, 9), "1 = x\n"),
    ("syntax: return outside a function", (3, 9), "return 1\n"),
    ("syntax: break outside a loop", (3, 9), "break\n"),
    ("syntax: print as a statement", (3, 9), "print 'x'\n"),
    ("syntax: wide characters before the caret", (3, 9), "é = '🥚' é\n"),
    ("syntax: a character that does not belong", (3, 9), "x = 1 – 2\n"),
    ("syntax: an f-string", (3, 9), "x = f'{a b}'\n"),
    ("syntax: in eval", (3, 9), "eval('1 +')\n"),
    ("syntax: a future that is none", (3, 9), "from __future__ import eggs\n"),
];

/// Some versions put the caret elsewhere when the tokenizer reads a file than when it reads a string, as for
/// `python3 -c`, or leave it out.
const CARETS_OF_A_FILE: &[&str] = &[
    "syntax: an indentation",
    "syntax: tabs and spaces",
    "syntax: wide characters before the caret",
    "syntax: the end of the file",
];

/// What `python3 file` prints to stderr, with the file's name as a session would have it.
fn outside(python: &Path, code: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("program.py");
    std::fs::write(&file, code).expect("the program can be written");
    let mut command = Command::new(python);
    command.arg(&file).env_clear().env("LANG", "C.UTF-8").current_dir(folder.path());
    let output = command.output().expect("the interpreter can be run");
    let stderr = String::from_utf8(output.stderr).expect("stderr is UTF-8");
    stderr.replace(file.to_str().expect("the path is text"), "execution 1")
}

/// What differs between any two runs, or between a file and a string.
fn normalised(name: &str, stderr: &str) -> String {
    let is_depth = |line: &str| line.starts_with("  [Previous line repeated 9") && line.ends_with(" more times]");
    let is_caret = |line: &str| line.contains('^') && line.trim_matches([' ', '^', '~']).is_empty();
    let mut lines = Vec::new();
    for line in stderr.lines() {
        match line.split_once(" at 0x") {
            // A few frames of the session's loop lie beneath the program's.
            _ if is_depth(line) => lines.push("  [Previous line repeated many times]"),
            _ if CARETS_OF_A_FILE.contains(&name) && is_caret(line) => {}
            _ if CARETS_OF_A_FILE.contains(&name) => lines.push(line.trim_start()),
            Some((before_address, _)) => lines.push(before_address),
            None => lines.push(line),
        }
    }
    lines.join("\n")
}

/// Runs every program that this version knows in a session and on the host, and compares.
pub(crate) fn check(server: &Server, python: &python::Python) {
    let mut different = Vec::new();
    for (name, _, code) in PROGRAMS.iter().filter(|(_, version, _)| *version <= python.version) {
        let (inside, outside) = (server.run(code), outside(&python.path, code));
        if (normalised(name, inside.stderr()), inside.error()) != (normalised(name, &outside), "") {
            let (stderr, error) = (inside.stderr(), inside.error());
            different.push(format!("== {name}\n{code}-- python3 file:\n{outside}-- session ({error}):\n{stderr}"));
        }
    }
    let count = different.len();
    assert!(different.is_empty(), "{count} differ under {python:?}:\n{}", different.join("\n"));
}

#[test]
fn a_traceback_is_what_python_prints_for_a_file() {
    let python = python::all().into_iter().find(|python| python.path == python::bare());
    check(&Server::bare(), &python.expect("the first interpreter is among all"));
}

#[test]
fn the_session_lives_on_after_each() {
    let server = Server::bare();
    let session = server.session();
    session.print("lived = 0");
    for (name, _, code) in PROGRAMS.iter().filter(|(name, ..)| !name.contains("hook")) {
        session.run(code);
        assert_eq!(session.run("lived += 1").error(), "", "{name}");
    }
    assert_eq!(session.print("print(lived)"), format!("{}\n", PROGRAMS.len() - 1));
}

#[test]
fn a_function_of_an_earlier_request_shows_its_source() {
    let server = Server::bare();
    let session = server.session();
    session.print("def divide(a, b):\n    return a / b  # here");
    session.print("def twice(a, b):\n    return divide(a, b) * 2  # there");
    let expected = "Traceback (most recent call last):\n  \
                    File \"execution 3\", line 2, in <module>\n    twice(1, 0)\n  \
                    File \"execution 2\", line 2, in twice\n    return divide(a, b) * 2  # there\n";
    let stderr = session.run("\ntwice(1, 0)").stderr().to_owned();
    assert!(stderr.starts_with(expected), "{stderr}");
    assert!(stderr.contains("File \"execution 1\", line 2, in divide\n    return a / b  # here\n"), "{stderr}");
    assert!(stderr.ends_with("ZeroDivisionError: division by zero\n"), "{stderr}");
}

#[test]
fn a_top_level_await_shows_the_users_frames_only() {
    let code = "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    raise ValueError('v')\nawait f()\n";
    let stderr = Server::bare().run(code).stderr().to_owned();
    let files: Vec<_> = stderr.lines().filter(|line| line.starts_with("  File ")).collect();
    assert_eq!(files, ["  File \"execution 1\", line 5, in <module>", "  File \"execution 1\", line 4, in f"]);
    assert!(stderr.ends_with("    raise ValueError('v')\nValueError: v\n"), "{stderr}");
}

#[test]
fn the_source_of_a_function_can_be_read_back() {
    let server = Server::bare();
    let session = server.session();
    assert_eq!(
        session.print("import inspect\ndef f():\n    return 1\nprint(inspect.getsource(f), end='')"),
        "def f():\n    return 1\n"
    );
}
