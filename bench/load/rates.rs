//! What is done per second by clients that ask again as soon as they are answered, in slices of time, in turn.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::TryStreamExt;
use futures_util::stream::FuturesUnordered;
use hyper::StatusCode;
use tokio::time::sleep;

use crate::catalog::{CYCLE, CYCLE_BARE, FLASK_RATE, NO_OP_RATE, PYTHON_CYCLE, Row, WARM_RATE};
use crate::code;
use crate::eggbox;
use crate::execute::Executor;
use crate::http::Http;
use crate::interpreter;
use crate::options::{Counts, Options};
use crate::progress;
use crate::results::Results;
use crate::stand::Stand;

/// Clients that make and end sessions.
const MAKERS: usize = 4;
/// Clients that run code in live ones.
const USERS: usize = 16;
/// Between slices, for what the one before has left.
const REST: Duration = Duration::from_millis(500);

pub(crate) async fn measure(stand: &mut Stand, options: &Options, counts: Counts, results: &mut Results) -> Result<()> {
    let Counts { slices, slice, .. } = counts;
    progress(format_args!("rates, {slices} slices of {slice:?} for each"));
    let mut live = Vec::new();
    for (address, row) in [(stand.data.address, &WARM_RATE), (stand.flask.address, &FLASK_RATE)] {
        for user in 0..USERS {
            let mut client = Executor::new(address);
            let id = format!("user-{user}");
            client.execute(code::SET.source, Some(&id)).await?.expect(code::SET.prints)?;
            live.push((row, client, id));
        }
    }
    for _ in 0..slices {
        for (row, server) in [(&CYCLE, &stand.data), (&CYCLE_BARE, &stand.bare)] {
            cycle(row, server.address, slice, results).await?;
        }
        let runs = async |(): &mut ()| {
            interpreter::run_checked(&options.bare_python, &code::FIRST).await?;
            Ok(true)
        };
        rate(&PYTHON_CYCLE, &mut [(); MAKERS], slice, runs, results).await?;
        let mut clients: Vec<_> = (0..USERS).map(|_| Http::new(stand.data.address)).collect();
        let no_op = async |client: &mut Http| Ok(client.get("/health").await?.status == StatusCode::OK);
        rate(&NO_OP_RATE, &mut clients, slice, no_op, results).await?;
        for users in live.chunks_mut(USERS) {
            let warm = async |(_, client, id): &mut (&Row, Executor, String)| {
                Ok(client.execute(code::WARM.source, Some(id)).await?.expect(code::WARM.prints)?.is_some())
            };
            rate(users[0].0, users, slice, warm, results).await?;
        }
    }
    Ok(())
}

async fn cycle(row: &'static Row, address: SocketAddr, slice: Duration, results: &mut Results) -> Result<()> {
    let mut makers: Vec<_> = (0..MAKERS).map(|_| Executor::new(address)).collect();
    let once = async |client: &mut Executor| {
        let answer = client.execute(code::FIRST.source, None).await?;
        let is_made = answer.expect(code::FIRST.prints)?.is_some();
        if is_made {
            eggbox::end(client, &answer.said.id).await?;
        }
        Ok(is_made)
    };
    rate(row, &mut makers, slice, once, results).await?;
    results.note(row, "sessions end by DELETE".into())
}

/// Lets each worker do it again and again for as long as a slice is; `once` says whether it was done or refused.
async fn rate<W>(
    row: &'static Row,
    workers: &mut [W],
    slice: Duration,
    once: impl AsyncFn(&mut W) -> Result<bool>,
    results: &mut Results,
) -> Result<()> {
    sleep(REST).await;
    let begun = Instant::now();
    let once = &once;
    let working: FuturesUnordered<_> = workers
        .iter_mut()
        .map(|worker| async move {
            let (mut right, mut attempts) = (0, 0);
            while begun.elapsed() < slice {
                attempts += 1;
                right += u64::from(once(worker).await?);
            }
            anyhow::Ok((right, attempts))
        })
        .collect();
    let (right, attempts) =
        working.try_fold((0, 0), async |(right, attempts), (more, tried)| Ok((right + more, attempts + tried))).await?;
    results.value(row, right as f64 / begun.elapsed().as_secs_f64(), right, attempts)
}
