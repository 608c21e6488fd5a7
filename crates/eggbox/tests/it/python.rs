//! The interpreters of this host that the tests use.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The oldest that eggbox takes.
const MINIMUM: (u32, u32) = (3, 9);

/// A CPython that eggbox takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Python {
    /// As it names itself, behind the shims of version managers.
    pub(crate) path: PathBuf,
    pub(crate) version: (u32, u32),
}

/// The first that works of those called python3 on PATH.
pub(crate) fn bare() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let found = on_path("python3").iter().find_map(|path| look_at(path));
        found.expect("a python3 of 3.9 or later is on PATH (Debian: apt install python3)").path
    })
}

/// That of the environment with the data packages.
pub(crate) fn data() -> PathBuf {
    let named = std::env::var_os("EGGBOX_TEST_DATA_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python3"));
    assert!(
        python.exists(),
        "{} is missing: `make test` makes the environment with the data packages, or name its interpreter in \
         EGGBOX_TEST_DATA_PYTHON",
        python.display()
    );
    python
}

/// One that has CPython's own regression suite.
pub(crate) fn with_regression_suite() -> PathBuf {
    let has_suite = |path: &PathBuf| {
        let checked = Command::new(path).args(["-c", "import test.support, test.test_json"]).output();
        checked.is_ok_and(|output| output.status.success())
    };
    let mut candidates = vec![bare().to_owned()];
    candidates.extend(all().into_iter().map(|python| python.path));
    candidates.into_iter().find(has_suite).expect(
        "no python3 has CPython's regression suite: `scripts/require-testsuite` installs it (Debian: apt install \
         libpython3-testsuite)",
    )
}

/// One of each version on PATH and of pyenv's, and every other that is called python3 on PATH.
pub(crate) fn all() -> Vec<Python> {
    static FOUND: OnceLock<Vec<Python>> = OnceLock::new();
    FOUND.get_or_init(find_all).clone()
}

fn find_all() -> Vec<Python> {
    let mut candidates = on_path("python3");
    candidates.extend((MINIMUM.1..MINIMUM.1 + 8).flat_map(|minor| on_path(&format!("python3.{minor}"))));
    let versions = std::env::home_dir().map(|home| home.join(".pyenv/versions"));
    if let Some(entries) = versions.and_then(|versions| fs::read_dir(versions).ok()) {
        candidates.extend(entries.filter_map(|entry| Some(entry.ok()?.path().join("bin/python3"))));
    }
    let mut found: BTreeMap<PathBuf, Python> = BTreeMap::new();
    for python in candidates.iter().filter_map(|path| look_at(path)) {
        let real = python.path.canonicalize().unwrap_or(python.path.clone());
        found.entry(real).or_insert(python);
    }
    found.into_values().collect()
}

fn on_path(name: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).filter(|path| path.is_file()).collect()
}

/// What an interpreter says of itself; none where it does not work, is no CPython or is too old.
fn look_at(path: &Path) -> Option<Python> {
    let ask = "import sys; print(sys.implementation.name, *sys.version_info[:2], sys.executable)";
    let output = Command::new(path).args(["-I", "-c", ask]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut words = text.trim_end().splitn(4, ' ');
    let implementation = words.next()?;
    let version = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (implementation == "cpython" && version >= MINIMUM).then_some(Python { path: words.next()?.into(), version })
}

/// A folder for interpreters and environments; not beneath /tmp, which sessions have one of their own of.
pub(crate) fn own_folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder can be made")
}
