//! Sessions as values: forked, written down, gone back to, put to sleep and woken.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::TryStreamExt;
use futures_util::stream::FuturesUnordered;
use hyper::{Method, StatusCode};
use serde_json::json;

use crate::catalog::{
    CHECKPOINT, CHECKPOINT_PAUSE, CHECKPOINT_SIZE, CHECKPOINT_STILL, CROWD_WAKE, FORKED, LARGE_FORK, LARGE_PAUSE,
    RESTORE, REWIND, SLEEP, SLEEPER_CREATE, SLEEPER_MEMORY, WAKE,
};
use crate::code;
use crate::eggbox::{Eggbox, Settings};
use crate::execute::Executor;
use crate::memory::Snapshot;
use crate::options::{Counts, Options};
use crate::progress;
use crate::results::Results;
use crate::round_trips::no_op;
use crate::stand::Stand;

const PARENT: &str = "value";
const REWOUND: &str = "rewound";
/// Clients that make sleepers, and what each takes of the disk at most.
const MAKERS: usize = 4;
const SLEEPER_BYTES: u64 = 3 << 20;

pub(crate) async fn measure(stand: &mut Stand, counts: Counts, results: &mut Results) -> Result<()> {
    progress(format_args!("forks, checkpoints, hibernation, {} rounds", counts.first_rounds));
    stand.data.run(PARENT, &code::STATE).await?;
    stand.data.ask("/v1/sessions", json!({ "id": REWOUND, "checkpoints": "each" }), StatusCode::CREATED).await?;
    stand.data.run(REWOUND, &code::SET).await?;
    let mut beside = Executor::new(stand.data.address);
    // The first one of a nest has its memory kept, too.
    checkpoint(&mut stand.data, "first").await?;
    for round in 0..counts.first_rounds {
        stand.rest().await;
        no_op(&mut stand.data).await?;
        let begun = Instant::now();
        let child = format!("child-{round}");
        let fork = format!("/v1/sessions/{PARENT}/fork");
        stand.data.ask(&fork, json!({ "ids": [&child] }), StatusCode::CREATED).await?;
        stand.data.run(&child, &code::WARM).await?;
        results.took(&FORKED, Some(begun.elapsed()))?;
        stand.data.end(&child).await?;

        stand.rest().await;
        no_op(&mut stand.data).await?;
        let name = format!("bench-{round}");
        let before = pauses(&mut stand.data).await?;
        let (took, bytes) = checkpoint(&mut stand.data, &name).await?;
        results.took(&CHECKPOINT, Some(took))?;
        results.took(&CHECKPOINT_STILL, Some(pauses(&mut stand.data).await?.saturating_sub(before)))?;
        results.value(&CHECKPOINT_SIZE, bytes / f64::from(1 << 20), 1, 1)?;

        stand.rest().await;
        no_op(&mut stand.data).await?;
        let paused = format!("paused-{round}");
        let taken = checkpoint(&mut stand.data, &paused);
        let pause = print_behind(&mut beside, Instant::now());
        let (_, pause) = tokio::try_join!(taken, pause)?;
        results.took(&CHECKPOINT_PAUSE, Some(pause))?;
        remove(&mut stand.data, &paused).await?;

        stand.rest().await;
        no_op(&mut stand.data).await?;
        let restore = format!("/v1/sessions/{PARENT}/restore");
        let (took, _) = stand.data.ask(&restore, json!({ "checkpoint": name }), StatusCode::OK).await?;
        results.took(&RESTORE, Some(took))?;
        stand.data.run(PARENT, &code::WARM).await?;
        remove(&mut stand.data, &name).await?;

        stand.rest().await;
        no_op(&mut stand.data).await?;
        let begun = Instant::now();
        stand.data.client.execute(code::END, Some(REWOUND)).await?;
        results.took(&REWIND, Some(begun.elapsed()))?;
        stand.data.run(REWOUND, &code::WARM).await?;

        stand.rest().await;
        no_op(&mut stand.data).await?;
        let hibernate = format!("/v1/sessions/{PARENT}/hibernate");
        let (took, _) = stand.data.ask(&hibernate, json!({}), StatusCode::OK).await?;
        results.took(&SLEEP, Some(took))?;
        stand.rest().await;
        no_op(&mut stand.data).await?;
        results.took(&WAKE, Some(stand.data.run(PARENT, &code::WARM).await?))?;
    }
    stand.data.end(PARENT).await?;
    stand.data.end(REWOUND).await
}

/// How long it took, and how many bytes it has.
async fn checkpoint(server: &mut Eggbox, name: &str) -> Result<(Duration, f64)> {
    let path = format!("/v1/sessions/{PARENT}/checkpoints");
    let (took, said) = server.ask(&path, json!({ "name": name }), StatusCode::CREATED).await?;
    Ok((took, said["bytes"].as_f64().context("a checkpoint says how large it is")?))
}

/// How long sessions stood still so far, all together, as the server says.
async fn pauses(server: &mut Eggbox) -> Result<Duration> {
    let page = server.client.http.get("/metrics").await?.body;
    let page = std::str::from_utf8(&page)?;
    let sum = page.lines().find_map(|line| line.strip_prefix("eggbox_session_pause_seconds_sum "));
    Ok(Duration::from_secs_f64(sum.context("the server counts how long sessions stand still")?.parse()?))
}

/// How long a `print(x)` in that session takes that is sent right behind something else, from when that was sent.
async fn print_behind(beside: &mut Executor, begun: Instant) -> Result<Duration> {
    // No sooner.
    tokio::time::sleep(Duration::from_micros(300)).await;
    beside.execute(code::WARM.source, Some(PARENT)).await?.expect(code::WARM.prints)?;
    Ok(begun.elapsed())
}

async fn remove(server: &mut Eggbox, name: &str) -> Result<()> {
    let path = format!("/v1/checkpoints/{name}");
    let status = server.client.http.request(Method::DELETE, &path, bytes::Bytes::new()).await?.status;
    ensure!(status == StatusCode::NO_CONTENT, "DELETE {path} answers {status}");
    Ok(())
}

/// A session with much memory: what its forks take, and how long it is held up by them.
pub(crate) async fn large(options: &Options, counts: Counts, results: &mut Results) -> Result<()> {
    progress(format_args!("forks of a session with 1 GiB, {} rounds", counts.large_rounds));
    let settings = Settings {
        eggbox: &options.eggbox,
        python: &options.python,
        is_bare: false,
        has_pool: true,
        sessions_max: 8,
        options: &["--memory-bytes-max=4294967296"],
    };
    let mut server = Eggbox::start(settings).await?;
    let mut beside = Executor::new(server.address);
    server.run(PARENT, &code::LARGE).await?;
    // The first has all of it written somewhere else.
    let path = format!("/v1/sessions/{PARENT}/fork");
    for round in 0..=counts.large_rounds {
        no_op(&mut server).await?;
        let child = format!("child-{round}");
        let forked = async {
            let begun = Instant::now();
            server.ask(&path, json!({ "ids": [&child] }), StatusCode::CREATED).await?;
            server.run(&child, &code::WARM).await?;
            anyhow::Ok(begun.elapsed())
        };
        let pause = print_behind(&mut beside, Instant::now());
        let (forked, pause) = tokio::try_join!(forked, pause)?;
        if round > 0 {
            results.took(&LARGE_FORK, Some(forked))?;
            results.took(&LARGE_PAUSE, Some(pause))?;
        }
        server.end(&child).await?;
    }
    results.note(&LARGE_FORK, "after a first fork".to_owned())
}

/// Very many sessions that sleep: what each costs, and what it takes to wake one.
pub(crate) async fn sleepers(options: &Options, counts: Counts, results: &mut Results) -> Result<()> {
    let room = room(&std::env::temp_dir())? / 4 * 3 / SLEEPER_BYTES;
    let sleepers = counts.sleepers.min(usize::try_from(room)?);
    let fewer = if sleepers < counts.sleepers { " (as many as there is room for on the disk)" } else { "" };
    progress(format_args!("{sleepers} hibernated sessions{fewer}"));
    let settings = Settings {
        eggbox: &options.eggbox,
        python: &options.bare_python,
        is_bare: true,
        has_pool: true,
        sessions_max: 64,
        options: &["--checkpoints-bytes-max=1125899906842624"],
    };
    let mut server = Eggbox::start(settings).await?;
    let before = Snapshot::take(server.process.pid()?)?;
    let begun = Instant::now();
    let makers: FuturesUnordered<_> = (0..MAKERS).map(|maker| make_sleepers(server.address, maker, sleepers)).collect();
    makers.try_fold((), async |(), ()| Ok(())).await?;
    let rate = sleepers as f64 / begun.elapsed().as_secs_f64();
    results.value(&SLEEPER_CREATE, rate, sleepers as u64, sleepers as u64)?;
    let after = Snapshot::take(server.process.pid()?)?;
    results.value(&SLEEPER_MEMORY, after.mebibytes_since(&before) / sleepers.max(1) as f64, 1, 1)?;
    let rounds = (counts.large_rounds * 10).min(sleepers);
    for round in 0..rounds {
        tokio::time::sleep(Duration::from_millis(50)).await;
        no_op(&mut server).await?;
        let id = format!("sleeper-{}", round * sleepers / rounds);
        results.took(&CROWD_WAKE, Some(server.run(&id, &code::WARM).await?))?;
        server.end(&id).await?;
    }
    for row in [&SLEEPER_CREATE, &CROWD_WAKE, &SLEEPER_MEMORY] {
        results.note(row, format!("{sleepers} hibernated sessions{fewer}, bare Python"))?;
    }
    Ok(())
}

async fn make_sleepers(address: std::net::SocketAddr, maker: usize, sleepers: usize) -> Result<()> {
    let mut client = Executor::new(address);
    for number in (maker..sleepers).step_by(MAKERS) {
        let id = format!("sleeper-{number}");
        let made = client.execute(code::SET.source, Some(&id)).await?;
        made.expect(code::SET.prints)?.context("there was no room for a session")?;
        let path = format!("/v1/sessions/{id}/hibernate");
        let status = client.http.request(Method::POST, &path, bytes::Bytes::new()).await?.status;
        ensure!(status == StatusCode::OK, "POST {path} answers {status}");
    }
    Ok(())
}

/// Bytes that are free there.
fn room(path: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
