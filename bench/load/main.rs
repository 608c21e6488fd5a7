//! How fast eggbox is, and what it is held against, in one run: prints one table with ratios, and writes it as JSON.
//!
//!     cargo run --release --package eggbox --example load -- [--quick] [--out FOLDER]
//!
//! `make bench` sets up what it needs. It starts every server itself, on free ports of the loopback with folders of
//! their own, and ends them whatever happens. What compares with each other is measured in turn. Judges no times; a wrong
//! answer or a row that is missing fails the run. One thread: what it uses of the CPU is little, and no wake-up between
//! threads of this program is taken for the server's.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

mod options;
mod catalog;
mod results;
mod report;
mod machine;
mod stand;
mod round_trips;
mod first_use;
mod values;
mod burst;
mod rates;
mod output;
mod memory;
mod crowd;
mod code;
mod eggbox;
mod flask;
mod jupyter;
mod interpreter;
#[path = "../nest.rs"]
mod nest;
mod execute;
mod http;
mod process;
mod proc;

use machine::Machine;
use options::Options;
use results::Results;
use stand::Stand;

#[expect(clippy::print_stderr, reason = "a command-line program")]
fn progress(what: impl Display) {
    eprintln!("bench: {what}");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Options::parse();
    // Whichever way this ends, what was started is ended as its guards are dropped.
    let ended = tokio::select! {
        ended = run(&options) => ended,
        interrupted = interrupted() => interrupted,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress(format_args!("failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn interrupted() -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    bail!("interrupted")
}

#[expect(clippy::print_stdout, reason = "a command-line program")]
async fn run(options: &Options) -> Result<()> {
    let begun = Instant::now();
    let counts = options.counts();
    let machine = Machine::describe(options).await?;
    let mut results = Results::default();
    let mut stand = Stand::start(options).await.context("failed to start what is measured")?;
    round_trips::measure(&mut stand, options, counts, &mut results).await?;
    first_use::measure(&mut stand, options, counts, &mut results).await?;
    values::measure(&mut stand, counts, &mut results).await?;
    burst::measure(&mut stand, counts, &mut results).await?;
    rates::measure(&mut stand, options, counts, &mut results).await?;
    output::measure(&mut stand, options, counts, &mut results).await?;
    memory::yardsticks(&mut stand, &mut results).await?;
    let rest = stand.rest_length();
    drop(stand);
    values::large(options, counts, &mut results).await?;
    values::sleepers(options, counts, &mut results).await?;
    crowd::measure(options, counts, rest, &mut results).await?;
    results.check()?;
    print!("{}", report::text(&results));
    if let Some(folder) = &options.out {
        report::write(folder, &machine, &results)?;
    }
    progress(format_args!("done in {:?}", begun.elapsed()));
    Ok(())
}
