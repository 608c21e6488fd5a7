//! What stands of the wall, layer by layer: the value that `eggbox doctor` and `/health` print.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A layer of the wall, in the order in which a session puts them up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    UserNamespace,
    MountNamespace,
    PidNamespace,
    IpcNamespace,
    UtsNamespace,
    NetworkNamespace,
    CgroupNamespace,
    ControlGroup,
    Rlimits,
    Identity,
    Capabilities,
    NoNewPrivileges,
    Keyring,
    Landlock,
    Seccomp,
}

/// How much of a layer holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    Enforced,
    /// It holds, but for what `missing` says.
    Partial {
        missing: String,
    },
    /// It does not hold; `why` names the cause.
    Absent {
        why: String,
    },
}

/// One line of the report. `detail` is what was enforced, for a reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerStatus {
    pub layer: Layer,
    #[serde(flatten)]
    pub state: State,
    pub detail: String,
}

/// The whole report, as a session gave it before it was offered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Status {
    pub layers: Vec<LayerStatus>,
}

impl fmt::Display for Layer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::UserNamespace => "user namespace",
            Self::MountNamespace => "mount namespace",
            Self::PidNamespace => "pid namespace",
            Self::IpcNamespace => "ipc namespace",
            Self::UtsNamespace => "uts namespace",
            Self::NetworkNamespace => "network namespace",
            Self::CgroupNamespace => "cgroup namespace",
            Self::ControlGroup => "control group",
            Self::Rlimits => "resource limits",
            Self::Identity => "identity",
            Self::Capabilities => "capabilities",
            Self::NoNewPrivileges => "no new privileges",
            Self::Keyring => "keyring",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
        })
    }
}
