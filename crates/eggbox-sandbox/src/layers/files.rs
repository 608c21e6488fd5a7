//! Landlock: what may be done to files, by whatever route, and no signals or abstract sockets out of the session.

use std::io;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};

use rustix::fs::{FileType, fstat};

use crate::plan::{FileAccess, LandlockRule};

/// The newest ABI whose rights this code handles.
const ABI_HANDLED_MAX: u32 = 7;
/// The first ABI that can confine signals and abstract sockets.
pub(crate) const ABI_SCOPES: u32 = 6;

/// Restricts this thread, and all it starts, for good. Everything that the kernel's ABI can handle is handled, and
/// the lack of any of it is an error.
pub(crate) fn restrict<'a>(abi: u32, rules: impl Iterator<Item = &'a LandlockRule>) -> io::Result<()> {
    let enforced = build(abi, rules).map_err(io::Error::other)?;
    match enforced {
        RulesetStatus::FullyEnforced => Ok(()),
        partly => Err(io::Error::other(format!("the kernel answered {partly:?}"))),
    }
}

fn build<'a>(
    abi: u32,
    rules: impl Iterator<Item = &'a LandlockRule>,
) -> Result<RulesetStatus, Box<dyn std::error::Error + Send + Sync>> {
    let version = ABI::from(abi.min(ABI_HANDLED_MAX).cast_signed());
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(version))?;
    if abi >= ABI_SCOPES {
        ruleset = ruleset.scope(Scope::from_all(version))?;
    }
    let mut ruleset = ruleset.create()?;
    for rule in rules {
        let path = PathFd::new(&rule.path)
            .map_err(|error| format!("{error}; the session's uid must be able to reach what it is to read"))?;
        let mut rights = rights(rule.access, version);
        // A file has no folder's rights to give.
        if !FileType::from_raw_mode(fstat(&path)?.st_mode).is_dir() {
            rights &= AccessFs::from_file(version);
        }
        ruleset = ruleset.add_rule(PathBeneath::new(path, rights))?;
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
