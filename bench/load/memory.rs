//! What an idle session costs in memory, all told: its private pages, and by how much more memory the kernel, files in
//! memory and eggbox's own processes have than before the sessions were made.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use crate::catalog::{FLASK_MEMORY, JUPYTER_MEMORY, MEMORY, Row};
use crate::code;
use crate::proc::{self, Family, Footprint};
use crate::progress;
use crate::results::Results;
use crate::stand::Stand;

const MEBIBYTE: f64 = (1 << 20) as f64;
/// So many sessions are looked at one by one.
const SAMPLE_MAX: usize = 200;
/// What the kernel has for itself, and files in memory (workspaces, code, output).
const KINDS: [&str; 5] = ["Slab", "PageTables", "KernelStack", "Percpu", "Shmem"];

/// The host at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    host: BTreeMap<String, u64>,
    /// Private pages of the server, the keeper and the nest.
    standing: u64,
    family: Family,
}

impl Snapshot {
    pub(crate) fn take(server: u32) -> Result<Self> {
        let family = proc::family(server);
        let standing =
            family.standing.iter().filter_map(|pid| proc::footprint(*pid)).map(|footprint| footprint.private).sum();
        Ok(Self { host: proc::host_memory()?, standing, family })
    }

    /// By how much more memory eggbox's own processes have, and the kernel for them, but for what it can take back at any time.
    pub(crate) fn mebibytes_since(&self, before: &Self) -> f64 {
        let kinds = ["PageTables", "KernelStack", "Percpu", "Shmem"];
        let of = |snapshot: &Self| snapshot.standing as f64 + kinds.map(|kind| snapshot.of(kind)).iter().sum::<f64>();
        ((of(self) - of(before)) / MEBIBYTE).max(0.0)
    }

    fn of(&self, kind: &str) -> f64 {
        self.host.get(kind).copied().unwrap_or(0) as f64
    }

    /// What is neither free nor a cache of what is on disk.
    fn used(&self) -> f64 {
        self.of("MemTotal") - self.of("MemFree") - self.of("Buffers") - (self.of("Cached") - self.of("Shmem"))
    }
}

/// What each session costs that was made between two snapshots.
pub(crate) fn record(before: &Snapshot, after: &Snapshot, results: &mut Results) -> Result<()> {
    let sessions = &after.family.sessions;
    let more = sessions.len().saturating_sub(before.family.sessions.len());
    ensure!(more > 0, "there are no more sessions than before: their memory cannot be told");
    let each = |bytes: f64| bytes / more as f64 / MEBIBYTE;
    let step = sessions.len().div_ceil(SAMPLE_MAX);
    let seen: Vec<u32> = sessions.iter().step_by(step).copied().collect();
    let footprints: Vec<_> = seen.iter().filter_map(|pid| proc::footprint(*pid)).collect();
    let mean = |of: fn(&Footprint) -> u64| {
        footprints.iter().map(of).sum::<u64>() as f64 / footprints.len().max(1) as f64 / MEBIBYTE
    };
    let private = mean(|footprint| footprint.private);
    let kinds = KINDS.map(|kind| (kind, each(after.of(kind) - before.of(kind))));
    let own = each(after.standing as f64 - before.standing as f64);
    let all = private + kinds.iter().map(|(_, size)| size).sum::<f64>() + own;
    let charges: Vec<_> = seen.iter().filter_map(|pid| proc::group_charge(*pid)).collect();
    let charge = if charges.is_empty() {
        "none".into()
    } else {
        format!("{:.3}", charges.iter().sum::<u64>() as f64 / charges.len() as f64 / MEBIBYTE)
    };
    let kinds: Vec<_> = kinds.iter().map(|(kind, size)| format!("{kind} {size:.3}")).collect();
    results.value(&MEMORY, all, 1, 1)?;
    results.note(
        &MEMORY,
        format!(
            "MiB each over {more} sessions: private pages {private:.3}, {}, server, keeper and nest {own:.3}; to compare: \
             proportional set {:.3}, VmPTE {:.3}, charge of the control group {charge}, used memory of the whole host \
             {:.3}",
            kinds.join(", "),
            mean(|footprint| footprint.proportional),
            mean(|footprint| footprint.page_tables),
            each(after.used() - before.used()),
        ),
    )
}

/// The same of the yardsticks' interpreters, of which only the private pages and page tables are counted.
pub(crate) async fn yardsticks(stand: &mut Stand, results: &mut Results) -> Result<()> {
    progress(format_args!("memory of the yardsticks' interpreters"));
    let id = "memory";
    stand.flask.client.execute(code::SET.source, Some(id)).await?.expect(code::SET.prints)?;
    let mut kernel = stand.jupyter.kernel().await?;
    code::SET.check(&kernel.execute(code::SET.source).await?)?;
    let servers: [(&'static Row, u32); 2] =
        [(&FLASK_MEMORY, stand.flask.process.pid()?), (&JUPYTER_MEMORY, stand.jupyter.process.pid()?)];
    for (row, server) in servers {
        let found: Vec<_> = proc::children(server).into_iter().filter_map(proc::footprint).collect();
        let interpreter = found.first().with_context(|| format!("row `{}`: no interpreter was found", row.key))?;
        results.value(row, (interpreter.private + interpreter.page_tables) as f64 / MEBIBYTE, 1, 1)?;
    }
    stand.flask.end(id).await?;
    stand.jupyter.end(kernel).await
}
