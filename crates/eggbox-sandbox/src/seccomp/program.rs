//! A compiled filter, in the layout that the kernel takes.

use serde::{Deserialize, Serialize};

/// One instruction of classic BPF: `struct sock_filter` of `<linux/filter.h>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(C)]
pub struct Instruction {
    pub code: u16,
    /// Instructions to skip if the test holds.
    pub jt: u8,
    /// Instructions to skip if it does not.
    pub jf: u8,
    pub k: u32,
}

/// A filter for seccomp(2) `SECCOMP_SET_MODE_FILTER`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Program {
    /// At most `BPF_MAXINSNS` (4096), so that the length fits `struct sock_fprog`.
    pub instructions: Vec<Instruction>,
}

#[cfg(test)]
mod tests {
    use std::mem::{align_of, offset_of, size_of};

    use super::*;

    #[test]
    fn has_the_layout_of_sock_filter() {
        assert_eq!(size_of::<Instruction>(), size_of::<libc::sock_filter>());
        assert_eq!(align_of::<Instruction>(), align_of::<libc::sock_filter>());
        assert_eq!(offset_of!(Instruction, code), offset_of!(libc::sock_filter, code));
        assert_eq!(offset_of!(Instruction, jt), offset_of!(libc::sock_filter, jt));
        assert_eq!(offset_of!(Instruction, jf), offset_of!(libc::sock_filter, jf));
        assert_eq!(offset_of!(Instruction, k), offset_of!(libc::sock_filter, k));
    }
}
