//! Modules of CPython's own regression suite give inside a session the verdicts that they give outside. Where one does
//! not, the difference stands here with its reason; a difference without one fails, and so does one that is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use crate::python;
use crate::server::{Server, Setup};

const MODULES: &[&str] = &[
    "test_asyncio.test_tasks",
    "test_bisect",
    "test_collections",
    "test_contextlib",
    "test_copy",
    "test_csv",
    "test_dataclasses",
    "test_deque",
    "test_dict",
    "test_enum",
    "test_functools",
    "test_generators",
    "test_glob",
    "test_heapq",
    "test_json",
    "test_list",
    "test_pathlib",
    "test_pickle",
    "test_queue",
    "test_re",
    "test_select",
    "test_set",
    "test_shelve",
    "test_sqlite3",
    "test_struct",
    "test_tempfile",
    "test_textwrap",
    "test_threading",
    "test_unicode",
    "test_zlib",
];

/// A difference that is meant to be.
struct Difference {
    /// A part of the names of its tests, of which at least one differs.
    names_contain: &'static str,
    /// Where it shows, as Python outside says.
    condition: &'static str,
    why: &'static str,
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        names_contain: ".test_unpickle_module_race",
        condition: "os.access(os.path.dirname(os.__file__), os.W_OK)",
        why: "it clears files out of the standard library's folder, which is read-only inside",
    },
    Difference {
        names_contain: "SimpleQueueTest.test_many_threads",
        condition: "os.geteuid() == 0",
        why: "a hundred threads at once are over the policy's processes_max, which binds where root serves",
    },
    Difference {
        names_contain: ".test_read_only_directory",
        condition: "os.geteuid() == 0",
        why: "it is skipped for root, and nobody is root inside",
    },
];

/// Runs modules and writes a line for each test: its verdict and its name.
const RUNNER: &str = "\
import sys, unittest
class Verdicts(unittest.TestResult):
    def __init__(self):
        super().__init__(); self.verdicts = {}
    def note(self, test, verdict):
        if self.verdicts.get(test.id()) not in ('error', 'failure'): self.verdicts[test.id()] = verdict
    def addSuccess(self, test): self.note(test, 'ok')
    def addSkip(self, test, reason): self.note(test, 'skipped')
    def addExpectedFailure(self, test, error): self.note(test, 'expected')
    def addUnexpectedSuccess(self, test): self.note(test, 'unexpected')
    def say(self, test, verdict, error):
        self.note(test, verdict)
        print(test.id(), self._exc_info_to_string(error, test), file=sys.stderr)
    def addError(self, test, error): self.say(test, 'error', error)
    def addFailure(self, test, error): self.say(test, 'failure', error)
    def addSubTest(self, test, subtest, error):
        if error is not None: self.say(test, 'failure', error)
result = Verdicts()
unittest.defaultTestLoader.loadTestsFromNames(sys.argv[1:]).run(result)
with open('verdicts', 'w') as f:
    for name in sorted(result.verdicts): print(result.verdicts[name], name, file=f)
";

type Verdicts = BTreeMap<String, String>;

fn parse(text: &str) -> Verdicts {
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(verdict, name)| (name.to_owned(), verdict.to_owned())).collect()
}

/// The verdicts, and what was said of those that are not good.
fn outside(python: &Path, module: &str) -> (Verdicts, String) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    // Whoever starts tests in the background has them ignore interrupts.
    let mut command = Command::new("env");
    command.arg("--default-signal=INT,QUIT").arg(python);
    command.args(["-c", RUNNER, &format!("test.{module}")]).current_dir(folder.path());
    command.env_clear().env("LANG", "C.UTF-8").env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let output = command.output().expect("the interpreter can be run");
    let verdicts = std::fs::read_to_string(folder.path().join("verdicts")).unwrap_or_default();
    (parse(&verdicts), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn inside(server: &Server, module: &str) -> (Verdicts, String) {
    let code = format!(
        "import os, subprocess, sys\nos.mkdir('/tmp/suite')\n\
         p = subprocess.run([sys.executable, '-c', {RUNNER:?}, 'test.{module}'], cwd='/tmp/suite', stdin=0, \
         stdout=subprocess.DEVNULL, stderr=2)\n\
         print(open('/tmp/suite/verdicts').read())"
    );
    let answer = server.run(&code);
    assert_eq!(answer.error(), "", "{module}: {}", answer.stderr());
    (parse(answer.stdout()), answer.stderr().to_owned())
}

/// The differences that are to be seen where the tests run as they do now.
fn expected(python: &Path) -> Vec<&'static Difference> {
    let holds = |difference: &&Difference| {
        let code = format!("import os; print({})", difference.condition);
        let output = Command::new(python).args(["-c", &code]).output().expect("the interpreter can be run");
        output.stdout == b"True\n"
    };
    DIFFERENCES.iter().filter(holds).collect()
}

/// How many tests a module has, and those whose verdicts differ unexpectedly, with what was said of them.
fn compare(
    python: &Path,
    server: &Server,
    module: &str,
    expected: &[&'static Difference],
    seen: &mut BTreeSet<&'static str>,
) -> (usize, BTreeMap<String, String>) {
    let ((outside, outside_says), (inside, inside_says)) = std::thread::scope(|scope| {
        let outside = scope.spawn(|| outside(python, module));
        let inside = inside(server, module);
        (outside.join().expect("it ran"), inside)
    });
    assert!(!outside.is_empty(), "{module} has no tests outside:\n{outside_says}");
    let mut differing = BTreeMap::new();
    let names: BTreeSet<_> = outside.keys().chain(inside.keys()).collect();
    for name in names.into_iter().filter(|name| outside.get(*name) != inside.get(*name)) {
        match expected.iter().find(|difference| name.contains(difference.names_contain)) {
            Some(difference) => drop(seen.insert(difference.names_contain)),
            None => {
                let says = if inside_says.contains(name.as_str()) { &inside_says } else { &outside_says };
                let from = says.find(name.as_str()).unwrap_or(says.len());
                let said: String = says[from..].chars().take(2500).collect();
                let verdicts =
                    format!("{name}: outside {:?}, inside {:?}\n{said}", outside.get(name), inside.get(name));
                differing.insert(name.clone(), verdicts);
            }
        }
    }
    (outside.len(), differing)
}

#[test]
fn the_regression_suite_gives_the_same_verdicts_inside_and_outside() {
    let python = python::with_regression_suite();
    let server = Setup::with_python(&python).option("--wall-seconds-max 90").start();
    let mut unexplained = Vec::new();
    let expected = expected(&python);
    let mut seen = BTreeSet::new();
    let mut count = 0;
    for module in MODULES {
        let (tests, differing) = compare(&python, &server, module, &expected, &mut seen);
        count += tests;
        // Some of these tests fail now and then, wherever they run.
        let again = if differing.is_empty() {
            BTreeMap::new()
        } else {
            compare(&python, &server, module, &expected, &mut seen).1
        };
        unexplained.extend(differing.into_iter().filter(|(name, _)| again.contains_key(name)).map(|(_, said)| said));
    }
    println!("{count} tests of {} modules under {}", MODULES.len(), python.display());
    assert!(unexplained.is_empty(), "{} differ:\n{}", unexplained.len(), unexplained.join("\n"));
    for Difference { names_contain, why, .. } in expected {
        assert!(seen.contains(names_contain), "{names_contain} is no longer different, though {why}");
    }
}
