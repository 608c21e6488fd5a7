//! What nests and sessions leave on the host when they have ended: control groups, and folders where there were no
//! mounts.

use std::io;

use crate::layers::folders;
use crate::plan::{GroupsPlan, Plan, TreesPlan};

/// Removes the control groups and the folder of a nest that has ended, and of every other nest that shared its groups.
///
/// # Errors
/// Where something is still in use after a few seconds, or the host refuses.
pub fn clear(plan: &Plan) -> io::Result<()> {
    clear_folder(plan)?;
    match &plan.groups {
        GroupsPlan::Own(groups) => groups.remove(),
        GroupsPlan::None { .. } => Ok(()),
    }
}

/// Removes the folder of a nest that has ended.
///
/// # Errors
/// Where the host refuses.
pub fn clear_folder(plan: &Plan) -> io::Result<()> {
    match (&plan.session.trees, plan.runtime_folder.parent()) {
        (TreesPlan::Folders { .. }, Some(folder)) => folders::remove(folder),
        _ => Ok(()),
    }
}
