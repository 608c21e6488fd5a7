//! Builds the sandbox crate once more, as the extension that a nest's Python loads, for the binary to carry.
//!
//! It cannot be an ordinary dependency: its Python symbols exist only inside an interpreter. The inner cargo has a
//! target folder of its own, because the outer one holds the lock on the usual one.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let out = PathBuf::from(variable("OUT_DIR"));
    let workspace = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../..");
    for watched in ["crates/eggbox-sandbox/src", "crates/eggbox-sandbox/Cargo.toml", "policy", "runner", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", workspace.join(watched).display());
    }
    let target = variable("TARGET");
    let target_dir = out.join("native");
    let status = Command::new(variable("CARGO"))
        .current_dir(&workspace)
        .args(["rustc", "--package", "eggbox-sandbox", "--features", "native", "--crate-type", "cdylib"])
        // What it runs in is a process of somebody else's: small, optimised, the same in every profile.
        .args(["--release", "--locked", "--target", &target])
        .arg("--target-dir")
        .arg(&target_dir)
        // The outer build's flags are for the outer build.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .status()
        .expect("cargo can be run");
    assert!(status.success(), "failed to build the native library of the nest");
    let library = target_dir.join(target).join("release/libeggbox_sandbox.so");
    println!("cargo::rustc-env=EGGBOX_NATIVE_LIBRARY={}", library.display());
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}
