//! What nests and sessions leave on the host when they have ended: control groups, and folders where there were no
//! mounts.

use std::io;

use crate::layers::folders;
use crate::plan::{GroupsPlan, Plan, TreesPlan};

/// Removes the control groups of every nest of an environment, all of which have ended.
///
/// # Errors
/// Where something is still in use after a few seconds, or the host refuses.
pub fn clear_groups(plan: &Plan) -> io::Result<()> {
    match &plan.groups {
        GroupsPlan::Own(groups) => groups.remove(),
        GroupsPlan::None { .. } => Ok(()),
    }
}

/// Removes the folder of a nest that has ended. `plan` is that nest's own, as [`Plan::for_nest`] made it.
///
/// # Errors
/// Where the host refuses.
pub fn clear_folder(plan: &Plan) -> io::Result<()> {
    match (&plan.session.trees, plan.runtime_folder.parent()) {
        (TreesPlan::Folders { .. }, Some(folder)) => folders::remove(folder),
        _ => Ok(()),
    }
}
