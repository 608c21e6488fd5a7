//! The eggbox command: reads its configuration, starts the engine and the server, tells the terminal.

#![forbid(unsafe_code)]

mod checkpoint;
mod cli;
mod config;
mod doctor;
mod file_config;
mod host;
mod keeper;
mod key;
mod key_stanza;
mod log;
mod nest;
mod open_files;
mod serve;
mod setting;
mod top;
#[cfg(feature = "otel")]
mod traces;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{CheckpointCommand, Cli, Command, KeyCommand};
use crate::config::Config;

fn main() -> ExitCode {
    // A nest clones processes, which is sound only from a single thread: it starts before any other exists.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "nest") {
        return nest::main();
    }
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "keeper") {
        return keeper::main();
    }
    let ended = match Cli::parse().command {
        Command::Serve(options) => Config::load(options).and_then(serve::serve),
        Command::Doctor(doctor) => Config::load(doctor.options).and_then(|config| doctor::doctor(config, doctor.json)),
        Command::Key { command: KeyCommand::New(new) } => key::new(new),
        Command::Checkpoint { command: CheckpointCommand::Export(export) } => checkpoint::export(export),
        Command::Checkpoint { command: CheckpointCommand::Import(import) } => checkpoint::import(import),
        Command::Top(top) => top::top(&top),
    };
    ended.unwrap_or_else(|error| {
        cli::complain(&error);
        ExitCode::FAILURE
    })
}
