//! The system-call filter: policy files in, a BPF program out.
//!
//! Owns the file format, its validation and the compiler. It installs nothing: the bytes are handed
//! to the kernel by the code that locks a session down.
//!
//! What a program made here promises:
//! - It never kills and never answers errno 0. A refused call fails with the errno that the policy
//!   names, so programs report it or fall back.
//! - A foreign ABI is refused as a whole: i386 (`int 0x80`) with EPERM, x32 (bit 30 of the number)
//!   with ENOSYS, since its numbers lie past the end of the table.
//! - A call newer than the table answers ENOSYS, so that a newer libc falls back to an older call.
//! - Conditions look at the bits that the kernel looks at and no others (`argument.rs`).
//! - It is the last filter: seccomp(2) is among the calls that it refuses.
//!
//! The policies shipped are `policy/seccomp/<arch>.toml`, with a reason for every entry, and `reduced.toml` beside
//! them, which is laid over either where no namespaces stand behind it.

mod arch;
mod argument;
mod assembler;
mod compile;
mod errno;
#[cfg(test)]
mod interpreter;
mod policy;
mod program;
mod search;

pub use arch::{Arch, native_arch};
pub use compile::{CompileError, compile};
pub use errno::Errno;
pub use policy::{PolicyError, SeccompPolicy};
pub use program::{Instruction, Program};

use crate::policy::Isolation;

/// The policy that this build ships for `arch`, as it is for `isolation`.
pub fn shipped(arch: Arch, isolation: Isolation) -> Result<SeccompPolicy, PolicyError> {
    let text = match arch {
        Arch::X86_64 => include_str!("../../../policy/seccomp/x86_64.toml"),
        Arch::Aarch64 => include_str!("../../../policy/seccomp/aarch64.toml"),
    };
    let policy = SeccompPolicy::parse(text, arch)?;
    Ok(match isolation {
        Isolation::Strict => policy,
        Isolation::Reduced => {
            let reduced = include_str!("../../../policy/seccomp/reduced.toml");
            let policy = policy.overlaid_with(SeccompPolicy::parse(reduced, arch)?);
            match arch {
                Arch::X86_64 => {
                    let older = include_str!("../../../policy/seccomp/reduced-x86_64.toml");
                    policy.overlaid_with(SeccompPolicy::parse(older, arch)?)
                }
                Arch::Aarch64 => policy,
            }
        }
    })
}

#[cfg(test)]
mod tests;
