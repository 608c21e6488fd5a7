//! Control groups: the kernel's count of what a session's whole tree uses, and its limits on that.
//!
//! Each slot has a group, in one hierarchy (version 2) or in one per controller (version 1), under a folder of the
//! server's own. The server makes and reads them; a session only joins its own, by a descriptor that it is handed.

mod facts;
mod group;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub use facts::{ControlGroups, Found, find};
pub use group::{Group, Share};

use crate::limits::SandboxLimits;

/// How long a group may stay busy with processes that are on their way out.
const REMOVE_MAX: Duration = Duration::from_secs(5);
const REMOVE_PAUSE: Duration = Duration::from_millis(5);
/// The leaf of version 2 that the nest itself is in: a group with groups in it can hold no processes
/// (cgroups(7), "no internal processes").
const NEST_LEAF: &str = "nest";
/// The same for the server.
const SERVER_LEAF: &str = "eggbox-server";

/// Which of the kernel's two kinds of hierarchies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Version {
    /// One hierarchy for each controller.
    One,
    /// One for all.
    Two,
}

/// Where the groups of an environment's sessions are, and what they limit. In version 2 all paths are the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupPlan {
    pub version: Version,
    pub memory: PathBuf,
    pub pids: PathBuf,
    pub cpu: PathBuf,
    pub cpu_account: PathBuf,
    pub memory_bytes_max: u64,
    pub processes_max: u32,
    /// The uid that forks into the groups of version 2.
    pub nest_uid: u32,
}

impl GroupPlan {
    /// The plan for groups in the folder `name` of what was found.
    pub(crate) fn new(found: &Found, name: &str, limits: &SandboxLimits, nest_uid: u32) -> Self {
        let beneath = |folder: &PathBuf| folder.join(name);
        let Found { version, memory, pids, cpu, cpu_account } = found;
        Self {
            version: *version,
            memory: beneath(memory),
            pids: beneath(pids),
            cpu: beneath(cpu),
            cpu_account: beneath(cpu_account),
            memory_bytes_max: limits.memory_bytes_max,
            processes_max: limits.processes_max,
            nest_uid,
        }
    }

    /// Every folder once.
    fn folders(&self) -> Vec<&Path> {
        let mut folders = [&self.memory, &self.pids, &self.cpu, &self.cpu_account].map(PathBuf::as_path).to_vec();
        folders.sort_unstable();
        folders.dedup();
        folders
    }

    /// Makes the folders that the groups of slots are made in.
    ///
    /// # Errors
    /// Where the host refuses, by the path that it refuses.
    pub fn create(&self) -> io::Result<()> {
        if self.version == Version::Two {
            self.free_own_group()?;
        }
        for folder in self.folders() {
            make(folder)?;
        }
        if self.version == Version::Two {
            enable_controllers(&self.memory)?;
            let leaf = self.memory.join(NEST_LEAF);
            make(&leaf)?;
            // Who forks into a group has to be allowed to move processes from where it is to there (cgroups(7)).
            for group in [&self.memory, &leaf] {
                self.give_to_nest(&group.join("cgroup.procs"))?;
            }
        }
        Ok(())
    }

    /// Lets the folder that it makes groups in have controllers, and moves the server out of it, but where that is the
    /// root of all groups, which alone may hold processes beside groups.
    fn free_own_group(&self) -> io::Result<()> {
        let Some(own) = self.memory.parent() else { return Ok(()) };
        if !is_root(own) {
            let leaf = own.join(SERVER_LEAF);
            make(&leaf)?;
            write(&leaf.join("cgroup.procs"), "0")?;
        }
        enable_controllers(own)
    }

    fn give_to_nest(&self, path: &Path) -> io::Result<()> {
        at(path, std::os::unix::fs::chown(path, Some(self.nest_uid), None))
    }

    /// Moves the calling process to where a nest belongs.
    pub(crate) fn join_as_nest(&self) -> io::Result<()> {
        match self.version {
            Version::One => Ok(()),
            Version::Two => write(&self.memory.join(NEST_LEAF).join("cgroup.procs"), "0"),
        }
    }

    /// Removes everything, as soon as the processes in it are gone.
    ///
    /// # Errors
    /// Where some are still there after a few seconds, or the host refuses.
    pub fn remove(&self) -> io::Result<()> {
        let end = Instant::now() + REMOVE_MAX;
        for folder in self.folders() {
            let entries = match fs::read_dir(folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => at(folder, other)?,
            };
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    remove(&entry.path(), end)?;
                }
            }
            remove(folder, end)?;
        }
        Ok(())
    }
}

/// Whether a group of version 2 is the root of all (cgroups(7)).
fn is_root(folder: &Path) -> bool {
    !folder.join("cgroup.type").exists()
}

/// Lets groups in `folder` have the controllers that sessions are limited by.
fn enable_controllers(folder: &Path) -> io::Result<()> {
    write(&folder.join("cgroup.subtree_control"), "+memory +pids +cpu")
}

fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => at(folder, other),
    }
}

fn remove(group: &Path, end: Instant) -> io::Result<()> {
    loop {
        match fs::remove_dir(group) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < end => {
                std::thread::sleep(REMOVE_PAUSE);
            }
            other => return at(group, other),
        }
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    at(path, fs::write(path, text))
}

/// Names the path that an error is about.
fn at<T>(path: &Path, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}
