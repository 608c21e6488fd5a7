//! How many files a server may have open, and how many it needs, so that it never runs out of them, whatever its sessions do.

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;
use crate::setting;

/// What the server holds of a session: two pipes for its channel, three for what it prints and shows, its pidfd, five files in
/// memory, three counters of its control group, and four streams that it has left to processes of its past.
const PER_SESSION: u64 = 18;
/// The same of one that nobody has used yet.
const PER_PARKED: u64 = 14;
/// For everything else: the runtime, nests, the log, sessions that are being made, files of workspaces that are transferred,
/// gone through or copied.
const BESIDE: u64 = 768;

/// The most that this process may have; none for no limit.
pub(crate) fn most() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Those that a server needs beside what its sessions do.
fn beside(parked: u32, connections: usize) -> u64 {
    u64::from(parked) * PER_PARKED + connections as u64 + BESIDE
}

/// As many sessions as so many open files are enough for.
pub(crate) fn sessions(open_files: u64, parked: u32, connections: usize) -> u32 {
    let left = open_files.saturating_sub(beside(parked, connections));
    u32::try_from(left / PER_SESSION).unwrap_or(u32::MAX)
}

/// Raises this process's limit to what it may have, and makes sure that this is enough.
pub(crate) fn allow(config: &Config) -> anyhow::Result<()> {
    let most = most();
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })
        .context("failed to raise the limit of open files")?;
    let Some(most) = most else { return Ok(()) };
    let (connections, parked) = (config.server.connections_max, config.engine.parked_max());
    let sessions_max = config.engine.limits.sessions_max;
    let needed = u64::from(sessions_max) * PER_SESSION + beside(parked, connections);
    if most < needed {
        anyhow::bail!(
            "failed to start: {sessions_max} sessions and {connections} connections need {needed} open files, and this \
             process may have {most}; raise the hard limit (ulimit -Hn, LimitNOFILE=) or lower sessions_max or \
             connections_max"
        );
    }
    let is_bound = u64::from(sessions_max) < setting::SESSIONS_MAX.default;
    if is_bound && sessions(most, parked, connections) == sessions_max {
        tracing::warn!(
            sessions_max,
            open_files_max = most,
            "there may be fewer sessions than usual: the hard limit of open files allows no more (ulimit -Hn, LimitNOFILE=)"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_sessions_fit_as_need_no_more_than_there_is() {
        let needed = |sessions: u32| u64::from(sessions) * PER_SESSION + beside(32, 1024);
        for count in [0, 1, 1024, 65_536] {
            assert_eq!(sessions(needed(count), 32, 1024), count);
            assert_eq!(sessions(needed(count) + PER_SESSION - 1, 32, 1024), count);
        }
        assert_eq!(sessions(256, 32, 1024), 0);
    }
}
