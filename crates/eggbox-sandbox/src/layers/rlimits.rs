//! Resource limits per process, under whatever cgroups count.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::plan::RlimitPlan;

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
    Ok(())
}
