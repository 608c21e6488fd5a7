//! Policy and host in, plan out: every decision about the wall is made here, by a pure function, and nothing here
//! touches the kernel. [`enforce`](crate::enforce) carries a plan out step by step.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::host::{Followed, Host};
use crate::interpreter::Interpreter;
use crate::policy::{Policy, WorkspacePolicy};
use crate::seccomp::Instruction;
use crate::status::{Layer, LayerStatus, State};
use crate::steps::{NEST_STEPS_PRIVILEGED, NEST_STEPS_UNPRIVILEGED, NestStep, SESSION_STEPS, SessionStep};

/// Where the runner and the native library stand inside.
pub const RUNTIME_FOLDER: &str = "/run/eggbox";
/// The working directory of every session.
pub const WORKSPACE: &str = "/workspace";
/// The uid and gid of slot 0 inside; the nest has the one below it.
const SESSION_ID_FIRST: u32 = 1000;

/// All that a nest and its sessions need to put up the wall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Carried out in this order, before the interpreter starts.
    pub nest_steps: Vec<NestStep>,
    /// Carried out in this order by each session, before it is offered.
    pub session_steps: Vec<SessionStep>,
    pub root: RootPlan,
    pub identity: IdentityPlan,
    pub program: ProgramPlan,
    pub session: SessionPlan,
}

/// The read-only root that nest and sessions see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    pub file_systems: Vec<FileSystemPlan>,
    pub rlimits: RlimitPlan,
    pub landlock_abi: u32,
    pub landlock_rules: Vec<LandlockRule>,
    pub seccomp: Vec<Instruction>,
    /// What the layers that the nest put up amount to.
    pub inherited: Vec<LayerStatus>,
}

/// A private, writable file system in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystemPlan {
    pub path: PathBuf,
    pub bytes_max: u64,
    pub files_max: u64,
    /// The permission bits of its root.
    pub mode: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RlimitPlan {
    pub open_files_max: u32,
    /// None where the uid is shared: the count would be everybody's.
    pub processes_max: Option<u32>,
    pub stack_bytes_max: u64,
    pub locked_bytes_max: u64,
    pub file_bytes_max: u64,
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
    #[error("the interpreter's {path} would show the whole host; use an interpreter with a folder of its own")]
    WholeHost { path: PathBuf },
}

/// What the plan is made for, beside policy and host.
#[derive(Debug, Clone, Copy)]
pub struct PlanInput<'a> {
    pub policy: &'a Policy,
    pub host: &'a Host,
    pub interpreter: &'a Interpreter,
    /// The paths of policy and interpreter that exist, followed; devices apart.
    pub trees: &'a [Followed],
    pub devices: &'a [Followed],
    pub seccomp: &'a [Instruction],
    pub sessions_max: u32,
    /// Arguments for the runner after its own path.
    pub runner_arguments: &'a [String],
}

/// Makes the plan.
///
/// # Errors
/// Where a layer cannot be had on this host.
pub fn plan(input: PlanInput<'_>) -> Result<Plan, PlanError> {
    let PlanInput { policy, host, .. } = input;
    if host.landlock_abi == 0 {
        return Err(PlanError::Landlock { kernel: host.kernel.clone() });
    }
    if !host.seccomp_errno {
        return Err(PlanError::Seccomp { kernel: host.kernel.clone() });
    }
    let identity = plan_identity(policy, host, input.sessions_max)?;
    let own_ids = identity.count > 1;
    let id_first = if own_ids { identity.nest_id + 1 } else { identity.nest_id };
    Ok(Plan {
        nest_steps: if own_ids { NEST_STEPS_PRIVILEGED } else { NEST_STEPS_UNPRIVILEGED }.to_vec(),
        session_steps: SESSION_STEPS.to_vec(),
        root: plan_root(input, &identity)?,
        identity,
        program: plan_program(input),
        session: SessionPlan {
            id_first,
            id_is_own: own_ids,
            file_systems: plan_file_systems(policy),
            rlimits: RlimitPlan {
                open_files_max: policy.rlimits.open_files_max,
                processes_max: own_ids.then_some(policy.rlimits.processes_max),
                stack_bytes_max: policy.rlimits.stack_bytes_max,
                locked_bytes_max: policy.rlimits.locked_bytes_max,
                file_bytes_max: policy.files.workspace_bytes_max,
            },
            landlock_abi: host.landlock_abi,
            landlock_rules: plan_landlock(policy),
            seccomp: input.seccomp.to_vec(),
            inherited: inherited_layers(&identity),
        },
    })
}

fn plan_identity(policy: &Policy, host: &Host, sessions_max: u32) -> Result<IdentityPlan, PlanError> {
    let first = policy.identity.uid_first;
    let (wide_first, wide_last) = (u64::from(first), u64::from(first) + u64::from(sessions_max));
    let last = u32::try_from(wide_last).ok().filter(|&last| last < u32::MAX);
    let last = last.ok_or(PlanError::Uids { first: wide_first, last: wide_last })?;
    let mapped = host.mapped_uids.iter().any(|&(from, to)| from <= first && last <= to);
    Ok(if host.privileged && mapped {
        IdentityPlan { nest_id: SESSION_ID_FIRST - 1, outside_uid: first, outside_gid: first, count: sessions_max + 1 }
    } else {
        IdentityPlan { nest_id: SESSION_ID_FIRST, outside_uid: host.uid, outside_gid: host.gid, count: 1 }
    })
}

fn plan_root(input: PlanInput<'_>, identity: &IdentityPlan) -> Result<RootPlan, PlanError> {
    let mut mounts: Vec<MountPlan> = Vec::new();
    let mut targets: Vec<&Followed> = input.trees.iter().collect();
    targets.sort_by(|a, b| a.target.cmp(&b.target));
    for tree in targets {
        if tree.target == Path::new("/") {
            return Err(PlanError::WholeHost { path: tree.target.clone() });
        }
        if !is_shown(&mounts, &tree.target) {
            let kind = if tree.is_folder { MountKind::Folder } else { MountKind::File };
            mounts.push(MountPlan { path: tree.target.clone(), kind });
        }
    }
    let links: BTreeSet<_> = input
        .trees
        .iter()
        .flat_map(|tree| tree.links.iter().cloned())
        .filter(|(at, _)| !is_shown(&mounts, at))
        .collect();
    let devices = input.devices.iter().map(|device| MountPlan { path: device.target.clone(), kind: MountKind::Device });
    mounts.extend(devices);
    let own = ["/proc", "/tmp", "/dev/shm", WORKSPACE].map(PathBuf::from).to_vec();
    let mut links: Vec<_> = links.into_iter().collect();
    links.extend(
        [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")]
            .map(|(name, end)| (PathBuf::from(format!("/dev/{name}")), PathBuf::from(format!("/proc/self/fd{end}")))),
    );
    Ok(RootPlan { mounts, links, folders: own, files: plan_files(identity) })
}

/// `path` is, or is beneath, something already mounted.
fn is_shown(mounts: &[MountPlan], path: &Path) -> bool {
    mounts.iter().any(|mount| path.starts_with(&mount.path))
}

fn plan_files(identity: &IdentityPlan) -> Vec<(PathBuf, String)> {
    use std::fmt::Write;
    let mut users = String::new();
    let mut groups = String::new();
    for id in identity.nest_id..identity.nest_id + identity.count {
        // Writing to a string cannot fail.
        let _ = writeln!(users, "eggbox:x:{id}:{id}::{WORKSPACE}:/bin/sh");
        let _ = writeln!(groups, "eggbox:x:{id}:");
    }
    let files = [
        ("/etc/passwd", users),
        ("/etc/group", groups),
        ("/etc/hosts", "127.0.0.1 localhost eggbox\n::1 localhost eggbox\n".to_owned()),
        ("/etc/hostname", "eggbox\n".to_owned()),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n".to_owned()),
        ("/etc/resolv.conf", String::new()),
    ];
    files.map(|(path, text)| (PathBuf::from(path), text)).to_vec()
}

fn plan_program(input: PlanInput<'_>) -> ProgramPlan {
    let executable = input.interpreter.executable.clone();
    let folder = executable.parent().unwrap_or(Path::new("/usr/bin"));
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", folder.display());
    let mut environment: Vec<_> =
        input.policy.environment.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    environment.push(("PATH".to_owned(), path));
    let mut arguments = vec![format!("{RUNTIME_FOLDER}/nest.py")];
    arguments.extend_from_slice(input.runner_arguments);
    ProgramPlan { executable, arguments, environment }
}

fn plan_file_systems(policy: &Policy) -> Vec<FileSystemPlan> {
    let file_system = |path: &str, bytes_max, mode| FileSystemPlan {
        path: PathBuf::from(path),
        bytes_max,
        files_max: policy.files.files_max,
        mode,
    };
    vec![
        file_system(WORKSPACE, policy.files.workspace_bytes_max, 0o755),
        file_system("/tmp", policy.files.scratch_bytes_max, 0o1777),
        file_system("/dev/shm", policy.files.scratch_bytes_max, 0o1777),
    ]
}

fn plan_landlock(policy: &Policy) -> Vec<LandlockRule> {
    let rule = |path: &Path, access| LandlockRule { path: path.to_owned(), access };
    let workspace = match policy.files.workspace {
        WorkspacePolicy::Keep => FileAccess::Keep,
        WorkspacePolicy::Full => FileAccess::Full,
    };
    vec![
        rule(Path::new("/"), FileAccess::Read),
        rule(Path::new("/dev"), FileAccess::Device),
        rule(Path::new(WORKSPACE), workspace),
        rule(Path::new("/tmp"), FileAccess::Full),
        rule(Path::new("/dev/shm"), FileAccess::Full),
    ]
}

fn inherited_layers(identity: &IdentityPlan) -> Vec<LayerStatus> {
    let own_ids = identity.count > 1;
    let ids = if own_ids {
        format!("host uids {} to {} stand behind", identity.outside_uid, identity.outside_uid + identity.count - 1)
    } else {
        format!("host uid {} stands behind", identity.outside_uid)
    };
    vec![LayerStatus { layer: Layer::UserNamespace, state: State::Enforced, detail: ids }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        Host {
            kernel: "6.1.0".into(),
            uid: 0,
            gid: 0,
            privileged: true,
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
        plan(PlanInput {
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
        assert!(root.session.id_is_own && root.session.rlimits.processes_max.is_some());
        assert_eq!(root.nest_steps, NEST_STEPS_PRIVILEGED);
        let user = plan_for(&Host { uid: 1234, gid: 5, privileged: false, ..host() }, &[], 8).unwrap();
        assert_eq!((user.identity.count, user.identity.outside_uid, user.identity.outside_gid), (1, 1234, 5));
        assert!(!user.session.id_is_own && user.session.rlimits.processes_max.is_none());
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
}
