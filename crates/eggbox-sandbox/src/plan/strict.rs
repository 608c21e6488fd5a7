//! The plan of `--isolation strict`: namespaces and a root of their own for every session.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{
    FileAccess, FileSystemPlan, IdentityPlan, LandlockRule, MountKind, MountPlan, Plan, PlanError, PlanInput,
    RUNTIME_FOLDER, RootPlan, SessionNamespaces, SessionPlan, TreesPlan, WORKSPACE, groups, has_ids, id_range, program,
    rlimits, workspace_access,
};
use crate::host::{Followed, Host};
use crate::limits::SandboxLimits;
use crate::policy::Policy;
use crate::status::{Layer, LayerStatus, State};
use crate::steps::{NEST_STEPS_PRIVILEGED, NEST_STEPS_UNPRIVILEGED, SESSION_STEPS};

/// The uid and gid of slot 0 inside; the nest has the one below it.
const SESSION_ID_FIRST: u32 = 1000;

pub(super) fn plan(input: PlanInput<'_>) -> Result<Plan, PlanError> {
    let PlanInput { policy, host, .. } = input;
    let identity = identity(policy, host, input.sessions_max)?;
    let own_ids = identity.count > 1;
    let runtime_folder = PathBuf::from(RUNTIME_FOLDER);
    let rule = |path: &str, access| LandlockRule { path: path.into(), access };
    let root = root(input, &identity)?;
    Ok(Plan {
        build: input.build.to_owned(),
        sessions_max: input.sessions_max,
        nest_steps: if own_ids { NEST_STEPS_PRIVILEGED } else { NEST_STEPS_UNPRIVILEGED }.to_vec(),
        session_steps: SESSION_STEPS.to_vec(),
        fail_step: input.fail_step,
        identity,
        program: program(input, &runtime_folder),
        groups: groups(input, identity.outside_uid)?,
        runtime_folder,
        session: SessionPlan {
            id_first: if own_ids { identity.nest_id + 1 } else { identity.nest_id },
            id_is_own: own_ids,
            has_own_user_namespace: !own_ids,
            may_drop_bounding_set: true,
            namespaces: SessionNamespaces::Own,
            trees: trees(policy, input.limits, &root),
            rlimits: rlimits(input, true),
            landlock_abi: host.landlock_abi,
            landlock_rules: vec![rule("/", FileAccess::Read), rule("/dev", FileAccess::Device)],
            seccomp: input.seccomp.to_vec(),
            inherited: vec![user_namespace(&identity)],
        },
        root,
    })
}

fn identity(policy: &Policy, host: &Host, sessions_max: u32) -> Result<IdentityPlan, PlanError> {
    let ids = id_range(policy, sessions_max)?;
    Ok(if host.may_administrate && host.may_switch_ids && has_ids(host, &ids) {
        let (first, count) = (*ids.start(), sessions_max + 1);
        IdentityPlan { nest_id: SESSION_ID_FIRST - 1, outside_uid: first, outside_gid: first, count }
    } else {
        IdentityPlan { nest_id: SESSION_ID_FIRST, outside_uid: host.uid, outside_gid: host.gid, count: 1 }
    })
}

fn root(input: PlanInput<'_>, identity: &IdentityPlan) -> Result<RootPlan, PlanError> {
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
    Ok(RootPlan { mounts, links, folders: own, files: files(identity) })
}

/// `path` is, or is beneath, something already mounted.
fn is_shown(mounts: &[MountPlan], path: &Path) -> bool {
    mounts.iter().any(|mount| path.starts_with(&mount.path))
}

fn files(identity: &IdentityPlan) -> Vec<(PathBuf, String)> {
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

fn trees(policy: &Policy, limits: &SandboxLimits, root: &RootPlan) -> TreesPlan {
    let shown_beneath = |path: &str| RootPlan {
        mounts: root.mounts.iter().filter(|mount| mount.path.starts_with(path)).cloned().collect(),
        links: root.links.iter().filter(|(at, _)| at.starts_with(path)).cloned().collect(),
        ..RootPlan::default()
    };
    let tree = |path: &str, bytes_max, mode, access| FileSystemPlan {
        path: PathBuf::from(path),
        bytes_max,
        files_max: limits.files_max,
        mode,
        access,
        shown: shown_beneath(path),
    };
    let scratch = |path| tree(path, limits.scratch_bytes_max, 0o1777, FileAccess::Full);
    TreesPlan::Mounted {
        workspace: tree(WORKSPACE, limits.workspace_bytes_max, 0o755, workspace_access(policy)),
        scratch: vec![scratch("/tmp"), scratch("/dev/shm")],
    }
}

fn user_namespace(identity: &IdentityPlan) -> LayerStatus {
    let own_ids = identity.count > 1;
    let ids = if own_ids {
        format!("host uids {} to {} stand behind", identity.outside_uid, identity.outside_uid + identity.count - 1)
    } else {
        format!("host uid {} stands behind", identity.outside_uid)
    };
    LayerStatus { layer: Layer::UserNamespace, state: State::Enforced, detail: ids }
}
