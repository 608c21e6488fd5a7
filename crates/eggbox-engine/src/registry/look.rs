//! How many sessions and executions there are, and what they have.

use super::Registry;
use crate::counts::Gauges;
use crate::view::Held;

impl Registry {
    /// As they are now. Asks the kernel once for each session: not for threads that serve others.
    pub(crate) fn gauges(&self) -> Gauges {
        let running = self.counts().running();
        let (held, starting, asleep, ended) = {
            let names = self.names();
            let held: Vec<Held> = names.live.values().filter_map(|live| live.held.borrow().clone()).collect();
            let starting = names.live.len() - held.len();
            (held, starting, names.asleep.len(), names.gone.len())
        };
        let (checkpoints, checkpoint_bytes) = self.checkpoints().usage();
        let memory = held.iter().filter_map(|held| held.meter.memory_bytes()).reduce(u64::saturating_add);
        Gauges {
            sessions_starting: starting,
            sessions_idle: held.len().saturating_sub(running),
            sessions_running: running.min(held.len()),
            sessions_asleep: asleep,
            checkpoints,
            checkpoint_bytes,
            sessions_ended: ended,
            waiting: self.in_flight().saturating_sub(running),
            sessions_memory_bytes: memory.or(held.is_empty().then_some(0)),
        }
    }
}
