//! Many new sessions at once: how many were answered, and when the last was.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::TryStreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;

use crate::catalog::{BURST, BURST_BARE, FLASK_BURST, Row};
use crate::code;
use crate::execute::Executor;
use crate::options::Counts;
use crate::progress;
use crate::results::Results;
use crate::stand::Stand;

/// For what a burst leaves behind to be cleared away.
const REST: Duration = Duration::from_millis(500);

pub(crate) async fn measure(stand: &mut Stand, counts: Counts, results: &mut Results) -> Result<()> {
    progress(format_args!("{} bursts of {} new sessions", counts.bursts, counts.burst_sessions));
    for round in 0..counts.bursts {
        for (row, server) in [(&BURST, &mut stand.data), (&BURST_BARE, &mut stand.bare)] {
            sleep(REST).await;
            for id in burst(server.address, counts.burst_sessions, row, results).await? {
                server.end(&id).await?;
            }
        }
        // It starts as many interpreters.
        if round % counts.slow_every == 0 {
            for id in burst(stand.flask.address, counts.burst_sessions, &FLASK_BURST, results).await? {
                stand.flask.end(&id).await?;
            }
        }
    }
    for row in [&BURST, &BURST_BARE, &FLASK_BURST] {
        results.note(row, format!("{} sessions at once", counts.burst_sessions))?;
    }
    Ok(())
}

/// The sessions that it has made. The connections are there before it begins.
async fn burst(address: SocketAddr, sessions: usize, row: &'static Row, results: &mut Results) -> Result<Vec<String>> {
    let mut clients: Vec<Executor> = (0..sessions).map(|_| Executor::new(address)).collect();
    for client in &mut clients {
        client.http.connect().await?;
    }
    let begun = Instant::now();
    let asked: FuturesUnordered<_> =
        clients.iter_mut().map(|client| client.execute(code::FIRST.source, None)).collect();
    let answers: Vec<_> = asked.try_collect().await?;
    let last = begun.elapsed();
    let mut made = Vec::new();
    for answer in answers {
        if answer.expect(code::FIRST.prints)?.is_some() {
            made.push(answer.said.id);
        }
    }
    results.value(row, last.as_secs_f64() * 1e3, made.len() as u64, sessions as u64)?;
    Ok(made)
}
