//! Resource limits per process, under whatever cgroups count.

use std::fs;
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::THREAD_STACK_BYTES;
use crate::plan::RlimitPlan;
#[cfg(feature = "native")]
use crate::sys;

/// Where the kernel looks first when memory runs out (proc_pid_oom_score_adj(5)): at sessions, never at the server.
const OOM_SCORE_ADJUSTMENT: &str = "1000";

/// What one session may have of objects that the kernel counts per user of a user namespace (namespaces(7), inotify(7)).
const USER_LIMITS: [(&str, u32); 2] = [("max_inotify_instances", 16), ("max_inotify_watches", 8192)];
/// User namespaces that the kernel has yet to clear away, beside as many as live.
const USER_NAMESPACES_DYING_MAX: u32 = 1024;

/// What of its memory a session gets only once it has run out of the rest: a few of CPython's arenas.
const RESERVE_BYTES: u64 = 8 << 20;
/// Timers and queued signals of a uid.
const PENDING_SIGNALS_MAX: u64 = 1024;
/// Bytes in POSIX message queues of a uid.
const MESSAGE_QUEUE_BYTES_MAX: u64 = 819_200;

/// Limits, for every user of this user namespace, the kernel objects that would otherwise be the host's to run out of.
///
/// `sessions` is how many share one user here, each in a user namespace of its own beneath this one: 0 where each has a
/// user of its own, 1 for a session's own namespace. No session needs another; the filter refuses them as well.
pub(crate) fn limit_kernel_objects(sessions: u32) -> io::Result<()> {
    let namespaces = if sessions > 1 { sessions.saturating_add(USER_NAMESPACES_DYING_MAX) } else { 0 };
    let limits = USER_LIMITS.map(|(name, count)| (name, count.saturating_mul(sessions.max(1))));
    for (name, count) in limits.into_iter().chain([("max_user_namespaces", namespaces)]) {
        let count = count.min(i32::MAX.unsigned_abs());
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
    let data_bytes_max = data_bytes()?.saturating_add(plan.data_bytes_max);
    setrlimit(Resource::Data, with_reserve(data_bytes_max))?;
    fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJUSTMENT)
}

/// Lowers what [`limit`] has set, in a session that has run no code yet, so that it holds for every process it will have.
/// `processes_max` is none where it is not by the uid that processes are counted.
///
/// From inside: for a process of another uid prlimit(2) wants CAP_SYS_RESOURCE, which root has not everywhere (not in most
/// containers).
#[cfg(feature = "native")]
pub(crate) fn lower(data_bytes_less: u64, processes_max: Option<u32>) -> io::Result<()> {
    let before = getrlimit(Resource::Data).maximum.ok_or_else(|| io::Error::other("there is no limit to lower"))?;
    setrlimit(Resource::Data, with_reserve(before.saturating_sub(data_bytes_less)))?;
    if let Some(maximum) = processes_max {
        let maximum = Some(maximum.into());
        setrlimit(Resource::Nproc, Rlimit { current: maximum, maximum })?;
    }
    Ok(())
}

/// Lets this process have all of its memory, the reserve and what code has forbidden itself, for what is no doing of code's. Returns
/// what to give to [`allow_memory`] afterwards.
#[cfg(feature = "native")]
pub(crate) fn allow_all_memory() -> io::Result<Rlimit> {
    let own = getrlimit(Resource::Data);
    allow_memory(Rlimit { current: own.maximum, ..own })?;
    Ok(own)
}

#[cfg(feature = "native")]
pub(crate) fn allow_memory(limit: Rlimit) -> io::Result<()> {
    Ok(setrlimit(Resource::Data, limit)?)
}

/// The reserve is not to be had at first.
pub(crate) fn with_reserve(data_bytes_max: u64) -> Rlimit {
    Rlimit { current: Some(data_bytes_max.saturating_sub(RESERVE_BYTES)), maximum: Some(data_bytes_max) }
}

/// For a session that is out of memory: lets it have the reserve, to say so and to let go of something. None where it has
/// it already; else for [`restore_reserve`] what code had made of the limit, `u64::MAX` for nothing, never 0.
#[cfg(feature = "native")]
pub(crate) fn release_reserve() -> io::Result<Option<u64>> {
    let Rlimit { current, maximum } = allow_all_memory()?;
    if current == maximum {
        return Ok(None);
    }
    let is_as_it_was = maximum.is_some_and(|maximum| current == with_reserve(maximum).current);
    Ok(if is_as_it_was { Some(u64::MAX) } else { current.map(|current| current.max(1)) })
}

/// Puts the reserve back where enough was let go of, and at most `before` of what is left. Returns whether it is.
#[cfg(feature = "native")]
pub(crate) fn restore_reserve(before: u64) -> io::Result<bool> {
    let Rlimit { current, maximum } = getrlimit(Resource::Data);
    if current != maximum {
        // Code has made something of it since.
        return Ok(true);
    }
    let current = Some(maximum.map_or(before, |maximum| before.min(maximum.saturating_sub(RESERVE_BYTES))));
    setrlimit(Resource::Data, Rlimit { current, maximum })?;
    // By trying: a session may not be allowed to look.
    let fits = sys::inside::may_have_more_memory(rustix::param::page_size());
    if !fits {
        allow_all_memory()?;
    }
    Ok(fits)
}

/// Bytes of private memory that this process may write to, its stack included, as RLIMIT_DATA counts them.
fn data_bytes() -> io::Result<u64> {
    // proc_pid_statm(5): in pages; the 6th is data and stack.
    let text = fs::read_to_string("/proc/self/statm")?;
    let pages: Option<u64> = text.split_whitespace().nth(5).and_then(|field| field.parse().ok());
    let pages = pages.ok_or_else(|| io::Error::other("/proc/self/statm shows no data"))?;
    Ok(pages.saturating_mul(rustix::param::page_size() as u64))
}

/// For a process that is about to execute the interpreter: the C library takes the limit of the stack as it finds it for
/// the size of every thread's (pthread_create(3)).
pub(crate) fn choose_thread_stack() -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Stack);
    let current = maximum.map_or(THREAD_STACK_BYTES, |maximum| maximum.min(THREAD_STACK_BYTES));
    Ok(setrlimit(Resource::Stack, Rlimit { current: Some(current), maximum })?)
}

/// For the interpreter: its first thread may have what there is.
#[cfg(feature = "native")]
pub(crate) fn restore_first_stack() -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Stack);
    Ok(setrlimit(Resource::Stack, Rlimit { current: maximum, maximum })?)
}
