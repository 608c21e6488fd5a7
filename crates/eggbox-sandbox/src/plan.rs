//! Policy and host in, plan out: every decision about the wall is made here, by a pure function, and nothing here
//! touches the kernel. [`enforce`](crate::enforce) carries a plan out step by step.

mod strict;
mod reduced;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cgroup::{ControlGroups, Found, GroupPlan};
use crate::host::{Followed, Host};
use crate::interpreter::Interpreter;
use crate::limits::{self, SandboxLimits};
use crate::policy::{Isolation, Policy, WorkspacePolicy};
use crate::seccomp::Instruction;
use crate::status::LayerStatus;
use crate::steps::{FailStep, NestStep, SessionStep};

/// Where the runner and the native library stand inside.
const RUNTIME_FOLDER: &str = "/run/eggbox";
/// The runner's own file there.
const NEST_SCRIPT: &str = "nest.py";
/// The working directory of every session that has mounts of its own.
const WORKSPACE: &str = "/workspace";

/// All that a nest and its sessions need to put up the wall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Of the server that made it; what another build means by the same plan may differ.
    pub build: String,
    /// How many slots there are.
    pub sessions_max: u32,
    /// Carried out in this order, before the interpreter starts.
    pub nest_steps: Vec<NestStep>,
    /// Carried out in this order by each session, before it is offered.
    pub session_steps: Vec<SessionStep>,
    /// For tests of what happens when a step fails: this one does, without being tried.
    pub fail_step: Option<FailStep>,
    /// Where the runner and the native library are put, as the interpreter sees it.
    pub runtime_folder: PathBuf,
    /// Empty where sessions see the host's own root.
    pub root: RootPlan,
    pub identity: IdentityPlan,
    pub program: ProgramPlan,
    pub groups: GroupsPlan,
    pub session: SessionPlan,
}

/// The read-only root that nest and sessions see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootPlan {
    /// Parts of the host, mounted at their own paths, parents before children.
    pub mounts: Vec<MountPlan>,
    /// Links to make, with what they say.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Empty folders, to be mount points.
    pub folders: Vec<PathBuf>,
    /// Small files made for the sandbox.
    pub files: Vec<(PathBuf, String)>,
}

/// A part of the host to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPlan {
    pub path: PathBuf,
    pub kind: MountKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountKind {
    /// Read-only, no devices, no setuid.
    Folder,
    /// As a folder.
    File,
    /// A device node: readable and writable, not executable.
    Device,
}

/// Which ids of the host stand behind the ids inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityPlan {
    /// The nest's uid and gid inside. The ids of sessions follow where each has its own.
    pub nest_id: u32,
    pub outside_uid: u32,
    pub outside_gid: u32,
    /// How many consecutive ids are mapped: 1 where all share the caller's.
    pub count: u32,
}

/// The control groups of sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupsPlan {
    Own(GroupPlan),
    /// Limits are per process; `why` says why that is all.
    None {
        why: String,
    },
}

/// What the nest executes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramPlan {
    pub executable: PathBuf,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
}

/// What differs from session to session is the slot alone; everything else is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionPlan {
    /// The uid and gid inside of slot 0, and whether other slots count on from it.
    pub id_first: u32,
    pub id_is_own: bool,
    /// The session has a user namespace of its own within the nest's, as its uid alone does not tell it from others.
    pub has_own_user_namespace: bool,
    /// The nest may set secure bits and empty the bounding set.
    pub may_drop_bounding_set: bool,
    pub namespaces: SessionNamespaces,
    pub trees: TreesPlan,
    pub rlimits: RlimitPlan,
    pub landlock_abi: u32,
    /// Beside those of the session's own trees.
    pub landlock_rules: Vec<LandlockRule>,
    pub seccomp: Vec<Instruction>,
    /// What the layers that no step of the session's puts up amount to.
    pub inherited: Vec<LayerStatus>,
}

/// What a session is forked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionNamespaces {
    /// Mount, pid, ipc, uts and network namespaces of its own.
    Own,
    /// The nest's, which are the host's.
    Shared,
}

/// Where a session may write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TreesPlan {
    /// File systems in memory, at the same paths in every session.
    Mounted { workspace: FileSystemPlan, scratch: Vec<FileSystemPlan> },
    /// Folders of the host, `workspace` and `tmp` in one for each slot.
    Folders { beneath: PathBuf, workspace_access: FileAccess },
}

/// A private, writable file system in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystemPlan {
    pub path: PathBuf,
    pub bytes_max: u64,
    pub files_max: u64,
    /// The permission bits of its root.
    pub mode: u32,
    pub access: FileAccess,
    /// Parts of the host that lie beneath it and stay in sight: an interpreter's folders, where it lives under /tmp.
    pub shown: RootPlan,
}

/// The writable trees of one session, with what its code may do in each. The first is the workspace, the second what
/// programs take for `/tmp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnTrees {
    pub workspace: LandlockRule,
    pub scratch: Vec<LandlockRule>,
}

impl Plan {
    /// The plan for one nest, with `folder` for what of it has to lie on the host's file systems: no other nest's, as
    /// what stands there is in use for as long as that nest lives.
    #[must_use]
    pub fn for_nest(&self, folder: &Path) -> Self {
        let mut plan = self.clone();
        if let TreesPlan::Folders { beneath, .. } = &mut plan.session.trees {
            *beneath = folder.join("sessions");
            let runtime = folder.join("runtime");
            if let Some(script) = plan.program.arguments.first_mut() {
                *script = runtime.join(NEST_SCRIPT).display().to_string();
            }
            plan.runtime_folder = runtime;
        }
        plan
    }

    /// A number that tells this plan from others.
    #[must_use]
    pub fn digest(&self) -> u64 {
        // Its text is the same from start to start: there is no map in it.
        fnv(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// The uid and gid that the session of `slot` has on the host; none where it has the server's.
    #[must_use]
    pub fn outside_id(&self, slot: u32) -> Option<u32> {
        let nest = self.identity;
        let above_nest = match self.session.namespaces {
            SessionNamespaces::Own => self.session.id_first - nest.nest_id + nest.outside_uid,
            SessionNamespaces::Shared => self.session.id_first,
        };
        self.session.id_is_own.then_some(above_nest + slot)
    }
}

impl OwnTrees {
    /// The same where something else than the plan's is to hold for the workspace.
    #[must_use]
    pub fn with_policy(mut self, files: Option<WorkspacePolicy>) -> Self {
        self.workspace.access = files.map_or(self.workspace.access, FileAccess::from);
        self
    }
}

impl TreesPlan {
    /// What code may do in the workspaces.
    #[must_use]
    pub fn workspace_access(&self) -> FileAccess {
        match self {
            Self::Mounted { workspace, .. } => workspace.access,
            Self::Folders { workspace_access, .. } => *workspace_access,
        }
    }

    /// Those of the session of `slot`.
    #[must_use]
    pub fn of(&self, slot: u32) -> OwnTrees {
        match self {
            Self::Mounted { workspace, scratch } => {
                let rule = |tree: &FileSystemPlan| LandlockRule { path: tree.path.clone(), access: tree.access };
                OwnTrees { workspace: rule(workspace), scratch: scratch.iter().map(rule).collect() }
            }
            Self::Folders { beneath, workspace_access } => {
                let folder = beneath.join(slot.to_string());
                let rule = |name, access| LandlockRule { path: folder.join(name), access };
                OwnTrees {
                    workspace: rule("workspace", *workspace_access),
                    scratch: vec![rule("tmp", FileAccess::Full)],
                }
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RlimitPlan {
    pub open_files_max: u32,
    /// None where the kernel's count would be everybody's: it counts by uid and user namespace.
    pub processes_max: Option<u32>,
    pub stack_bytes_max: u64,
    pub locked_bytes_max: u64,
    pub file_bytes_max: u64,
    /// How much a process may add to what it was forked with.
    pub data_bytes_max: u64,
}

/// What may be done beneath a path. Rights add up along the way to the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandlockRule {
    pub path: PathBuf,
    pub access: FileAccess,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileAccess {
    /// Read, list, execute.
    Read,
    /// Read, write, ioctl, on existing nodes.
    Device,
    /// Everything but deleting, renaming away and making devices.
    Keep,
    /// Everything but making devices.
    Full,
}

/// Why no wall can be built here; each names the layer, the cause and the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error(
        "landlock is missing: kernel {kernel} offers none; use a kernel from 5.13 on with CONFIG_SECURITY_LANDLOCK \
         and `landlock` in its `lsm=` list"
    )]
    Landlock { kernel: String },
    #[error("seccomp is missing: kernel {kernel} cannot filter system calls; use one with CONFIG_SECCOMP_FILTER")]
    Seccomp { kernel: String },
    #[error("{} sessions need uids {first} to {last}, more than there are; lower identity.uid_first or sessions_max", last - first)]
    Uids { first: u64, last: u64 },
    #[error(
        "control groups of the kind that was asked for cannot be had: {why}; delegate a group to eggbox (systemd's \
         Delegate=yes, in a container a writable /sys/fs/cgroup), or leave it to --control-groups auto"
    )]
    ControlGroups { why: String },
    #[error("the interpreter's {path} would show the whole host; use an interpreter with a folder of its own")]
    WholeHost { path: PathBuf },
    #[error(
        "landlock of ABI {abi} cannot confine signals, and without namespaces nothing else would keep sessions of one \
         uid from ending each other and the server; use a kernel from 6.12 on, run eggbox as root, or leave \
         --isolation strict"
    )]
    Signals { abi: u32 },
}

/// What the plan is made for, beside policy and host.
#[derive(Debug, Clone, Copy)]
pub struct PlanInput<'a> {
    pub isolation: Isolation,
    pub policy: &'a Policy,
    pub limits: &'a SandboxLimits,
    pub control_groups: ControlGroups,
    /// What there is of those, or why there is nothing.
    pub groups_found: Result<&'a Found, &'a str>,
    /// The folder for them: no other server's.
    pub groups_name: &'a str,
    pub host: &'a Host,
    pub interpreter: &'a Interpreter,
    /// The paths of policy and interpreter that exist, followed; devices and files of /proc apart.
    pub trees: &'a [Followed],
    pub devices: &'a [Followed],
    pub proc_files: &'a [Followed],
    pub seccomp: &'a [Instruction],
    pub sessions_max: u32,
    pub build: &'a str,
    pub fail_step: Option<FailStep>,
    /// The server's own folder, for what has to lie on the host's file systems.
    pub state_dir: &'a Path,
    /// Arguments for the runner after its own path.
    pub runner_arguments: &'a [String],
}

/// Makes the plan.
///
/// # Errors
/// Where a layer cannot be had on this host.
pub fn plan(input: PlanInput<'_>) -> Result<Plan, PlanError> {
    let PlanInput { host, .. } = input;
    if host.landlock_abi == 0 {
        return Err(PlanError::Landlock { kernel: host.kernel.clone() });
    }
    if !host.seccomp_errno {
        return Err(PlanError::Seccomp { kernel: host.kernel.clone() });
    }
    match input.isolation {
        Isolation::Strict => strict::plan(input),
        Isolation::Reduced => reduced::plan(input),
    }
}

/// The ids from the nest's on, one more than there are sessions.
fn id_range(policy: &Policy, sessions_max: u32) -> Result<RangeInclusive<u32>, PlanError> {
    let first = policy.identity.uid_first;
    let (wide_first, wide_last) = (u64::from(first), u64::from(first) + u64::from(sessions_max));
    let last = u32::try_from(wide_last).ok().filter(|&last| last < u32::MAX);
    Ok(first..=last.ok_or(PlanError::Uids { first: wide_first, last: wide_last })?)
}

/// Whether the server's user namespace has all of these ids.
fn has_ids(host: &Host, ids: &RangeInclusive<u32>) -> bool {
    host.mapped_uids.iter().any(|(from, to)| from <= ids.start() && ids.end() <= to)
}

/// FNV-1a, as its authors give it: the same in every build, which the standard library's hashes are not.
#[must_use]
pub fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The groups to use. `nest_uid` is the host's.
fn groups(input: PlanInput<'_>, nest_uid: u32) -> Result<GroupsPlan, PlanError> {
    let PlanInput { groups_found, groups_name, limits, control_groups, .. } = input;
    match (groups_found, control_groups) {
        (Ok(found), _) => Ok(GroupsPlan::Own(GroupPlan::new(found, groups_name, limits, nest_uid))),
        (Err(why), ControlGroups::Auto | ControlGroups::Off) => Ok(GroupsPlan::None { why: why.to_owned() }),
        (Err(why), ControlGroups::V1 | ControlGroups::V2) => Err(PlanError::ControlGroups { why: why.to_owned() }),
    }
}

fn program(input: PlanInput<'_>, runtime_folder: &Path) -> ProgramPlan {
    let executable = input.interpreter.executable.clone();
    let folder = executable.parent().unwrap_or(Path::new("/usr/bin"));
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", folder.display());
    let mut environment: Vec<_> =
        input.policy.environment.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    environment.push(("PATH".to_owned(), path));
    let mut arguments = vec![runtime_folder.join(NEST_SCRIPT).display().to_string()];
    arguments.extend_from_slice(input.runner_arguments);
    ProgramPlan { executable, arguments, environment }
}

impl RlimitPlan {
    /// How many bytes fewer each process may have of its own, and how many processes there may be where these limits count
    /// them, in a session that may have less than it was made for.
    #[must_use]
    pub fn less(&self, memory_bytes_max: u64, processes_max: u32) -> (u64, Option<u32>) {
        let data_bytes_less = self.data_bytes_max.saturating_sub(limits::data_bytes_max(memory_bytes_max));
        (data_bytes_less, self.processes_max.map(|before| before.min(processes_max)))
    }
}

fn rlimits(input: PlanInput<'_>, counts_processes: bool) -> RlimitPlan {
    let PlanInput { policy, limits, .. } = input;
    RlimitPlan {
        open_files_max: limits.open_files_max,
        processes_max: counts_processes.then_some(limits.processes_max),
        stack_bytes_max: limits.stack_bytes_max,
        locked_bytes_max: policy.rlimits.locked_bytes_max,
        file_bytes_max: limits.file_bytes_max,
        data_bytes_max: limits.data_bytes_max(),
    }
}

fn workspace_access(policy: &Policy) -> FileAccess {
    policy.files.workspace.into()
}

impl From<WorkspacePolicy> for FileAccess {
    fn from(policy: WorkspacePolicy) -> Self {
        match policy {
            WorkspacePolicy::Keep => Self::Keep,
            WorkspacePolicy::Full => Self::Full,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::State;
    use crate::steps::{NEST_STEPS_PRIVILEGED, NEST_STEPS_REDUCED, NEST_STEPS_UNPRIVILEGED};

    fn host() -> Host {
        Host {
            kernel: "6.1.0".into(),
            uid: 0,
            gid: 0,
            may_switch_ids: true,
            may_set_capabilities: true,
            may_administrate: true,
            mapped_uids: vec![(0, u32::MAX - 1)],
            landlock_abi: 7,
            seccomp_errno: true,
        }
    }

    fn folder(path: &str, links: &[(&str, &str)]) -> Followed {
        let links = links.iter().map(|(at, says)| (at.into(), says.into())).collect();
        Followed { links, target: path.into(), is_folder: true }
    }

    fn plan_for(host: &Host, trees: &[Followed], sessions_max: u32) -> Result<Plan, PlanError> {
        plan_with(Isolation::Strict, host, trees, sessions_max)
    }

    fn plan_with(isolation: Isolation, host: &Host, trees: &[Followed], sessions_max: u32) -> Result<Plan, PlanError> {
        plan(PlanInput {
            isolation,
            limits: &SandboxLimits::default(),
            control_groups: ControlGroups::Auto,
            groups_found: Err("there are none"),
            groups_name: "eggbox-test",
            build: "test",
            fail_step: None,
            state_dir: Path::new("/var/lib/eggbox"),
            proc_files: &[],
            policy: &Policy::shipped().unwrap(),
            host,
            interpreter: &Interpreter::describe(Path::new("python3")).unwrap(),
            trees,
            devices: &[],
            seccomp: &[],
            sessions_max,
            runner_arguments: &[],
        })
    }

    #[test]
    fn root_gives_every_session_a_uid_and_a_user_shares_the_one_it_has() {
        let root = plan_for(&host(), &[], 8).unwrap();
        assert_eq!((root.identity.count, root.session.id_first), (9, 1000));
        assert_eq!(root.outside_id(2), Some(0x7000_0003));
        assert!(root.session.id_is_own && !root.session.has_own_user_namespace);
        assert_eq!(root.session.rlimits.processes_max, Some(64));
        assert_eq!(root.nest_steps, NEST_STEPS_PRIVILEGED);
        let user =
            plan_for(&Host { uid: 1234, gid: 5, may_switch_ids: false, may_administrate: false, ..host() }, &[], 8)
                .unwrap();
        assert_eq!(user.outside_id(2), None);
        assert_eq!((user.identity.count, user.identity.outside_uid, user.identity.outside_gid), (1, 1234, 5));
        assert!(!user.session.id_is_own && user.session.has_own_user_namespace);
        assert_eq!(user.session.rlimits.processes_max, Some(64));
        assert_eq!(user.nest_steps, NEST_STEPS_UNPRIVILEGED);
    }

    #[test]
    fn root_of_a_container_that_maps_too_few_uids_is_treated_as_a_user() {
        let container = Host { mapped_uids: vec![(0, 65535)], ..host() };
        assert_eq!(plan_for(&container, &[], 8).unwrap().identity.count, 1);
    }

    #[test]
    fn a_missing_layer_or_too_many_uids_are_refused_by_name() {
        let no_landlock = plan_for(&Host { landlock_abi: 0, ..host() }, &[], 8).unwrap_err();
        assert!(no_landlock.to_string().starts_with("landlock is missing: kernel 6.1.0"));
        let no_seccomp = plan_for(&Host { seccomp_errno: false, ..host() }, &[], 8).unwrap_err();
        assert!(no_seccomp.to_string().starts_with("seccomp is missing"));
        assert!(matches!(plan_for(&host(), &[], u32::MAX), Err(PlanError::Uids { .. })));
    }

    #[test]
    fn what_is_beneath_a_mount_is_not_mounted_twice_and_links_outside_are_kept() {
        let trees = [
            folder("/usr/lib/python3", &[("/usr/lib/link", "python3")]),
            folder("/usr", &[("/bin", "usr/bin")]),
            folder("/usr", &[]),
            folder("/opt/python", &[]),
        ];
        let root = plan_for(&host(), &trees, 1).unwrap().root;
        let paths: Vec<_> = root.mounts.iter().map(|mount| mount.path.to_str().unwrap()).collect();
        assert_eq!(paths, ["/opt/python", "/usr"]);
        assert!(root.links.contains(&("/bin".into(), "usr/bin".into())));
        assert!(!root.links.iter().any(|(at, _)| at.starts_with("/usr")));
    }

    #[test]
    fn the_whole_host_is_never_shown() {
        assert!(matches!(plan_for(&host(), &[folder("/", &[])], 1), Err(PlanError::WholeHost { .. })));
    }

    #[test]
    fn reduced_does_without_namespaces_and_says_so() {
        let root = plan_with(Isolation::Reduced, &host(), &[folder("/usr", &[])], 8).unwrap();
        assert_eq!(root.nest_steps, NEST_STEPS_REDUCED);
        assert_eq!((root.session.id_is_own, root.session.id_first), (true, 0x7000_0001));
        assert_eq!(root.outside_id(2), Some(0x7000_0003));
        let absent = |layer: &LayerStatus| matches!(layer.state, State::Absent { .. });
        assert_eq!(root.session.inherited.iter().filter(|layer| absent(layer)).count(), 7);
        let (first, second) = (root.session.trees.of(0), root.session.trees.of(1));
        assert_ne!(first.workspace.path, second.workspace.path);
        let read_only = |rule: &LandlockRule| matches!(rule.access, FileAccess::Read | FileAccess::Device);
        assert!(root.session.landlock_rules.iter().all(|rule| read_only(rule) && rule.path != Path::new("/")));
    }

    #[test]
    fn reduced_with_one_uid_needs_landlock_to_confine_signals() {
        let user = Host { uid: 1234, may_switch_ids: false, landlock_abi: 5, ..host() };
        assert_eq!(plan_with(Isolation::Reduced, &user, &[], 8), Err(PlanError::Signals { abi: 5 }));
        assert!(plan_with(Isolation::Reduced, &Host { landlock_abi: 5, ..host() }, &[], 8).is_ok());
    }
}
