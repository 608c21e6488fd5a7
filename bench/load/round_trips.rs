//! Round trips and new sessions, of eggbox and of its yardsticks, in turn.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hyper::StatusCode;

use crate::catalog::{
    FLASK_NEW, FLASK_WARM, FORK, JUPYTER_NEW, JUPYTER_WARM, NEW, NEW_BARE, NEW_UNPARKED, NEW_UNPARKED_BARE, NO_OP,
    NO_OP_RESTED, PING_PONG, PYTHON, Row, WARM, WARM_BARE,
};
use crate::eggbox::Eggbox;
use crate::interpreter;
use crate::jupyter::Kernel;
use crate::options::{Counts, Options};
use crate::progress;
use crate::results::Results;
use crate::stand::Stand;

/// What a new session runs.
const FIRST: &str = "print(1 + 1)";
const FIRST_PRINTS: &str = "2\n";
/// What a live one has, and runs.
const SET: &str = "x = 5\nprint(x)";
const WARM_CODE: &str = "print(x)";
const WARM_PRINTS: &str = "5\n";
const LIVE: &str = "live";
/// Rounds before those that count, which find cold caches.
const UNCOUNTED: usize = 2;

pub(crate) async fn measure(stand: &mut Stand, options: &Options, counts: Counts, results: &mut Results) -> Result<()> {
    progress(format_args!(
        "round trips and new sessions, {} rounds, with {:?} of rest",
        counts.rounds,
        stand.rest_length()
    ));
    for client in [&mut stand.data.client, &mut stand.bare.client, &mut stand.flask.client] {
        client.execute(SET, Some(LIVE)).await?.expect(WARM_PRINTS)?;
    }
    check(&stand.ping_pong.execute(SET)?.0, WARM_PRINTS)?;
    let mut kernel = stand.jupyter.kernel().await?;
    check(&kernel.execute(SET).await?, WARM_PRINTS)?;
    let mut uncounted = Results::default();
    for round in 0..counts.rounds + UNCOUNTED {
        let results = if round < UNCOUNTED { &mut uncounted } else { &mut *results };
        for _ in 0..counts.warm_per_round {
            warm(stand, results).await?;
        }
        new(stand, options, results).await?;
        if round % counts.slow_every == 0 {
            slow(stand, &mut kernel, counts, results).await?;
        }
    }
    stand.jupyter.end(kernel).await
}

fn check(printed: &str, wanted: &str) -> Result<()> {
    ensure!(printed == wanted, "a wrong answer: {printed:?}, where {wanted:?} was due");
    Ok(())
}

async fn warm(stand: &mut Stand, results: &mut Results) -> Result<()> {
    let took = no_op(&mut stand.data).await?;
    results.took(&NO_OP, Some(took))?;
    let answer = stand.data.client.execute(WARM_CODE, Some(LIVE)).await?;
    results.took(&WARM, answer.expect(WARM_PRINTS)?)?;
    let answer = stand.bare.client.execute(WARM_CODE, Some(LIVE)).await?;
    results.took(&WARM_BARE, answer.expect(WARM_PRINTS)?)?;
    let (printed, took) = stand.ping_pong.execute(WARM_CODE)?;
    check(&printed, WARM_PRINTS)?;
    results.took(&PING_PONG, Some(took))?;
    let answer = stand.flask.client.execute(WARM_CODE, Some(LIVE)).await?;
    results.took(&FLASK_WARM, answer.expect(WARM_PRINTS)?)
}

/// What a request takes that does nothing. After a rest it wakes server and processor, so that what comes next is measured
/// alone.
pub(crate) async fn no_op(server: &mut Eggbox) -> Result<Duration> {
    let answer = server.client.http.get("/health").await?;
    ensure!(answer.status == StatusCode::OK, "the no-op route answers {}", answer.status);
    Ok(answer.took)
}

/// Each begins on a quiet machine, with pools that are full.
async fn new(stand: &mut Stand, options: &Options, results: &mut Results) -> Result<()> {
    let rest = stand.rest_length();
    let servers: [(&'static Row, &mut Eggbox); 4] = [
        (&NEW, &mut stand.data),
        (&NEW_UNPARKED, &mut stand.data_unparked),
        (&NEW_BARE, &mut stand.bare),
        (&NEW_UNPARKED_BARE, &mut stand.bare_unparked),
    ];
    for (row, server) in servers {
        tokio::time::sleep(rest).await;
        let took = no_op(server).await?;
        if std::ptr::eq(row, &NEW) {
            results.took(&NO_OP_RESTED, Some(took))?;
        }
        new_session(server, row, FIRST, FIRST_PRINTS, results).await?;
    }
    stand.rest().await;
    let mut forked = stand.nest.fork()?;
    check(&forked.execute(FIRST)?, FIRST_PRINTS)?;
    results.took(&FORK, Some(forked.asked.elapsed()))?;
    stand.nest.end(forked)?;
    let (printed, took) = interpreter::run(&options.bare_python, FIRST).await?;
    check(&String::from_utf8_lossy(&printed), FIRST_PRINTS)?;
    results.took(&PYTHON, Some(took))?;
    let answer = stand.flask.client.execute(FIRST, None).await?;
    results.took(&FLASK_NEW, answer.expect(FIRST_PRINTS)?)?;
    stand.flask.end(&answer.said.id).await
}

/// A new session's first answer; then its end, which is not measured.
pub(crate) async fn new_session(
    server: &mut Eggbox,
    row: &'static Row,
    code: &str,
    prints: &str,
    results: &mut Results,
) -> Result<Option<Duration>> {
    let answer = server.client.execute(code, None).await?;
    let took = answer.expect(prints)?;
    results.took(row, took)?;
    if took.is_some() {
        server.end(&answer.said.id).await?;
    }
    Ok(took)
}

async fn slow(stand: &mut Stand, kernel: &mut Kernel, counts: Counts, results: &mut Results) -> Result<()> {
    for _ in 0..counts.warm_per_round {
        let begun = Instant::now();
        let printed = kernel.execute(WARM_CODE).await?;
        results.took(&JUPYTER_WARM, Some(begun.elapsed()))?;
        check(&printed, WARM_PRINTS)?;
    }
    let begun = Instant::now();
    let mut new = stand.jupyter.kernel().await?;
    let printed = new.execute(FIRST).await?;
    results.took(&JUPYTER_NEW, Some(begun.elapsed()))?;
    check(&printed, FIRST_PRINTS)?;
    stand.jupyter.end(new).await?;
    stand.rest().await;
    Ok(())
}
