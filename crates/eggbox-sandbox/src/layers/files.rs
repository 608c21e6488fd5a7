//! Landlock: what may be done to files, by whatever route, and no signals or abstract sockets out of the session.

use std::io;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};

use crate::plan::{FileAccess, LandlockRule};

/// The newest ABI whose rights this code handles.
const ABI_HANDLED_MAX: u32 = 7;
/// The first ABI that can confine signals and abstract sockets.
pub(crate) const ABI_SCOPES: u32 = 6;

/// Restricts this thread, and all it starts, for good. Everything that the kernel's ABI can handle is handled, and
/// the lack of any of it is an error.
pub(crate) fn restrict(abi: u32, rules: &[LandlockRule]) -> io::Result<()> {
    let enforced = build(abi, rules).map_err(io::Error::other)?;
    match enforced {
        RulesetStatus::FullyEnforced => Ok(()),
        partly => Err(io::Error::other(format!("the kernel answered {partly:?}"))),
    }
}

fn build(abi: u32, rules: &[LandlockRule]) -> Result<RulesetStatus, Box<dyn std::error::Error + Send + Sync>> {
    let version = ABI::from(abi.min(ABI_HANDLED_MAX).cast_signed());
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(version))?;
    if abi >= ABI_SCOPES {
        ruleset = ruleset.scope(Scope::from_all(version))?;
    }
    let mut ruleset = ruleset.create()?;
    for rule in rules {
        ruleset = ruleset.add_rule(PathBeneath::new(PathFd::new(&rule.path)?, rights(rule.access, version)))?;
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

fn rights(access: FileAccess, abi: ABI) -> BitFlags<AccessFs> {
    let all = AccessFs::from_all(abi);
    let devices = AccessFs::MakeBlock | AccessFs::MakeChar;
    match access {
        FileAccess::Read => AccessFs::from_read(abi),
        FileAccess::Device => {
            all & (AccessFs::ReadFile
                | AccessFs::ReadDir
                | AccessFs::WriteFile
                | AccessFs::Truncate
                | AccessFs::IoctlDev)
        }
        FileAccess::Keep => all & !(devices | AccessFs::RemoveFile | AccessFs::RemoveDir),
        FileAccess::Full => all & !devices,
    }
}
