//! What of a host commonly keeps sessions from starting, and how to mend each.

use std::fs;
use std::path::Path;

/// Facts about the host, as read; none where the host has no such setting.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) is_root: bool,
    pub(crate) is_container: bool,
    pub(crate) userns_clone: Option<u64>,
    pub(crate) user_namespaces_max: Option<u64>,
    pub(crate) apparmor_restricts_userns: Option<u64>,
    /// The security modules that are on, separated by commas.
    pub(crate) security_modules: Option<String>,
}

impl Facts {
    pub(crate) fn read() -> Self {
        let number = |path| fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
        Self {
            is_root: rustix::process::geteuid().is_root(),
            is_container: ["/.dockerenv", "/run/.containerenv"].iter().any(|path| Path::new(path).exists()),
            userns_clone: number("/proc/sys/kernel/unprivileged_userns_clone"),
            user_namespaces_max: number("/proc/sys/user/max_user_namespaces"),
            apparmor_restricts_userns: number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            security_modules: fs::read_to_string("/sys/kernel/security/lsm").ok(),
        }
    }

    /// What to change on this host so that sessions can start, most likely cause first.
    pub(crate) fn mends(&self) -> Vec<&'static str> {
        let lacks_landlock = self
            .security_modules
            .as_ref()
            .is_some_and(|modules| !modules.trim().split(',').any(|name| name == "landlock"));
        [
            (
                self.user_namespaces_max == Some(0),
                "user namespaces are off (user.max_user_namespaces = 0): run `sysctl -w user.max_user_namespaces=15000`",
            ),
            (
                !self.is_root && self.userns_clone == Some(0),
                "only root may make user namespaces (kernel.unprivileged_userns_clone = 0): run \
                 `sysctl -w kernel.unprivileged_userns_clone=1`, or start the server as root",
            ),
            (
                !self.is_root && self.apparmor_restricts_userns == Some(1),
                "AppArmor takes the capabilities out of user namespaces (Ubuntu 24.04 and later), so mounts fail: \
                 give the server a profile that allows `userns`, or run \
                 `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`",
            ),
            (
                self.is_container,
                "this is a container, whose default profile refuses namespaces and mounts: start it with \
                 `--security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt \
                 systempaths=unconfined` (as root also `--cap-add SYS_ADMIN`)",
            ),
            (
                lacks_landlock,
                "the kernel runs without Landlock: add `landlock` to its `lsm=` parameter (kernel 5.13 or later)",
            ),
        ]
        .into_iter()
        .filter_map(|(applies, mend)| applies.then_some(mend))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_known_trouble_needs_no_mend() {
        let modules = Some("lockdown,capability,landlock,apparmor\n".to_owned());
        assert!(
            Facts { security_modules: modules, user_namespaces_max: Some(15_000), ..Facts::default() }
                .mends()
                .is_empty()
        );
        assert!(Facts::default().mends().is_empty());
    }

    #[test]
    fn each_trouble_has_its_mend() {
        for (facts, part) in [
            (Facts { user_namespaces_max: Some(0), ..Facts::default() }, "user.max_user_namespaces=15000"),
            (Facts { userns_clone: Some(0), ..Facts::default() }, "unprivileged_userns_clone=1"),
            (Facts { apparmor_restricts_userns: Some(1), ..Facts::default() }, "AppArmor"),
            (Facts { is_container: true, ..Facts::default() }, "container"),
            (Facts { security_modules: Some("capability,yama".to_owned()), ..Facts::default() }, "`lsm=`"),
        ] {
            let mends = facts.mends();
            assert!(mends.len() == 1 && mends[0].contains(part), "{mends:?}");
        }
        let root =
            Facts { is_root: true, userns_clone: Some(0), apparmor_restricts_userns: Some(1), ..Facts::default() };
        assert!(root.mends().is_empty());
    }
}
