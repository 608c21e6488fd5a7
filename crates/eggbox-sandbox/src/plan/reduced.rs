//! The plan of `--isolation reduced`, for hosts that refuse namespaces and mounts: Landlock, seccomp, resource limits
//! and, where the server may switch to them, own ids. What that lacks is reported layer by layer.

use super::{
    FileAccess, IdentityPlan, LandlockRule, Plan, PlanError, PlanInput, RootPlan, SessionNamespaces, SessionPlan,
    TreesPlan, groups, has_ids, id_range, program, rlimits, workspace_access,
};
use crate::host::Followed;
use crate::layers::files::ABI_SCOPES;
use crate::status::{Layer, LayerStatus, State};
use crate::steps::{NEST_STEPS_REDUCED, SESSION_STEPS_REDUCED};

pub(super) fn plan(input: PlanInput<'_>) -> Result<Plan, PlanError> {
    let PlanInput { policy, host, .. } = input;
    let ids = id_range(policy, input.sessions_max)?;
    let own_ids = host.may_switch_ids && has_ids(host, &ids);
    if !own_ids && host.landlock_abi < ABI_SCOPES {
        return Err(PlanError::Signals { abi: host.landlock_abi });
    }
    let runtime_folder = input.state_dir.join("runtime");
    let rule = |access| move |tree: &Followed| LandlockRule { path: tree.target.clone(), access };
    let mut landlock_rules: Vec<_> = input.trees.iter().map(rule(FileAccess::Read)).collect();
    landlock_rules.extend(input.devices.iter().map(rule(FileAccess::Device)));
    landlock_rules.extend(input.proc_files.iter().map(rule(FileAccess::Read)));
    Ok(Plan {
        build: input.build.to_owned(),
        sessions_max: input.sessions_max,
        nest_steps: NEST_STEPS_REDUCED.to_vec(),
        session_steps: SESSION_STEPS_REDUCED.to_vec(),
        fail_step: input.fail_step,
        root: RootPlan::default(),
        // No ids are mapped: inside and outside are the same.
        identity: IdentityPlan { nest_id: host.uid, outside_uid: host.uid, outside_gid: host.gid, count: 1 },
        program: program(input, &runtime_folder),
        groups: groups(input, host.uid)?,
        runtime_folder,
        session: SessionPlan {
            id_first: if own_ids { *ids.start() + 1 } else { host.uid },
            id_is_own: own_ids,
            has_own_user_namespace: false,
            may_drop_bounding_set: host.may_set_capabilities,
            namespaces: SessionNamespaces::Shared,
            trees: TreesPlan::Folders {
                beneath: input.state_dir.join("sessions"),
                workspace_access: workspace_access(policy),
            },
            rlimits: rlimits(input, own_ids),
            landlock_abi: host.landlock_abi,
            landlock_rules,
            seccomp: input.seccomp.to_vec(),
            inherited: absent_layers(),
        },
    })
}

fn absent_layers() -> Vec<LayerStatus> {
    let absent = |layer, why: &str, detail: &str| LayerStatus {
        layer,
        state: State::Absent { why: format!("--isolation reduced does without; {why}") },
        detail: detail.to_owned(),
    };
    vec![
        absent(Layer::UserNamespace, "ids inside are the host's", ""),
        absent(
            Layer::MountNamespace,
            "names and sizes of the host's files can be seen, and the space that a session fills is not limited",
            "Landlock alone keeps the content of the host's files from sessions",
        ),
        absent(
            Layer::PidNamespace,
            "which processes there are can be seen, and a nest that is killed may leave processes of sessions behind",
            "the nest adopts and ends what a session leaves behind",
        ),
        absent(Layer::IpcNamespace, "System V objects and message queues are refused altogether", ""),
        absent(Layer::CgroupNamespace, "names of the host's cgroups can be seen", ""),
        absent(Layer::UtsNamespace, "the host's name can be seen", ""),
        absent(
            Layer::NetworkNamespace,
            "sockets are refused altogether, localhost included, but for connected pairs",
            "",
        ),
    ]
}
