//! The steps in which the wall is put up, and their order: the one list of it in code. `docs/sandbox.md` tells the same
//! to people, and a test compares the two.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::status::Layer;

/// A step of a nest's set-up; the order is [`NEST_STEPS_PRIVILEGED`] or [`NEST_STEPS_UNPRIVILEGED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NestStep {
    Detach,
    JoinNestGroup,
    EnterPidNamespace,
    EnterAllNamespaces,
    Fork,
    EnterMountNamespace,
    BuildRoot,
    PivotRoot,
    EnterUserNamespace,
    TakeNestIdentity,
    LimitKernelObjects,
    LimitCapabilities,
    ForbidNewPrivileges,
    PrepareFolders,
    AdoptOrphans,
    ExecuteInterpreter,
}

/// A step of a session's lock-down; the order is [`SESSION_STEPS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionStep {
    JoinControlGroup,
    PlaceDescriptors,
    EnterOwnUserNamespace,
    EnterCgroupNamespace,
    NameHost,
    MountOwnFileSystems,
    RaiseLoopback,
    LimitResources,
    TakeOwnIdentity,
    DropCapabilities,
    ForbidNewPrivileges,
    JoinOwnKeyring,
    RestrictFiles,
    StandInForSignals,
    MakeOwnFolders,
    EnterWorkspace,
    AdoptOrphans,
    FilterSystemCalls,
    CheckFromInside,
}

/// A step that a test wants to fail, written `nest.fork` or `session.restrict_files`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailStep {
    Nest(NestStep),
    Session(SessionStep),
}

impl FromStr for FailStep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('.').and_then(|(who, step)| match who {
            "nest" => serde_json::from_value(step.into()).map(Self::Nest).ok(),
            "session" => serde_json::from_value(step.into()).map(Self::Session).ok(),
            _ => None,
        });
        parsed.ok_or_else(|| {
            format!("`{text}` is no step: docs/sandbox.md lists them, as `nest.fork` or `session.name_host`")
        })
    }
}

/// What a step answers that was made to fail.
pub(crate) fn made_to_fail() -> io::Error {
    io::Error::other("made to fail by --fail-step")
}

/// As root the tree of mounts is built with the host's own rights, so that interpreters under closed folders can be
/// shown, and is locked when the user namespace takes a copy of it.
pub const NEST_STEPS_PRIVILEGED: &[NestStep] = &[
    NestStep::Detach,
    NestStep::JoinNestGroup,
    NestStep::EnterPidNamespace,
    NestStep::Fork,
    NestStep::EnterMountNamespace,
    NestStep::BuildRoot,
    NestStep::PivotRoot,
    NestStep::TakeNestIdentity,
    NestStep::EnterUserNamespace,
    NestStep::LimitKernelObjects,
    NestStep::LimitCapabilities,
    NestStep::ForbidNewPrivileges,
    NestStep::ExecuteInterpreter,
];

/// Without root everything happens inside a user namespace that maps the caller alone.
pub const NEST_STEPS_UNPRIVILEGED: &[NestStep] = &[
    NestStep::Detach,
    NestStep::JoinNestGroup,
    NestStep::EnterAllNamespaces,
    NestStep::Fork,
    NestStep::BuildRoot,
    NestStep::PivotRoot,
    NestStep::LimitKernelObjects,
    NestStep::LimitCapabilities,
    NestStep::ForbidNewPrivileges,
    NestStep::ExecuteInterpreter,
];

/// On the host's own root and in its namespaces, for `--isolation reduced`.
pub const NEST_STEPS_REDUCED: &[NestStep] = &[
    NestStep::Detach,
    NestStep::JoinNestGroup,
    NestStep::Fork,
    NestStep::PrepareFolders,
    NestStep::LimitCapabilities,
    NestStep::ForbidNewPrivileges,
    NestStep::AdoptOrphans,
    NestStep::ExecuteInterpreter,
];

/// What each session does between its fork and the first byte of user code.
pub const SESSION_STEPS: &[SessionStep] = &[
    SessionStep::JoinControlGroup,
    SessionStep::PlaceDescriptors,
    SessionStep::EnterOwnUserNamespace,
    SessionStep::EnterCgroupNamespace,
    SessionStep::NameHost,
    SessionStep::MountOwnFileSystems,
    SessionStep::EnterWorkspace,
    SessionStep::RaiseLoopback,
    SessionStep::LimitResources,
    SessionStep::TakeOwnIdentity,
    SessionStep::DropCapabilities,
    SessionStep::ForbidNewPrivileges,
    SessionStep::JoinOwnKeyring,
    SessionStep::RestrictFiles,
    SessionStep::StandInForSignals,
    SessionStep::FilterSystemCalls,
    SessionStep::CheckFromInside,
];

/// The same for `--isolation reduced`.
pub const SESSION_STEPS_REDUCED: &[SessionStep] = &[
    SessionStep::JoinControlGroup,
    SessionStep::PlaceDescriptors,
    SessionStep::MakeOwnFolders,
    SessionStep::LimitResources,
    SessionStep::TakeOwnIdentity,
    SessionStep::DropCapabilities,
    SessionStep::ForbidNewPrivileges,
    SessionStep::JoinOwnKeyring,
    SessionStep::AdoptOrphans,
    SessionStep::EnterWorkspace,
    SessionStep::RestrictFiles,
    SessionStep::FilterSystemCalls,
    SessionStep::CheckFromInside,
];

impl NestStep {
    /// The layer of the wall that is missing where this step fails; none where the step is no layer's.
    #[must_use]
    pub fn layer(self) -> Option<Layer> {
        match self {
            Self::JoinNestGroup => Some(Layer::ControlGroup),
            Self::EnterPidNamespace => Some(Layer::PidNamespace),
            Self::EnterAllNamespaces | Self::EnterUserNamespace => Some(Layer::UserNamespace),
            Self::EnterMountNamespace | Self::BuildRoot | Self::PivotRoot => Some(Layer::MountNamespace),
            Self::TakeNestIdentity => Some(Layer::Identity),
            Self::LimitKernelObjects => Some(Layer::Rlimits),
            Self::LimitCapabilities => Some(Layer::Capabilities),
            Self::ForbidNewPrivileges => Some(Layer::NoNewPrivileges),
            Self::Detach | Self::Fork | Self::PrepareFolders | Self::AdoptOrphans | Self::ExecuteInterpreter => None,
        }
    }

    /// What an operator can do about it.
    #[must_use]
    pub fn mend(self) -> &'static str {
        match self {
            Self::JoinNestGroup => {
                "something outside eggbox changes its control groups: give it a delegated group of its own (systemd's \
                 Delegate=yes), or do without (--control-groups off)"
            }
            Self::EnterAllNamespaces => {
                "this host refuses user namespaces to ordinary users: run eggbox as root, or allow them (sysctl \
                 kernel.unprivileged_userns_clone=1, user.max_user_namespaces above 0; in Docker, a seccomp profile \
                 that allows unshare, clone and mount)"
            }
            Self::EnterPidNamespace | Self::EnterMountNamespace | Self::EnterUserNamespace => {
                "this host refuses namespaces even to root: in Docker give --cap-add SYS_ADMIN and a seccomp profile \
                 that allows unshare, clone and mount; check sysctl user.max_user_namespaces"
            }
            Self::BuildRoot | Self::PivotRoot => {
                "a mount was refused: on Ubuntu AppArmor does that to ordinary users (sysctl \
                 kernel.apparmor_restrict_unprivileged_userns=0, or run eggbox as root); in a container so do the \
                 paths that are masked under /proc (--security-opt systempaths=unconfined)"
            }
            Self::ExecuteInterpreter => {
                "the interpreter must be readable and executable for everybody; name another with --python"
            }
            Self::LimitKernelObjects => "the user namespace's own /proc/sys/user must be writable: do not mask it",
            Self::TakeNestIdentity | Self::LimitCapabilities | Self::ForbidNewPrivileges => {
                "something outside eggbox confines it: run it as root, or as an ordinary user, without a wrapper"
            }
            Self::PrepareFolders => {
                "the state directory must be writable for the server; name another with --state-dir"
            }
            Self::Detach | Self::Fork | Self::AdoptOrphans => {
                "the host is out of processes or descriptors; raise its limits"
            }
        }
    }
}

/// As plans, messages and documents spell it.
fn spelled(step: impl Serialize, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let name = serde_json::to_value(step).map_err(|_| fmt::Error)?;
    formatter.write_str(name.as_str().unwrap_or_default())
}

impl fmt::Display for NestStep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        spelled(self, formatter)
    }
}

impl fmt::Display for SessionStep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        spelled(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seccomp_comes_last_but_for_the_check() {
        for steps in [SESSION_STEPS, SESSION_STEPS_REDUCED] {
            assert_eq!(steps[steps.len() - 2..], [SessionStep::FilterSystemCalls, SessionStep::CheckFromInside]);
        }
    }

    #[test]
    fn the_documented_order_is_the_order() {
        let document = include_str!("../../../docs/sandbox.md");
        let sections: Vec<Vec<&str>> = document
            .split("\n## ")
            .skip(1)
            .map(|section| section.lines().filter_map(|line| line.split_once(". `")?.1.split('`').next()).collect())
            .collect();
        let names = |steps: serde_json::Value| serde_json::from_value::<Vec<String>>(steps).unwrap();
        assert_eq!(sections[0], names(serde_json::json!(NEST_STEPS_PRIVILEGED)));
        assert_eq!(sections[1], names(serde_json::json!(NEST_STEPS_UNPRIVILEGED)));
        assert_eq!(sections[2], names(serde_json::json!(NEST_STEPS_REDUCED)));
        assert_eq!(sections[3], names(serde_json::json!(SESSION_STEPS)));
        assert_eq!(sections[4], names(serde_json::json!(SESSION_STEPS_REDUCED)));
    }
}
