//! Which control groups this host lets the server make.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use serde::{Deserialize, Serialize};

use super::{SERVER_LEAF, Version, is_root};

/// Which control groups the operator wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlGroups {
    /// Those of version 2, else those of version 1, else none, which is reported.
    #[default]
    Auto,
    /// These, or the server does not start.
    V1,
    V2,
    /// None; limits are per process, with a watchdog.
    Off,
}

/// Folders in which the server may make groups, by controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub version: Version,
    pub memory: PathBuf,
    pub pids: PathBuf,
    pub cpu: PathBuf,
    pub cpu_account: PathBuf,
}

/// The controllers without which a hierarchy of version 2 is of no use here.
const NEEDED: [&str; 3] = ["memory", "pids", "cpu"];

/// Looks for groups of the kind that is wanted.
///
/// # Errors
/// Why there are none, for people.
pub fn find(wanted: ControlGroups) -> Result<Found, String> {
    let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let own = Own { mounts: read("/proc/self/mountinfo")?, groups: read("/proc/self/cgroup")? };
    match wanted {
        ControlGroups::Off => Err("they are switched off (control_groups)".to_owned()),
        ControlGroups::V1 => version_one(&own),
        ControlGroups::V2 => version_two(&own),
        ControlGroups::Auto => version_two(&own)
            .or_else(|why_not_two| version_one(&own).map_err(|why_not_one| format!("{why_not_two}; {why_not_one}"))),
    }
}

/// Where this process is, as the kernel tells it.
struct Own {
    /// proc_pid_mountinfo(5).
    mounts: String,
    /// cgroups(7), "/proc/pid/cgroup".
    groups: String,
}

impl Own {
    /// This process's own folder in the hierarchy of a controller of version 1, or of version 2 where there is none.
    fn folder(&self, controller: Option<&str>) -> Option<PathBuf> {
        let has = |list: &str| list.split(',').any(|item| Some(item) == controller);
        let path = self.groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let is_it = if controller.is_none() { number == "0" && controllers.is_empty() } else { has(controllers) };
            is_it.then_some(path)
        })?;
        self.mounts.lines().find_map(|line| {
            let (mount, file_system) = line.split_once(" - ")?;
            let mut fields = file_system.split(' ');
            let (kind, options) = (fields.next()?, fields.nth(1)?);
            let is_it = if controller.is_none() { kind == "cgroup2" } else { kind == "cgroup" && has(options) };
            let mut fields = mount.split(' ').skip(3);
            let (root, mount_point) = (fields.next()?, fields.next()?);
            // In a container the mount may show a part of the hierarchy only.
            let beneath = Path::new(path).strip_prefix(root).ok()?;
            is_it.then(|| Path::new(mount_point).join(beneath))
        })
    }
}

fn version_one(own: &Own) -> Result<Found, String> {
    let writable = |controller: &str| {
        let folder = own.folder(Some(controller)).ok_or_else(|| format!("no {controller} hierarchy of version 1"))?;
        may_write(&folder).map(|()| folder)
    };
    Ok(Found {
        version: Version::One,
        memory: writable("memory")?,
        pids: writable("pids")?,
        cpu: writable("cpu")?,
        cpu_account: writable("cpuacct")?,
    })
}

fn version_two(own: &Own) -> Result<Found, String> {
    let mut folder = own.folder(None).ok_or("no hierarchy of version 2")?;
    // Where an earlier server of this group has moved itself, and this one was started from it.
    if folder.ends_with(SERVER_LEAF) {
        folder.pop();
    }
    let shown = folder.display().to_string();
    let read = |name: &str| fs::read_to_string(folder.join(name)).map_err(|error| format!("{shown}/{name}: {error}"));
    let controllers = read("cgroup.controllers")?;
    let has = |name: &str| controllers.split_whitespace().any(|controller| controller == name);
    if let Some(lacking) = NEEDED.into_iter().find(|name| !has(name)) {
        return Err(format!("{shown} has no {lacking} controller of version 2 (delegate it: systemd's Delegate=yes)"));
    }
    may_write(&folder)?;
    for name in ["cgroup.procs", "cgroup.subtree_control"] {
        may_write(&folder.join(name))?;
    }
    let others = read("cgroup.procs")?.lines().filter(|pid| *pid != std::process::id().to_string()).count();
    if !is_root(&folder) && others > 0 {
        return Err(format!(
            "{shown} has {others} other processes in it; start eggbox in a group of its own (systemd-run --scope -p Delegate=yes)"
        ));
    }
    let [memory, pids, cpu, cpu_account] = std::array::from_fn(|_| folder.clone());
    Ok(Found { version: Version::Two, memory, pids, cpu, cpu_account })
}

fn may_write(path: &Path) -> Result<(), String> {
    access(path, Access::WRITE_OK).map_err(|error| format!("{}: {}", path.display(), io::Error::from(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(mounts: &str, groups: &str) -> Own {
        Own { mounts: mounts.to_owned(), groups: groups.to_owned() }
    }

    #[test]
    fn the_own_folder_is_found_in_either_version() {
        let both = own(
            "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
             32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n",
            "4:memory:/a/b\n1:cpu,cpuacct:/\n0::/init.scope\n",
        );
        assert_eq!(both.folder(Some("memory")), Some("/sys/fs/cgroup/memory/a/b".into()));
        assert_eq!(both.folder(Some("cpuacct")), Some("/sys/fs/cgroup/cpu,cpuacct/".into()));
        assert_eq!(both.folder(Some("pids")), None);
        assert_eq!(both.folder(None), Some("/sys/fs/cgroup/unified/init.scope".into()));
    }

    #[test]
    fn a_container_sees_its_part_of_the_hierarchy() {
        let container =
            own("99 1 0:32 /docker/f00 /sys/fs/cgroup/pids ro - cgroup pids rw,pids\n", "8:pids:/docker/f00\n");
        assert_eq!(container.folder(Some("pids")), Some("/sys/fs/cgroup/pids/".into()));
        let outside = own("99 1 0:32 /docker/f00 /sys/fs/cgroup/pids ro - cgroup pids rw,pids\n", "8:pids:/other\n");
        assert_eq!(outside.folder(Some("pids")), None);
    }

    #[test]
    fn what_is_switched_off_or_missing_says_so() {
        assert!(find(ControlGroups::Off).unwrap_err().contains("control_groups"));
        let none = own("", "0::/\n");
        assert!(version_one(&none).unwrap_err().contains("no memory hierarchy"));
        assert!(version_two(&none).unwrap_err().contains("no hierarchy"));
    }
}
