//! Resource limits per process, under whatever cgroups count.

use std::fs;
use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::plan::RlimitPlan;

/// Where the kernel looks first when memory runs out (proc_pid_oom_score_adj(5)): at sessions, never at the server.
const OOM_SCORE_ADJUSTMENT: &str = "1000";

/// Sets soft and hard limits alike, so that code cannot raise them.
pub(crate) fn limit(plan: &RlimitPlan) -> io::Result<()> {
    let limits = [
        (Resource::Nofile, Some(plan.open_files_max.into())),
        (Resource::Nproc, plan.processes_max.map(u64::from)),
        (Resource::Stack, Some(plan.stack_bytes_max)),
        (Resource::Memlock, Some(plan.locked_bytes_max)),
        (Resource::Fsize, Some(plan.file_bytes_max)),
        (Resource::Core, Some(0)),
    ];
    for (resource, maximum) in limits {
        if maximum.is_some() {
            setrlimit(resource, Rlimit { current: maximum, maximum })?;
        }
    }
    fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJUSTMENT)
}
