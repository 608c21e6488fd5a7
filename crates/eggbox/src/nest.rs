//! The hidden `nest` entry: runs in a process of its own, before any thread or runtime exists, and brings what the
//! interpreter inside needs: the runner and the native library, both part of this binary.

use std::process::ExitCode;

const RUNTIME: eggbox_sandbox::nest::Runtime<'static> = &[
    ("nest.py", include_bytes!("../../../runner/nest.py")),
    ("exercises.py", include_bytes!("../../../runner/exercises.py")),
    ("fork_hooks.py", include_bytes!("../../../runner/fork_hooks.py")),
    ("heap.py", include_bytes!("../../../runner/heap.py")),
    ("bodies.py", include_bytes!("../../../runner/bodies.py")),
    ("bundles.py", include_bytes!("../../../runner/bundles.py")),
    ("display.py", include_bytes!("../../../runner/display.py")),
    ("figures.py", include_bytes!("../../../runner/figures.py")),
    ("notebook.py", include_bytes!("../../../runner/notebook.py")),
    ("libraries.py", include_bytes!("../../../runner/libraries.py")),
    ("exceptions.py", include_bytes!("../../../runner/exceptions.py")),
    ("rich.py", include_bytes!("../../../runner/rich.py")),
    ("reports.py", include_bytes!("../../../runner/reports.py")),
    ("stdin.py", include_bytes!("../../../runner/stdin.py")),
    ("randomness.py", include_bytes!("../../../runner/randomness.py")),
    ("session.py", include_bytes!("../../../runner/session.py")),
    ("native.so", include_bytes!(env!("EGGBOX_NATIVE_LIBRARY"))),
];

/// What tells this build from others: its version, and what its nests run.
pub(crate) fn build() -> String {
    let bytes: Vec<u8> = RUNTIME.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    format!("{} {:016x}", env!("CARGO_PKG_VERSION"), eggbox_sandbox::plan::fnv(&bytes))
}

/// Returns only on failure: otherwise this process has become the interpreter.
pub(crate) fn main() -> ExitCode {
    let error = eggbox_sandbox::nest::main(RUNTIME);
    crate::cli::complain(&anyhow::Error::from(error).context("failed to start a nest"));
    ExitCode::FAILURE
}
