//! Resource limits per process, under whatever cgroups count.

use std::fs;
use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::plan::RlimitPlan;

/// Where the kernel looks first when memory runs out (proc_pid_oom_score_adj(5)): at sessions, never at the server.
const OOM_SCORE_ADJUSTMENT: &str = "1000";

/// What one user of the nest's user namespace may have of objects that the kernel counts per user (namespaces(7),
/// inotify(7)). No session needs a user namespace; the filter refuses them as well.
const USER_LIMITS: [(&str, u32); 3] =
    [("max_user_namespaces", 0), ("max_inotify_instances", 16), ("max_inotify_watches", 8192)];

/// Timers and queued signals of a uid.
const PENDING_SIGNALS_MAX: u64 = 1024;
/// Bytes in POSIX message queues of a uid.
const MESSAGE_QUEUE_BYTES_MAX: u64 = 819_200;

/// Limits, for every user of this user namespace, the kernel objects that would otherwise be the host's to run out of.
pub(crate) fn limit_kernel_objects() -> io::Result<()> {
    for (name, count) in USER_LIMITS {
        let path = format!("/proc/sys/user/{name}");
        fs::write(&path, count.to_string())
            .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
    }
    Ok(())
}

/// Sets soft and hard limits alike, so that code cannot raise them.
pub(crate) fn limit(plan: &RlimitPlan) -> io::Result<()> {
    let limits = [
        (Resource::Nofile, Some(plan.open_files_max.into())),
        (Resource::Nproc, plan.processes_max.map(u64::from)),
        (Resource::Stack, Some(plan.stack_bytes_max)),
        (Resource::Memlock, Some(plan.locked_bytes_max)),
        (Resource::Fsize, Some(plan.file_bytes_max)),
        (Resource::Core, Some(0)),
        (Resource::Sigpending, Some(PENDING_SIGNALS_MAX)),
        (Resource::Msgqueue, Some(MESSAGE_QUEUE_BYTES_MAX)),
    ];
    for (resource, maximum) in limits {
        if maximum.is_some() {
            setrlimit(resource, Rlimit { current: maximum, maximum })?;
        }
    }
    fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJUSTMENT)
}
