//! Everything that is measured side by side, started and idle.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use crate::code;
use crate::eggbox::{Eggbox, Settings};
use crate::flask::Flask;
use crate::interpreter::PingPong;
use crate::jupyter::Gateway;
use crate::nest::{Nest, bare_plan, shipped_plan};
use crate::options::Options;
use crate::progress;

/// More than any row of these servers has at once, and few enough for any limit of open files.
const SESSIONS_MAX: usize = 256;
/// How much longer than making a session takes the pool is given to be full again: a session is made and then as long
/// nothing; the end of the one that was measured goes on behind it.
const RESTS_PER_SESSION: u32 = 6;
const REST_MIN: Duration = Duration::from_millis(20);
/// Longer ones would make a run on a busy machine last for ever.
const REST_MAX: Duration = Duration::from_millis(100);
const PROBES: usize = 9;

#[derive(Debug)]
pub(crate) struct Stand {
    pub(crate) data: Eggbox,
    pub(crate) data_unparked: Eggbox,
    pub(crate) bare: Eggbox,
    pub(crate) bare_unparked: Eggbox,
    pub(crate) nest: Nest,
    pub(crate) ping_pong: PingPong,
    pub(crate) flask: Flask,
    pub(crate) jupyter: Gateway,
    /// After which a pool of sessions is full again, on this machine.
    rest: Duration,
}

impl Stand {
    pub(crate) async fn start(options: &Options) -> Result<Self> {
        progress(format_args!("starting four servers, a nest, a child, the line loop and the kernel gateway"));
        let python = options.python.as_path();
        let data = Settings {
            eggbox: &options.eggbox,
            python,
            is_bare: false,
            has_pool: true,
            sessions_max: SESSIONS_MAX,
            options: &[],
        };
        let bare = Settings { python: &options.bare_python, is_bare: true, ..data };
        let mut data_unparked = Eggbox::start(Settings { has_pool: false, ..data }).await?;
        Ok(Self {
            data: Eggbox::start(data).await?,
            bare: Eggbox::start(bare).await?,
            bare_unparked: Eggbox::start(Settings { has_pool: false, ..bare }).await?,
            nest: Nest::start(&options.eggbox, &bare_plan(&shipped_plan(python)?))?,
            ping_pong: PingPong::start(python, &options.bench)?,
            flask: Flask::start(&options.yardsticks_python, &options.bench).await?,
            jupyter: Gateway::start(&options.yardsticks_python).await?,
            rest: rest_after(&mut data_unparked).await?,
            data_unparked,
        })
    }

    /// Waits until pools are full again, and what was ended is gone.
    pub(crate) async fn rest(&self) {
        sleep(self.rest).await;
    }

    /// How long that is.
    pub(crate) fn rest_length(&self) -> Duration {
        self.rest
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        // All at once; each is then waited for.
        let Self { data, data_unparked, bare, bare_unparked, flask, jupyter, .. } = self;
        for eggbox in [data, data_unparked, bare, bare_unparked] {
            eggbox.process.ask_to_end();
        }
        flask.process.ask_to_end();
        jupyter.process.ask_to_end();
    }
}

/// From what a session takes to make and to end, at the median.
async fn rest_after(unparked: &mut Eggbox) -> Result<Duration> {
    let mut taken = Vec::new();
    for _ in 0..PROBES {
        let begun = std::time::Instant::now();
        let answer = unparked.client.execute(code::NOTHING.source, None).await?;
        answer.expect(code::NOTHING.prints)?;
        unparked.end(&answer.said.id).await?;
        taken.push(begun.elapsed());
    }
    taken.sort();
    Ok((taken[PROBES / 2] * RESTS_PER_SESSION).clamp(REST_MIN, REST_MAX))
}
