//! Round trips and new sessions, of eggbox and of its yardsticks, in turn.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hyper::StatusCode;

use crate::catalog::{
    FLASK_NEW, FLASK_WARM, FORK, JUPYTER_NEW, JUPYTER_WARM, NEW, NEW_BARE, NEW_UNPARKED, NEW_UNPARKED_BARE, NO_OP,
    NO_OP_RESTED, PING_PONG, PYTHON, Row, WARM, WARM_BARE,
};
use crate::code::{self, Code};
use crate::eggbox::Eggbox;
use crate::interpreter;
use crate::jupyter::Kernel;
use crate::options::{Counts, Options};
use crate::progress;
use crate::results::Results;
use crate::stand::Stand;

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
        client.execute(code::SET.source, Some(LIVE)).await?.expect(code::SET.prints)?;
    }
    code::SET.check(&stand.ping_pong.execute(code::SET.source)?.0)?;
    let mut kernel = stand.jupyter.kernel().await?;
    code::SET.check(&kernel.execute(code::SET.source).await?)?;
    let mut uncounted = Results::default();
    for round in 0..counts.rounds + UNCOUNTED {
        let results = if round < UNCOUNTED { &mut uncounted } else { &mut *results };
        for _ in 0..counts.warm_per_round {
            warm(stand, results).await?;
        }
        // Apart: it goes on working when it has answered.
        for _ in 0..counts.warm_per_round {
            let answer = stand.flask.client.execute(code::WARM.source, Some(LIVE)).await?;
            results.took(&FLASK_WARM, answer.expect(code::WARM.prints)?)?;
        }
        new(stand, options, results).await?;
        stand.rest().await;
        if round % counts.slow_every == 0 {
            slow(stand, &mut kernel, counts, results).await?;
        }
    }
    stand.jupyter.end(kernel).await
}

async fn warm(stand: &mut Stand, results: &mut Results) -> Result<()> {
    let took = no_op(&mut stand.data).await?;
    results.took(&NO_OP, Some(took))?;
    let answer = stand.data.client.execute(code::WARM.source, Some(LIVE)).await?;
    results.took(&WARM, answer.expect(code::WARM.prints)?)?;
    let answer = stand.bare.client.execute(code::WARM.source, Some(LIVE)).await?;
    results.took(&WARM_BARE, answer.expect(code::WARM.prints)?)?;
    let (printed, took) = stand.ping_pong.execute(code::WARM.source)?;
    code::WARM.check(&printed)?;
    results.took(&PING_PONG, Some(took))
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
        results.took(&NO_OP_RESTED, Some(took))?;
        new_session(server, row, &code::FIRST, results).await?;
    }
    stand.rest().await;
    let mut forked = stand.nest.fork()?;
    code::FIRST.check(&forked.execute(code::FIRST.source)?)?;
    results.took(&FORK, Some(forked.asked.elapsed()))?;
    stand.nest.end(forked)?;
    results.took(&PYTHON, Some(interpreter::run_checked(&options.bare_python, &code::FIRST).await?))?;
    let answer = stand.flask.client.execute(code::FIRST.source, None).await?;
    results.took(&FLASK_NEW, answer.expect(code::FIRST.prints)?)?;
    stand.flask.end(&answer.said.id).await
}

/// A new session's first answer; then its end, which is not measured.
pub(crate) async fn new_session(
    server: &mut Eggbox,
    row: &'static Row,
    code: &Code,
    results: &mut Results,
) -> Result<()> {
    let answer = server.client.execute(code.source, None).await?;
    let took = answer.expect(code.prints)?;
    results.took(row, took)?;
    if took.is_some() {
        server.end(&answer.said.id).await?;
    }
    Ok(())
}

async fn slow(stand: &mut Stand, kernel: &mut Kernel, counts: Counts, results: &mut Results) -> Result<()> {
    for _ in 0..counts.warm_per_round {
        let begun = Instant::now();
        let printed = kernel.execute(code::WARM.source).await?;
        results.took(&JUPYTER_WARM, Some(begun.elapsed()))?;
        code::WARM.check(&printed)?;
    }
    let begun = Instant::now();
    let mut new = stand.jupyter.kernel().await?;
    let printed = new.execute(code::FIRST.source).await?;
    results.took(&JUPYTER_NEW, Some(begun.elapsed()))?;
    code::FIRST.check(&printed)?;
    stand.jupyter.end(new).await?;
    stand.rest().await;
    Ok(())
}
