//! What the operator wants of the wall, as data: the shipped `policy/default.toml`, parsed and validated.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

const SHIPPED: &str = include_str!("../../../policy/default.toml");

/// How much of the wall must stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Every layer, or the server does not start.
    #[default]
    Strict,
    /// What can be had without namespaces and mounts.
    Reduced,
}

/// The wall's policy, apart from seccomp's, which is per architecture.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    pub files: FilePolicy,
    pub identity: IdentityPolicy,
    pub rlimits: RlimitPolicy,
    #[serde(rename = "tree")]
    pub trees: Vec<PathPolicy>,
    #[serde(rename = "device")]
    pub devices: Vec<PathPolicy>,
    /// Files of the host's /proc that sessions may read where they have none of their own.
    #[serde(rename = "proc_file")]
    pub proc_files: Vec<PathPolicy>,
    pub environment: BTreeMap<String, String>,
}

/// What holds of a session's writable file systems.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilePolicy {
    pub workspace: WorkspacePolicy,
    pub why: String,
}

/// What code may do to existing files of its workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkspacePolicy {
    /// Nothing can be deleted or renamed away.
    Keep,
    /// The session owns its workspace.
    Full,
}

/// Who a session is to the host, where the server is root.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityPolicy {
    /// The nest's uid and gid; session slot n has this plus 1 plus n.
    pub uid_first: u32,
    pub why: String,
}

/// Limits per process that no operator needs to change.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RlimitPolicy {
    pub locked_bytes_max: u64,
    pub why: String,
}

/// A path of the host that sessions see.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathPolicy {
    pub path: PathBuf,
    pub why: String,
}

/// Why a policy is refused; names the entry.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("policy is not valid: {0}")]
    Syntax(#[from] toml::de::Error),
    #[error("policy entry `{entry}` gives no `why`")]
    Unexplained { entry: String },
    #[error("policy entry `{entry}` must be at least 1")]
    Zero { entry: &'static str },
    #[error("policy path {path} must be absolute, without `..`, and below the root")]
    Path { path: PathBuf },
}

impl Policy {
    /// The policy that eggbox ships.
    ///
    /// # Errors
    /// Never for a released build: a test parses it.
    pub fn shipped() -> Result<Self, PolicyError> {
        Self::parse(SHIPPED)
    }

    /// # Errors
    /// Where the text is no policy, an entry has no reason, a limit is 0 or a path is not plain and absolute.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let policy: Self = toml::from_str(text)?;
        policy.validate()?;
        Ok(policy)
    }

    fn validate(&self) -> Result<(), PolicyError> {
        let paths = self.trees.iter().chain(&self.devices).chain(&self.proc_files);
        let sections = [("files", &self.files.why), ("identity", &self.identity.why), ("rlimits", &self.rlimits.why)];
        let explained = sections
            .into_iter()
            .map(|(entry, why)| (entry.to_owned(), why))
            .chain(paths.clone().map(|entry| (entry.path.display().to_string(), &entry.why)));
        for (entry, why) in explained {
            if why.trim().is_empty() {
                return Err(PolicyError::Unexplained { entry });
            }
        }
        let limits = [
            ("identity.uid_first", self.identity.uid_first.into()),
            ("rlimits.locked_bytes_max", self.rlimits.locked_bytes_max),
        ];
        if let Some(&(entry, _)) = limits.iter().find(|(_, limit)| *limit == 0) {
            return Err(PolicyError::Zero { entry });
        }
        match paths.map(|entry| &entry.path).find(|path| !is_plain(path)) {
            Some(path) => Err(PolicyError::Path { path: path.clone() }),
            None => Ok(()),
        }
    }
}

/// An absolute path below the root that names each of its folders.
pub(crate) fn is_plain(path: &Path) -> bool {
    use std::path::Component;
    let mut parts = path.components();
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    parts.next() == Some(Component::RootDir) && parts.clone().next().is_some() && parts.all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_policy_is_valid_and_keeps_files() {
        assert_eq!(Policy::shipped().unwrap().files.workspace, WorkspacePolicy::Keep);
    }

    #[test]
    fn unknown_keys_zero_limits_missing_reasons_and_crooked_paths_are_refused() {
        let spoilt = |from: &str, to: &str| {
            assert!(SHIPPED.contains(from), "{from}");
            Policy::parse(&SHIPPED.replacen(from, to, 1)).unwrap_err().to_string()
        };
        assert!(spoilt("[rlimits]", "[rlimits]\ncores_max = 1").contains("cores_max"));
        assert!(spoilt("locked_bytes_max = 65_536", "locked_bytes_max = 0").contains("rlimits.locked_bytes_max"));
        assert!(spoilt("why = \"as /bin\"", "why = \" \"").contains("/sbin"));
        assert!(spoilt("\"/usr\"", "\"/usr/../etc\"").contains("/usr/../etc"));
        assert!(spoilt("\"/usr\"", "\"/\"").contains("below the root"));
    }
}
