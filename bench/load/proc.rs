//! What the kernel says of processes and of memory: proc(5).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{read_dir, read_link, read_to_string};
use std::path::PathBuf;

use anyhow::{Context, Result};

const KIBIBYTE: u64 = 1024;

/// The processes of an eggbox, by pid.
#[derive(Debug, Default)]
pub(crate) struct Family {
    /// The server, its keeper and its nests.
    pub(crate) standing: Vec<u32>,
    pub(crate) sessions: Vec<u32>,
}

/// Of one process, in bytes.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Footprint {
    /// Pages that nobody else has.
    pub(crate) private: u64,
    /// Its share of those that others have too, and those.
    pub(crate) proportional: u64,
    /// Of the lowest level (VmPTE).
    pub(crate) page_tables: u64,
}

#[derive(Debug)]
struct Process {
    parent: u32,
    is_living: bool,
    cpu_ticks: u64,
}

fn process(pid: u32) -> Option<Process> {
    let text = read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may contain anything.
    let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Process {
        parent: u32::try_from(number(1)?).ok()?,
        is_living: *fields.first()? != "Z",
        cpu_ticks: number(11)? + number(12)?,
    })
}

fn processes() -> HashMap<u32, Process> {
    let entries = read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, process(pid)?))).collect()
}

/// The processes that this one has started and that live.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let everything = processes();
    everything.iter().filter(|(_, found)| found.parent == pid && found.is_living).map(|(pid, _)| *pid).collect()
}

/// The processes that a server has started, or holds pidfds of: a nest is an orphan on purpose.
pub(crate) fn family(server: u32) -> Family {
    let everything = processes();
    let mut near: HashSet<u32> = held_by_pidfd(server).into_iter().filter(|pid| everything.contains_key(pid)).collect();
    near.extend(everything.iter().filter(|(_, process)| process.parent == server).map(|(pid, _)| *pid));
    let beside: HashSet<u32> = near.iter().filter(|pid| !near.contains(&everything[pid].parent)).copied().collect();
    let of_nests = |process: &Process| process.is_living && beside.contains(&process.parent);
    let sessions = everything.iter().filter(|(_, process)| of_nests(process)).map(|(pid, _)| *pid).collect();
    Family { standing: std::iter::once(server).chain(beside).collect(), sessions }
}

fn held_by_pidfd(pid: u32) -> Vec<u32> {
    let entries = read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
    let texts = entries.filter_map(|entry| {
        // Few of its descriptors are pidfds, and to look at a link is quicker than to read a file.
        let link = read_link(PathBuf::from(format!("/proc/{pid}/fd")).join(entry.file_name())).ok()?;
        link.to_str()?.contains("pidfd").then(|| read_to_string(entry.path()).ok())?
    });
    texts.filter_map(|text| text.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()).collect()
}

/// The CPU time that these processes have used, in seconds.
pub(crate) fn cpu_seconds(pids: &[u32]) -> f64 {
    let ticks: u64 = pids.iter().filter_map(|pid| process(*pid)).map(|process| process.cpu_ticks).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// None where it has ended.
pub(crate) fn footprint(pid: u32) -> Option<Footprint> {
    let rollup = read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let status = read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(Footprint {
        private: (kibibytes(&rollup, "Private_Clean")? + kibibytes(&rollup, "Private_Dirty")?) * KIBIBYTE,
        proportional: kibibytes(&rollup, "Pss")? * KIBIBYTE,
        page_tables: kibibytes(&status, "VmPTE")? * KIBIBYTE,
    })
}

/// What the whole host has of each kind of memory, in bytes.
pub(crate) fn host_memory() -> Result<BTreeMap<String, u64>> {
    let text = read_to_string("/proc/meminfo").context("failed to read /proc/meminfo")?;
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    Ok(lines.filter_map(|(name, _)| Some((name.to_owned(), kibibytes(&text, name)? * KIBIBYTE))).collect())
}

/// What the control group of memory that a session is in is charged, in bytes; none where it has none of its own.
pub(crate) fn group_charge(pid: u32) -> Option<u64> {
    let groups = read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let counter = groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        if !path.contains("/eggbox") {
            return None;
        }
        match controllers {
            "" => Some(format!("/sys/fs/cgroup{path}/memory.current")),
            "memory" => Some(format!("/sys/fs/cgroup/memory{path}/memory.usage_in_bytes")),
            _ => None,
        }
    })?;
    read_to_string(counter).ok()?.trim().parse().ok()
}
