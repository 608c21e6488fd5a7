//! What /proc says of the processes of one server, and waiting.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const NAMESPACES: [&str; 6] = ["ipc", "mnt", "net", "pid", "user", "uts"];

/// Asks until there is something, or none once `wait_max` is over.
pub(crate) fn wait_for<T>(wait_max: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + wait_max;
    loop {
        if let Some(found) = ask() {
            return Some(found);
        }
        if Instant::now() > end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What the kernel holds for a server's sandboxes.
#[derive(Debug, Default)]
pub(crate) struct Footprint {
    pub(crate) pids: BTreeSet<u32>,
    /// Such as `pid:[4026532511]`.
    pub(crate) namespaces: BTreeSet<String>,
    pub(crate) cgroups: BTreeSet<PathBuf>,
    /// When the youngest process there was had started, in clock ticks since boot. The numbers of namespaces are used
    /// again, so what has started later is somebody else's.
    taken_ticks: u64,
}

/// The processes whose interpreter was started by this path, and all others in their pid namespaces: nests, sessions
/// and whatever sessions have started.
pub(crate) fn footprint(interpreter: &Path) -> Footprint {
    let ours = pids().into_iter().filter(|pid| is_started_as(*pid, interpreter));
    let pid_namespaces: BTreeSet<String> = ours.filter_map(|pid| namespace(pid, "pid")).collect();
    let taken_ticks = pids().into_iter().filter_map(start_ticks).max().unwrap_or_default();
    let mut footprint = Footprint { taken_ticks, ..Footprint::default() };
    for pid in pids() {
        if !namespace(pid, "pid").is_some_and(|name| pid_namespaces.contains(&name)) {
            continue;
        }
        footprint.pids.insert(pid);
        footprint.namespaces.extend(foreign_namespaces(pid));
        let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        if let Some(path) = cgroup.trim().strip_prefix("0::").filter(|_| cgroup != own) {
            footprint.cgroups.insert(Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/')));
        }
    }
    footprint
}

impl Footprint {
    /// What of it is still there; empty where nothing is.
    pub(crate) fn remains(&self) -> Vec<String> {
        let mut remains = Vec::new();
        for pid in pids().into_iter().filter(|pid| start_ticks(*pid).is_some_and(|ticks| ticks <= self.taken_ticks)) {
            let kept: Vec<_> =
                foreign_namespaces(pid).into_iter().filter(|name| self.namespaces.contains(name)).collect();
            if !kept.is_empty() {
                remains.push(format!("process {pid} ({}) in {kept:?}", command_line(pid).replace('\0', " ")));
            }
        }
        remains.extend(self.cgroups.iter().filter(|path| path.exists()).map(|path| path.display().to_string()));
        remains
    }

    /// Waits until nothing of it is there.
    pub(crate) fn assert_gone(&self, wait_max: Duration) {
        let gone = wait_for(wait_max, || self.remains().is_empty().then_some(()));
        assert!(gone.is_some(), "left behind: {:#?}", self.remains());
    }
}

/// The pid of the nest of the server that runs this interpreter: the pid 1 that is no session's.
pub(crate) fn nest_pid(interpreter: &Path) -> u32 {
    let ours = pids().into_iter().filter(|pid| is_started_as(*pid, interpreter));
    let depth = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default().to_owned();
        line.split_whitespace().count()
    };
    ours.filter(|pid| depth(pid) > 0).min_by_key(depth).expect("there is a nest")
}

/// The process whose command line has this in it, with a NUL between arguments.
pub(crate) fn pid_of(part: &str) -> Option<u32> {
    pids().into_iter().find(|pid| command_line(*pid).contains(part))
}

fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc can be listed");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// None for a process that is gone, or that only its parent has yet to hear of: of an orphan that is this host's init,
/// which takes its time.
fn start_ticks(pid: u32) -> Option<u64> {
    // proc_pid_stat(5): state and start are fields 3 and 22; the 2nd is in parentheses and may contain anything.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if *fields.first()? == "Z" { None } else { fields.get(19)?.parse().ok() }
}

fn command_line(pid: u32) -> String {
    String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()).into_owned()
}

fn is_started_as(pid: u32, interpreter: &Path) -> bool {
    command_line(pid).split('\0').next().is_some_and(|program| Path::new(program) == interpreter)
}

fn namespace(pid: u32, kind: &str) -> Option<String> {
    Some(fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok()?.to_str()?.to_owned())
}

/// The namespaces of a process that are not the tests' own.
fn foreign_namespaces(pid: u32) -> Vec<String> {
    NAMESPACES
        .into_iter()
        .filter_map(|kind| namespace(pid, kind).filter(|_| namespace(pid, kind) != own(kind)))
        .collect()
}

fn own(kind: &str) -> Option<String> {
    namespace(std::process::id(), kind)
}

/// What a process has in memory (proc_pid_status(5), VmRSS).
pub(crate) fn resident_bytes(pid: rustix::process::Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_pid())).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has a size");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("it is a number") * 1024
}

/// What a process has computed, in clock ticks (proc_pid_stat(5), utime and stime).
pub(crate) fn cpu_ticks(pid: rustix::process::Pid) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).expect("it lives");
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).map(|field| field.parse::<u64>().expect("it is a number")).sum()
}
