//! Ten megabytes of output, end to end: from the code to all of the answer, against a pipe.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::catalog::{FLASK_OUTPUT, OUTPUT, PIPE, Row};
use crate::options::{Counts, Options};
use crate::progress;
use crate::results::Results;
use crate::stand::Stand;

const LINE: &str =
    "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 01234567890";
const LINES: usize = 100_000;
const ID: &str = "output";
/// What prints it once it is told to.
const CHILD: &str = "import sys; print('ready', flush=True); sys.stdin.readline(); sys.stdout.write(text)";
const ANSWER_MAX: Duration = Duration::from_secs(30);

pub(crate) async fn measure(stand: &mut Stand, options: &Options, counts: Counts, results: &mut Results) -> Result<()> {
    progress(format_args!("ten megabytes of output, {} times", counts.outputs));
    let text = format!("{LINE}\n").repeat(LINES);
    let make = format!("text = '{LINE}\\n' * {LINES}");
    let servers: [(&'static Row, _); 2] = [(&OUTPUT, &mut stand.data.client), (&FLASK_OUTPUT, &mut stand.flask.client)];
    for (row, client) in servers {
        client.execute(&make, Some(ID)).await?.expect("").with_context(|| format!("row `{}`", row.key))?;
    }
    for _ in 0..counts.outputs {
        stand.rest().await;
        let took = pipe(&options.python, &make, &text).await?;
        record(&PIPE, &text, Some(took), results)?;
        for (row, client) in [(&OUTPUT, &mut stand.data.client), (&FLASK_OUTPUT, &mut stand.flask.client)] {
            let answer = client.execute("print(text, end='')", Some(ID)).await?;
            record(row, &text, answer.expect(&text)?, results)?;
        }
    }
    Ok(())
}

fn record(row: &'static Row, text: &str, took: Option<Duration>, results: &mut Results) -> Result<()> {
    let megabytes = text.len() as f64 / 1e6;
    took.map_or(Ok(()), |took| results.value(row, megabytes / took.as_secs_f64(), 1, 1))
}

/// How long a child takes to print the text, and this program to have it.
async fn pipe(python: &Path, make: &str, text: &str) -> Result<Duration> {
    let mut child = Command::new(python)
        .args(["-c", &format!("{make}\n{CHILD}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("failed to run {}", python.display()))?;
    let mut stdin = child.stdin.take().context("a child without stdin")?;
    let mut stdout = child.stdout.take().context("a child without stdout")?;
    let whole = async {
        stdout.read_exact(&mut [0; b"ready\n".len()]).await?;
        let mut printed = Vec::with_capacity(text.len() + 1);
        let begun = Instant::now();
        stdin.write_all(b"\n").await?;
        stdout.read_to_end(&mut printed).await?;
        let took = begun.elapsed();
        ensure!(printed == text.as_bytes(), "a wrong answer of {}", python.display());
        Ok(took)
    };
    let took = tokio::time::timeout(ANSWER_MAX, whole).await.context("a child did not print its text")??;
    child.wait().await?;
    Ok(took)
}
