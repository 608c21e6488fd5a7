//! The processes of this host, as /proc shows them to the server.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::process::Pid;

/// One process, at the moment it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pub pid: Pid,
    /// None for what the kernel started.
    pub parent: Option<Pid>,
    /// 1 for one that has ended and was not reaped.
    pub threads: u64,
    /// Its own CPU time and that of the children that it has reaped.
    pub cpu: Duration,
    /// What it has in memory, whoever shares it.
    pub resident_bytes: u64,
}

/// Every process that is there.
///
/// # Errors
/// Where /proc cannot be listed.
pub fn all() -> io::Result<Vec<Process>> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else { continue };
        // One that has gone meanwhile is not there.
        let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else { continue };
        processes.extend(parse(pid, &stat));
    }
    Ok(processes)
}

/// This process; none where /proc is not there.
#[must_use]
pub fn own() -> Option<Process> {
    parse(rustix::process::getpid(), &fs::read("/proc/self/stat").ok()?)
}

/// proc_pid_stat(5): "pid (name) state ppid ...", where the name may hold anything, brackets included.
fn parse(pid: Pid, stat: &[u8]) -> Option<Process> {
    let after_name = stat.get(stat.iter().rposition(|&byte| byte == b')')? + 1..)?;
    let fields: Vec<&str> = std::str::from_utf8(after_name).ok()?.split_whitespace().collect();
    // The first of these is the third of the page.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let ticks = [14, 15, 16, 17].into_iter().filter_map(number).sum::<u64>();
    let is_zombie = matches!(fields.first(), Some(&("Z" | "X")));
    Some(Process {
        pid,
        parent: number(4).and_then(|parent| i32::try_from(parent).ok()).and_then(Pid::from_raw),
        threads: if is_zombie { 1 } else { number(20)? },
        cpu: Duration::from_millis(ticks.saturating_mul(1000) / rustix::param::clock_ticks_per_second()),
        resident_bytes: number(24)?.saturating_mul(rustix::param::page_size() as u64),
    })
}

/// A process's share of the memory it has: what several have is divided among them (proc_pid_smaps(5), Pss), and what
/// the kernel keeps to know where it is comes on top.
///
/// # Errors
/// Where it is gone, or the server may not know.
pub fn own_bytes(pid: Pid) -> io::Result<u64> {
    let field = |text: &str, name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    let memory = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let tables = fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok((field(&memory, "Pss") + field(&tables, "VmPTE")).saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_there_with_its_parent_and_its_memory() {
        let own = all().unwrap().into_iter().find(|process| process.pid == rustix::process::getpid()).unwrap();
        assert_eq!(own.parent, rustix::process::getppid());
        assert!(own.threads >= 1 && own.resident_bytes > 1 << 20);
        assert!((1 << 16..own.resident_bytes * 2).contains(&own_bytes(own.pid).unwrap()));
    }

    #[test]
    fn a_name_may_hold_anything() {
        let pid = Pid::from_raw(7).unwrap();
        let rest = "S 3 7 7 0 -1 0 0 0 0 0 100 200 3 4 20 0 5 0 9 1000 6 ";
        let process = parse(pid, format!("7 (a) b) 1 (c) {rest}").as_bytes()).unwrap();
        assert_eq!((process.parent, process.threads), (Pid::from_raw(3), 5));
        assert_eq!(process.resident_bytes, 6 * rustix::param::page_size() as u64);
        assert_eq!(parse(pid, b"7 (half"), None);
        let zombie = parse(pid, format!("7 (a) {}", rest.replacen('S', "Z", 1)).as_bytes()).unwrap();
        assert_eq!(zombie.threads, 1);
    }
}
