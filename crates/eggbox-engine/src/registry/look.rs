//! How many sessions and executions there are, and what they have.

use super::Registry;
use crate::counts::Gauges;
use crate::view::Held;

impl Registry {
    /// As they are now. Asks the kernel once for each session: not for threads that serve others.
    pub(crate) fn gauges(&self) -> Gauges {
        let running = self.counts().running();
        let (held, starting, ended) = {
            let names = self.names();
            let held: Vec<Held> = names.live.values().filter_map(|live| live.held.borrow().clone()).collect();
            let starting = names.live.len() - held.len();
            (held, starting, names.gone.len())
        };
        let memory = held.iter().filter_map(|held| held.meter.memory_bytes()).reduce(u64::saturating_add);
        Gauges {
            sessions_starting: starting,
            sessions_idle: held.len().saturating_sub(running),
            sessions_running: running.min(held.len()),
            sessions_ended: ended,
            waiting: self.in_flight().saturating_sub(running),
            sessions_memory_bytes: memory.or(held.is_empty().then_some(0)),
        }
    }
}
