//! What the wall costs: a session forked and locked down against one that is only forked, from nests of the same
//! interpreter with the same modules, in turn.
//!
//!     cargo run --release --package eggbox --example wall -- [PYTHON [ROUNDS]]
//!
//! It starts two nests of the built binary (`target/release/eggbox`), one with the shipped plan and one with a plan of its
//! own that lacks every step but the first, asks each for sessions, and takes the time from the request to the session's
//! "ready". Prints p50 and p99 in milliseconds; judges nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use eggbox_sandbox::leftovers;
use eggbox_sandbox::plan::GroupsPlan;

#[path = "nest.rs"]
mod nest;

use nest::{Nest, bare_plan, shipped_plan};

#[expect(clippy::print_stdout, reason = "a command-line program")]
fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let python = arguments.next().unwrap_or_else(|| "python3".into());
    let rounds: usize = arguments.next().map_or(Ok(200), |rounds| rounds.parse())?;
    let full = shipped_plan(Path::new(&python))?;
    if let GroupsPlan::Own(groups) = &full.groups {
        groups.create()?;
    }
    let eggbox = std::env::current_exe()?.with_file_name("../eggbox");
    let nests =
        [("fork alone", Nest::start(&eggbox, &bare_plan(&full))?), ("fork and wall", Nest::start(&eggbox, &full)?)];
    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for round in 0..rounds + 5 {
        for (name, nest) in &nests {
            let mut forked = nest.fork()?;
            let took = forked.asked.elapsed();
            ensure!(forked.execute("print(1 + 1)")? == "2\n", "a session of the nest for `{name}` answers wrongly");
            nest.end(forked)?;
            // The first few find cold caches.
            if round >= 5 {
                times.entry(name).or_default().push(took);
            }
        }
    }
    println!("{python}, {rounds} rounds{:>16}{:>10}", "p50 ms", "p99 ms");
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let mut medians = Vec::new();
    for (name, mut taken) in times {
        taken.sort();
        let (p50, p99) = (millis(taken[taken.len() / 2]), millis(taken[taken.len() * 99 / 100]));
        println!("{name:32}{p50:9.2}{p99:10.2}");
        medians.push(p50);
    }
    println!("{:32}{:9.2}", "the wall, at p50", medians[1] - medians[0]);
    Ok(leftovers::clear_groups(&full)?)
}
