//! The group of one slot: made or cleaned for each session, read while it lives.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{GroupPlan, REMOVE_MAX, REMOVE_PAUSE, Version, at, make, write};

/// What a group may hold of an earlier session (the kernel's own, and pages of files that it was the first to read)
/// to be used again; with more it is made anew.
const LEFT_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// The part of a session's memory that buffers of its sockets may take.
const SOCKET_MEMORY_PART: u64 = 8;

/// The group of a slot, with those of its counters open that every execution reads.
#[derive(Debug)]
pub struct Group {
    version: Version,
    memory_events: File,
    memory_peak: Option<File>,
    cpu: File,
    /// Not open: it is read only where somebody looks.
    memory_now: PathBuf,
    /// Sets the group's part of the processors.
    share: PathBuf,
}

/// What a group gets of processors that others want as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// As much as any other.
    Full,
    /// A sixteenth of that, which lets those with a full share run as soon as they wake. Measured with two busy groups a
    /// processor and a neighbour that works 0.1 ms at a time, p99: 4.3 ms at a full share, 2.3 at an eighth, 0.8 at a
    /// sixteenth, no less below that.
    Low,
}

impl Share {
    /// As the kernel has it; 1024 and 100 are what a new group has (cgroups(7)).
    fn weight(self, version: Version) -> u64 {
        match (version, self) {
            (Version::One, Self::Full) => 1024,
            (Version::One, Self::Low) => 1024 / 16,
            (Version::Two, Self::Full) => 100,
            (Version::Two, Self::Low) => 100 / 16,
        }
    }
}

impl GroupPlan {
    fn of(&self, folder: &Path, slot: u32) -> PathBuf {
        folder.join(slot.to_string())
    }

    /// Sets what the group of `slot` gets of the processors from now on; before it is joined for the first time, always.
    ///
    /// # Errors
    /// Where the host refuses.
    pub fn set_share(&self, slot: u32, share: Share) -> io::Result<()> {
        write(&self.share(slot), &share.weight(self.version).to_string())
    }

    fn share(&self, slot: u32) -> PathBuf {
        self.of(&self.cpu, slot).join(match self.version {
            Version::One => "cpu.shares",
            Version::Two => "cpu.weight",
        })
    }

    /// The counter of what a group has of memory.
    fn memory_now(&self) -> &'static str {
        match self.version {
            Version::One => "memory.usage_in_bytes",
            Version::Two => "memory.current",
        }
    }

    /// Makes the group of `slot` fit for a new session: empty, with its limits.
    ///
    /// # Errors
    /// Where the host refuses, by the path that it refuses.
    pub fn prepare(&self, slot: u32) -> io::Result<()> {
        let memory = self.of(&self.memory, slot);
        let peak = match self.version {
            Version::One => Some("memory.max_usage_in_bytes"),
            // The peak of a group of version 2 is its lifetime's (before Linux 6.12).
            Version::Two => None,
        };
        let left =
            fs::read_to_string(memory.join(self.memory_now())).ok().and_then(|text| text.trim().parse::<u64>().ok());
        // A server that was killed may have made some of them only.
        let is_whole = self.folders().into_iter().all(|folder| self.of(folder, slot).is_dir());
        self.end_processes(slot)?;
        match (left, peak) {
            (Some(0..=LEFT_BYTES_MAX), Some(peak)) if is_whole => write(&memory.join(peak), "0")?,
            _ => self.renew(slot)?,
        }
        self.limit(slot, self.memory_bytes_max, self.processes_max)?;
        match self.version {
            Version::One => Ok(()),
            Version::Two => {
                write(&memory.join("memory.oom.group"), "1")?;
                if memory.join("memory.swap.max").exists() {
                    write(&memory.join("memory.swap.max"), "0")?;
                }
                self.give_to_nest(&memory.join("cgroup.procs"))
            }
        }
    }

    /// Sets what the session in the group of `slot` may have from now on, until the group is prepared for another.
    ///
    /// # Errors
    /// Where the host refuses, as it does where the session has more memory already.
    pub fn limit(&self, slot: u32, memory_bytes_max: u64, processes_max: u32) -> io::Result<()> {
        let memory = self.of(&self.memory, slot);
        let limit =
            |folder: &Path, name: &str, value: u64| write(&self.of(folder, slot).join(name), &value.to_string());
        limit(&self.pids, "pids.max", processes_max.into())?;
        match self.version {
            Version::One => {
                // Memory alone may at no moment have a higher limit than memory and swap together.
                let with_swap = "memory.memsw.limit_in_bytes";
                let has_swap = memory.join(with_swap).exists();
                if has_swap {
                    limit(&self.memory, with_swap, i64::MAX.unsigned_abs())?;
                }
                limit(&self.memory, "memory.limit_in_bytes", memory_bytes_max)?;
                if has_swap {
                    limit(&self.memory, with_swap, memory_bytes_max)?;
                }
                let sockets = "memory.kmem.tcp.limit_in_bytes";
                if memory.join(sockets).exists() {
                    limit(&self.memory, sockets, memory_bytes_max / SOCKET_MEMORY_PART)?;
                }
                Ok(())
            }
            Version::Two => limit(&self.memory, "memory.max", memory_bytes_max),
        }
    }

    /// Ends what an earlier session may have left in the group of `slot`, where no namespace has taken it along.
    fn end_processes(&self, slot: u32) -> io::Result<()> {
        let members = self.of(&self.pids, slot).join("cgroup.procs");
        let end = Instant::now() + REMOVE_MAX;
        loop {
            let text = match fs::read_to_string(&members) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                other => at(&members, other)?,
            };
            let pids: Vec<Pid> = text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).collect();
            if pids.is_empty() {
                return Ok(());
            }
            if Instant::now() > end {
                return at(&members, Err(io::Error::other("the processes of an earlier session do not end")));
            }
            // One that has ended meanwhile is what is wanted.
            for pid in pids {
                // By a handle that was opened while it was a member: its number may be another's by now.
                let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
                let still = fs::read_to_string(&members).unwrap_or_default();
                if still.lines().any(|line| line == pid.to_string()) {
                    let _ = pidfd_send_signal(handle, Signal::KILL);
                }
            }
            std::thread::sleep(REMOVE_PAUSE);
        }
    }

    fn renew(&self, slot: u32) -> io::Result<()> {
        for folder in self.folders() {
            let group = self.of(folder, slot);
            super::remove(&group, Instant::now() + REMOVE_MAX)?;
            make(&group)?;
        }
        Ok(())
    }

    /// Opens the counters of a slot that was prepared.
    ///
    /// # Errors
    /// Where there is no such group.
    pub fn open(&self, slot: u32) -> io::Result<Group> {
        let file = |folder: &Path, name: &str| {
            let path = self.of(folder, slot).join(name);
            at(&path, File::open(&path))
        };
        let (memory_events, memory_peak, cpu) = match self.version {
            Version::One => ("memory.oom_control", "memory.max_usage_in_bytes", "cpuacct.usage"),
            Version::Two => ("memory.events", "memory.peak", "cpu.stat"),
        };
        Ok(Group {
            version: self.version,
            memory_events: file(&self.memory, memory_events)?,
            // Not there before Linux 5.19.
            memory_peak: file(&self.memory, memory_peak).ok(),
            cpu: file(&self.cpu_account, cpu)?,
            memory_now: self.of(&self.memory, slot).join(self.memory_now()),
            share: self.share(slot),
        })
    }

    /// What a session joins its group by: with version 1 a file for each hierarchy to write `0` to, with version 2 the
    /// folder to be forked into.
    ///
    /// # Errors
    /// Where there is no such group.
    pub fn entrances(&self, slot: u32) -> io::Result<Vec<OwnedFd>> {
        let open = |path: &Path, flags| {
            at(path, rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()).map_err(io::Error::from))
        };
        match self.version {
            // A thread that writes `0` to `tasks` moves itself, which waits for nobody; any other way takes a lock that
            // may take 10 ms to be had.
            Version::One => {
                let paths = self.folders().into_iter().map(|folder| self.of(folder, slot).join("tasks"));
                paths.map(|path| open(&path, OFlags::WRONLY)).collect()
            }
            Version::Two => Ok(vec![open(&self.of(&self.memory, slot), OFlags::PATH | OFlags::DIRECTORY)?]),
        }
    }
}

impl Group {
    /// How many processes the kernel has ended here for want of memory.
    ///
    /// # Errors
    /// Where the counter cannot be read.
    pub fn out_of_memory_kills(&self) -> io::Result<u64> {
        field(&read(&self.memory_events)?, "oom_kill")
    }

    /// The memory there is, in bytes; none where it cannot be read.
    #[must_use]
    pub fn memory_bytes(&self) -> Option<u64> {
        fs::read_to_string(&self.memory_now).ok()?.trim().parse().ok()
    }

    /// The most memory there was at once, in bytes; none where the kernel does not keep it.
    #[must_use]
    pub fn memory_bytes_peak(&self) -> Option<u64> {
        read(self.memory_peak.as_ref()?).ok()?.trim().parse().ok()
    }

    /// CPU time of all processes, those that have ended included; none where it cannot be read.
    #[must_use]
    pub fn cpu(&self) -> Option<Duration> {
        let text = read(&self.cpu).ok()?;
        match self.version {
            Version::One => text.trim().parse().ok().map(Duration::from_nanos),
            Version::Two => field(&text, "usage_usec").ok().map(Duration::from_micros),
        }
    }

    /// Sets what it gets of the processors from now on.
    ///
    /// # Errors
    /// Where the host refuses.
    pub fn set_share(&self, share: Share) -> io::Result<()> {
        write(&self.share, &share.weight(self.version).to_string())
    }
}

/// A counter's text, which is short.
fn read(file: &File) -> io::Result<String> {
    let mut bytes = [0; 1024];
    let length = file.read_at(&mut bytes, 0)?;
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

/// The number after `name` in lines of names and numbers.
fn field(text: &str, name: &str) -> io::Result<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
    value.ok_or_else(|| io::Error::other(format!("a control group shows no {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_whole_name() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(field(text, "oom_kill").unwrap(), 3);
        assert!(field(text, "max").unwrap_err().to_string().contains("max"));
    }
}
