//! What data work begins with, as the first code of a new session and of an interpreter that has nothing imported.

use anyhow::Result;

use crate::catalog::{GROUPBY, GROUPBY_COLD, PLOT, PLOT_COLD, Row};
use crate::code::{self, Code};
use crate::interpreter;
use crate::options::{Counts, Options};
use crate::progress;
use crate::results::Results;
use crate::round_trips::{new_session, no_op};
use crate::stand::Stand;

/// In a new session, in an interpreter without anything, and what.
const WORKS: [(&Row, &Row, &Code); 2] = [(&GROUPBY, &GROUPBY_COLD, &code::GROUPBY), (&PLOT, &PLOT_COLD, &code::PLOT)];

pub(crate) async fn measure(stand: &mut Stand, options: &Options, counts: Counts, results: &mut Results) -> Result<()> {
    progress(format_args!("the first groupby and the first plot, {} rounds", counts.first_rounds));
    for round in 0..counts.first_rounds {
        for (warm, cold, code) in WORKS {
            stand.rest().await;
            no_op(&mut stand.data).await?;
            new_session(&mut stand.data, warm, code, results).await?;
            if round % counts.slow_every == 0 {
                results.took(cold, Some(interpreter::run_checked(&options.python, code).await?))?;
            }
        }
    }
    Ok(())
}
