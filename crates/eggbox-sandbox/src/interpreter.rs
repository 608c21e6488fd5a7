//! Which CPython runs, and the parts of the host that it needs to see. Trusts the interpreter it is given:
//! that is the operator's, and runs here before any wall.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// The oldest CPython that the native library's ABI allows.
pub const PYTHON_MINIMUM: (u32, u32) = (3, 9);

/// An interpreter, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Interpreter {
    /// What to execute; for a virtual environment the path inside it, which is how Python finds the environment.
    pub executable: PathBuf,
    /// Such as `3.11.2`.
    pub version: String,
    implementation: String,
    /// Installation folders, without repetition: of the virtual environment and of what it is based on.
    prefixes: Vec<PathBuf>,
    /// Where modules are looked for.
    module_path: Vec<PathBuf>,
}

/// Why an interpreter cannot be used; names the path and the mend.
#[derive(Debug, thiserror::Error)]
pub enum InterpreterError {
    #[error("the interpreter {} does not know where it is; give its whole path with --python", path.display())]
    Unlocated { path: PathBuf },
    #[error("cannot run the interpreter {}: {cause}; name another with --python", path.display())]
    Run { path: PathBuf, cause: std::io::Error },
    #[error(
        "the interpreter {} did not describe itself ({status}): {stderr}; eggbox needs CPython {}.{} or later: name one \
         with --python",
        path.display(), PYTHON_MINIMUM.0, PYTHON_MINIMUM.1
    )]
    Describe { path: PathBuf, status: std::process::ExitStatus, stderr: String },
    #[error(
        "the interpreter {} gave no valid description of itself: {cause}; name a CPython with --python",
        path.display()
    )]
    Description { path: PathBuf, cause: serde_json::Error },
    #[error(
        "the interpreter {} is {found}; eggbox needs CPython {}.{} or later: name one with --python",
        path.display(), PYTHON_MINIMUM.0, PYTHON_MINIMUM.1
    )]
    Unsupported { path: PathBuf, found: String },
}

const DESCRIBE: &str = "\
import json, platform, sys
print(json.dumps({
    'executable': sys.executable,
    'version': platform.python_version(),
    'implementation': platform.python_implementation(),
    'prefixes': sorted({sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}),
    'module_path': [p for p in sys.path if p],
}))";

/// The folders of an installation that a program may need at run time. The whole prefix is not shown: for a virtual
/// environment made in place it can be somebody's home.
const PREFIX_PARTS: [&str; 8] = ["bin", "etc", "include", "lib", "lib64", "share", "ssl", "pyvenv.cfg"];

impl Interpreter {
    /// Asks `python` (a path, or a name on `PATH`) about itself.
    ///
    /// # Errors
    /// Where it cannot be run, is not CPython or is too old.
    pub fn describe(python: &Path) -> Result<Self, InterpreterError> {
        let path = || python.to_owned();
        // Isolated from the server's own variables and folder, as the nest will be.
        let output = Command::new(python)
            .args(["-I", "-c", DESCRIBE])
            .output()
            .map_err(|cause| InterpreterError::Run { path: path(), cause })?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(InterpreterError::Describe { path: path(), status: output.status, stderr });
        }
        let interpreter: Self = serde_json::from_slice(&output.stdout)
            .map_err(|cause| InterpreterError::Description { path: path(), cause })?;
        if !interpreter.executable.is_absolute() {
            return Err(InterpreterError::Unlocated { path: path() });
        }
        if interpreter.implementation != "CPython" || interpreter.minor_version() < Some(PYTHON_MINIMUM) {
            let found = format!("{} {}", interpreter.implementation, interpreter.version);
            return Err(InterpreterError::Unsupported { path: path(), found });
        }
        Ok(interpreter)
    }

    fn minor_version(&self) -> Option<(u32, u32)> {
        let mut numbers = self.version.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    }

    /// Paths of the host that this interpreter reads, whether or not they exist.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        let parts = self.prefixes.iter().flat_map(|prefix| PREFIX_PARTS.iter().map(|part| prefix.join(part)));
        parts.chain(self.module_path.iter().cloned()).chain([self.executable.clone()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_that_is_missing_broken_or_foreign_is_refused_by_name() {
        let missing = Interpreter::describe(Path::new("/nowhere/python3")).unwrap_err().to_string();
        assert!(missing.contains("/nowhere/python3") && missing.contains("--python"), "{missing}");
        let broken = Interpreter::describe(Path::new("false")).unwrap_err().to_string();
        assert!(broken.contains("false"), "{broken}");
        let foreign = Interpreter::describe(Path::new("echo")).unwrap_err().to_string();
        assert!(foreign.contains("no valid description"), "{foreign}");
    }

    #[test]
    fn a_real_interpreter_names_itself_and_its_library() {
        let python = Interpreter::describe(Path::new("python3")).unwrap();
        assert!(python.minor_version() >= Some(PYTHON_MINIMUM));
        assert!(python.paths().contains(&python.executable));
        assert!(python.paths().iter().any(|path| path.ends_with("lib")));
    }
}
