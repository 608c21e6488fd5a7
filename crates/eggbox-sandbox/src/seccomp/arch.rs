//! The machine architectures that have a policy, and their system-call tables.

use std::fmt;

use serde::{Deserialize, Serialize};
use syscalls::{aarch64, x86_64};

/// A little-endian 64-bit ABI of Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arch {
    X86_64,
    Aarch64,
}

/// The architecture this program was built for, or `None` where there is no policy for it.
pub fn native_arch() -> Option<Arch> {
    if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
        Some(Arch::X86_64)
    } else if cfg!(all(target_arch = "aarch64", target_endian = "little")) {
        Some(Arch::Aarch64)
    } else {
        None
    }
}

impl Arch {
    /// The `AUDIT_ARCH_*` word of `<linux/audit.h>` that `seccomp_data.arch` holds for this ABI.
    pub(super) fn audit_word(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    /// The number of a system call, or `None` if the table has no such name.
    pub(super) fn number(self, name: &str) -> Option<u32> {
        let id = match self {
            Self::X86_64 => name.parse::<x86_64::Sysno>().ok()?.id(),
            Self::Aarch64 => name.parse::<aarch64::Sysno>().ok()?.id(),
        };
        u32::try_from(id).ok()
    }

    /// The highest number that the table knows.
    pub(super) fn highest_number(self) -> u32 {
        match self {
            Self::X86_64 => x86_64::Sysno::last().id().unsigned_abs(),
            Self::Aarch64 => aarch64::Sysno::last().id().unsigned_abs(),
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        })
    }
}
