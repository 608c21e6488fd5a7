//! What this host is and allows: facts, gathered once at start, that the plan is made from.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::sys;

/// Facts about the host and about the server's own standing on it.
#[derive(Debug, Clone)]
pub struct Host {
    /// As `uname -r` says.
    pub kernel: String,
    pub uid: u32,
    pub gid: u32,
    /// The server may switch to any id that its user namespace maps, and write such maps.
    pub may_switch_ids: bool,
    /// The server may set secure bits and empty the bounding set.
    pub may_set_capabilities: bool,
    /// The server may make namespaces and mounts without a user namespace.
    pub may_administrate: bool,
    /// First and last uid of each range that the server's user namespace maps.
    pub mapped_uids: Vec<(u32, u32)>,
    /// 0 where the kernel has no Landlock.
    pub landlock_abi: u32,
    /// The kernel can answer a system call with an errno by filter.
    pub seccomp_errno: bool,
}

/// A path of the host, followed link by link: to show it elsewhere, make `links` and mount `target`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// Every link on the way, absolute, with what it says.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Where it ends: an absolute path without links.
    pub target: PathBuf,
    pub is_folder: bool,
}

// capabilities(7), by number.
const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;
const CAP_SETPCAP: u32 = 8;
const CAP_SYS_ADMIN: u32 = 21;

/// As many links as the kernel follows in one look-up (path_resolution(7)).
const LINKS_MAX: usize = 40;

impl Host {
    /// Looks around.
    ///
    /// # Errors
    /// Where /proc cannot be read.
    pub fn probe() -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let effective = status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:"))
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .ok_or_else(|| io::Error::other("/proc/self/status shows no CapEff"))?;
        let has = |capability: u32| effective >> capability & 1 == 1;
        Ok(Self {
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            may_switch_ids: has(CAP_SETGID) && has(CAP_SETUID),
            may_set_capabilities: has(CAP_SETPCAP),
            may_administrate: has(CAP_SYS_ADMIN),
            mapped_uids: parse_id_map(&fs::read_to_string("/proc/self/uid_map")?),
            landlock_abi: sys::landlock_abi(),
            seccomp_errno: sys::seccomp_knows(libc::SECCOMP_RET_ERRNO),
        })
    }
}

fn parse_id_map(text: &str) -> Vec<(u32, u32)> {
    let range = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        let (Some(Ok(first)), Some(Ok(_)), Some(Ok(count @ 1..))) = (numbers.next(), numbers.next(), numbers.next())
        else {
            return None;
        };
        Some((first, first.saturating_add(count - 1)))
    };
    text.lines().filter_map(range).collect()
}

/// Follows `path` component by component.
///
/// # Errors
/// `NotFound` where it ends nowhere; other errors where it cannot be looked at or its links go in a circle.
pub fn follow(path: &Path) -> io::Result<Followed> {
    let mut links = Vec::new();
    let mut here = PathBuf::from("/");
    let mut ahead: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(next) = ahead.pop() {
        let mut parts = next.components();
        let Some(part) = parts.next() else { continue };
        ahead.push(parts.as_path().to_owned());
        match part {
            Component::RootDir => here = PathBuf::from("/"),
            Component::ParentDir => drop(here.pop()),
            Component::Normal(name) => {
                let there = here.join(name);
                if fs::symlink_metadata(&there)?.is_symlink() {
                    let says = fs::read_link(&there)?;
                    ahead.push(says.clone());
                    links.push((there, says));
                    if links.len() > LINKS_MAX {
                        return Err(io::Error::from_raw_os_error(libc::ELOOP));
                    }
                } else {
                    here = there;
                }
            }
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    let is_folder = fs::metadata(&here)?.is_dir();
    Ok(Followed { links, target: here, is_folder })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_one_by_one_through_folders() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        fs::create_dir_all(root.join("real/bin")).unwrap();
        fs::write(root.join("real/bin/python3.11"), "").unwrap();
        symlink("python3.11", root.join("real/bin/python3")).unwrap();
        symlink("real", root.join("version")).unwrap();
        symlink(root.join("version/bin/python3"), root.join("python")).unwrap();
        let followed = follow(&root.join("python")).unwrap();
        assert_eq!(followed.target, root.join("real/bin/python3.11"));
        assert!(!followed.is_folder);
        let made: Vec<_> = followed.links.iter().map(|(at, _)| at.strip_prefix(&root).unwrap().to_owned()).collect();
        assert_eq!(made, ["python", "version", "real/bin/python3"].map(PathBuf::from));
    }

    #[test]
    fn a_circle_of_links_and_a_missing_end_are_errors() {
        let root = tempfile::tempdir().unwrap();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        symlink("nothing", root.path().join("c")).unwrap();
        assert_eq!(follow(&root.path().join("a")).unwrap_err().raw_os_error(), Some(libc::ELOOP));
        assert_eq!(follow(&root.path().join("c")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn id_maps_are_ranges_of_inside_ids() {
        assert_eq!(parse_id_map("         0          0 4294967295\n"), [(0, 4_294_967_294)]);
        assert_eq!(parse_id_map("0 1000 1\n1 100000 65536\n"), [(0, 0), (1, 65536)]);
        assert_eq!(parse_id_map("nonsense\n0 0 0\n"), []);
    }
}
