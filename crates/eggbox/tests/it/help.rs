//! What `--help` prints, at a fixed width and whatever the caller's environment is.

use std::process::Command;

fn help(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_eggbox"))
        .args(arguments)
        .env_clear()
        .env("COLUMNS", "100")
        .output()
        .expect("the binary starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("help is text")
}

#[test]
fn top() {
    insta::assert_snapshot!(help(&["--help"]));
}

#[test]
fn serve() {
    insta::assert_snapshot!(help(&["serve", "--help"]));
}

#[test]
fn doctor() {
    insta::assert_snapshot!(help(&["doctor", "--help"]));
}

#[test]
fn key_new() {
    insta::assert_snapshot!(help(&["key", "new", "--help"]));
}

#[test]
fn checkpoint_export() {
    insta::assert_snapshot!(help(&["checkpoint", "export", "--help"]));
}

#[test]
fn checkpoint_import() {
    insta::assert_snapshot!(help(&["checkpoint", "import", "--help"]));
}

#[test]
fn top_of_sessions() {
    insta::assert_snapshot!(help(&["top", "--help"]));
}
