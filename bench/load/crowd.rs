//! Thousands of idle sessions: whether they can be made, what each costs, and what a server that has them is still
//! like, beside an empty one that is asked in turn.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use futures_util::stream::FuturesUnordered;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::sleep;

use crate::catalog::{CROWD_CPU, CROWD_CREATE, CROWD_NEW, CROWD_WARM, EMPTY_CPU, EMPTY_NEW, EMPTY_WARM, Row};
use crate::code;
use crate::eggbox::{Eggbox, Settings};
use crate::execute::Executor;
use crate::memory::{self, Snapshot};
use crate::options::{Counts, Options};
use crate::proc;
use crate::progress;
use crate::results::{Growth, Results};
use crate::round_trips::{new_session, no_op};

const LIVE: &str = "live";
const WARM_PER_ROUND: usize = 5;
/// Clients that make the sessions.
const MAKERS: usize = 4;
/// Sessions beside the idle ones.
const BESIDE: usize = 64;
/// What a server wants per session, and beside them: as `eggbox serve` counts it, and something to spare.
const DESCRIPTORS_PER_SESSION: u64 = 18;
const DESCRIPTORS_BESIDE: u64 = 3072;
/// For the kernel's counters to come to rest.
const SETTLE: Duration = Duration::from_secs(1);

pub(crate) async fn measure(options: &Options, counts: Counts, rest: Duration, results: &mut Results) -> Result<()> {
    let (idle_sessions, reason) = allowed(counts.idle_sessions)?;
    progress(format_args!("{idle_sessions} idle sessions{reason}, in {} steps", counts.growth_steps));
    let empty = Settings {
        eggbox: &options.eggbox,
        python: &options.python,
        is_bare: false,
        has_pool: true,
        sessions_max: BESIDE,
        options: &[],
    };
    let mut empty =
        (Eggbox::start(empty).await?, Eggbox::start(Settings { sessions_max: idle_sessions + BESIDE, ..empty }).await?);
    let (empty, crowd) = (&mut empty.0, &mut empty.1);
    for server in [&mut *empty, &mut *crowd] {
        server.client.execute(code::SET.source, Some(LIVE)).await?.expect(code::SET.prints)?;
    }
    sleep(SETTLE).await;
    let before = Snapshot::take(crowd.process.pid()?)?;
    results.growth.push(compare(empty, crowd, 0, counts.growth_rounds, rest, &mut Results::default()).await?);
    for step in 1..=counts.growth_steps {
        let (from, to) = (idle_sessions * (step - 1) / counts.growth_steps, idle_sessions * step / counts.growth_steps);
        make(crowd, from, to, results).await?;
        sleep(SETTLE).await;
        let is_last = step == counts.growth_steps;
        if is_last {
            memory::record(&before, &Snapshot::take(crowd.process.pid()?)?, results)?;
        }
        // The last ones are the rows of the table.
        let mut uncounted = Results::default();
        let into = if is_last { &mut *results } else { &mut uncounted };
        let growth = compare(empty, crowd, to, counts.growth_rounds, rest, into).await?;
        progress(format_args!("{to} idle: new {:.2} ms, warm {:.3} ms", growth.new_ms, growth.warm_ms));
        results.growth.push(growth);
    }
    idle(&[(&EMPTY_CPU, &*empty), (&CROWD_CPU, &*crowd)], counts.idle, results).await?;
    let note = format!("{idle_sessions} idle sessions{reason}");
    for row in [&CROWD_CREATE, &CROWD_NEW, &CROWD_WARM, &CROWD_CPU] {
        results.note(row, note.clone())?;
    }
    progress(format_args!("ending {idle_sessions} sessions"));
    Ok(())
}

/// As many of these sessions as the limit of open files leaves, which this raises as far as it may; and, where these
/// are fewer, why.
fn allowed(wanted: usize) -> Result<(usize, String)> {
    let needed = (wanted + BESIDE) as u64 * DESCRIPTORS_PER_SESSION + DESCRIPTORS_BESIDE;
    let Some(limit) = getrlimit(Resource::Nofile).maximum.filter(|limit| *limit < needed) else {
        return Ok((wanted, String::new()));
    };
    if setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: Some(needed) }).is_ok() {
        return Ok((wanted, String::new()));
    }
    let fit = usize::try_from(limit.saturating_sub(DESCRIPTORS_BESIDE) / DESCRIPTORS_PER_SESSION)?;
    let fit = fit.checked_sub(BESIDE).filter(|fit| *fit > 0).with_context(|| {
        format!("{limit} open files are too few for any idle session; raise the hard limit (ulimit -Hn)")
    })?;
    Ok((fit, format!(" (not {wanted}: {limit} open files allow no more, and the limit cannot be raised from here)")))
}

/// Makes the sessions of these numbers.
async fn make(server: &Eggbox, from: usize, to: usize, results: &mut Results) -> Result<()> {
    let begun = Instant::now();
    let makers: FuturesUnordered<_> = (0..MAKERS)
        .map(|maker| async move {
            let mut client = Executor::new(server.address);
            let mut made = 0;
            for number in (from..to).skip(maker).step_by(MAKERS) {
                let answer = client.execute(code::FIRST.source, Some(&format!("idle-{number}"))).await?;
                made += u64::from(answer.expect(code::FIRST.prints)?.is_some());
            }
            anyhow::Ok(made)
        })
        .collect();
    let made: u64 = makers.try_fold(0, async |sum, made| Ok(sum + made)).await?;
    results.value(&CROWD_CREATE, made as f64 / begun.elapsed().as_secs_f64(), made, (to - from) as u64)
}

async fn compare(
    empty: &mut Eggbox,
    crowd: &mut Eggbox,
    idle_sessions: usize,
    rounds: usize,
    rest: Duration,
    results: &mut Results,
) -> Result<Growth> {
    for _ in 0..rounds {
        for (server, warm, new) in [(&mut *empty, &EMPTY_WARM, &EMPTY_NEW), (&mut *crowd, &CROWD_WARM, &CROWD_NEW)] {
            sleep(rest).await;
            no_op(server).await?;
            new_session(server, new, &code::FIRST, results).await?;
            sleep(rest).await;
            no_op(server).await?;
            for _ in 0..WARM_PER_ROUND {
                let answer = server.client.execute(code::WARM.source, Some(LIVE)).await?;
                results.took(warm, answer.expect(code::WARM.prints)?)?;
            }
        }
    }
    let p50 = |row: &Row| results.get(row).map_or(0.0, |measurement| measurement.percentile(50.0));
    Ok(Growth {
        idle_sessions,
        new_ms: p50(&CROWD_NEW),
        new_empty_ms: p50(&EMPTY_NEW),
        warm_ms: p50(&CROWD_WARM),
        warm_empty_ms: p50(&EMPTY_WARM),
    })
}

/// What servers use of a core that nobody asks for anything.
async fn idle(servers: &[(&'static Row, &Eggbox)], length: Duration, results: &mut Results) -> Result<()> {
    progress(format_args!("idle for {length:?}"));
    let mut standing = Vec::new();
    for (row, server) in servers {
        standing.push((row, proc::family(server.process.pid()?).standing));
    }
    sleep(SETTLE).await;
    let before: Vec<_> = standing.iter().map(|(_, pids)| proc::cpu_seconds(pids)).collect();
    let begun = Instant::now();
    sleep(length).await;
    for ((row, pids), before) in standing.iter().zip(before) {
        let used = proc::cpu_seconds(pids) - before;
        results.value(row, used / begun.elapsed().as_secs_f64() * 100.0, 1, 1)?;
    }
    Ok(())
}
