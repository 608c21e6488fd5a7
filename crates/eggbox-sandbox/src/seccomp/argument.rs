//! The system-call arguments that a condition may look at, and the constants it may name.
//!
//! A filter sees every argument as 64 bits, the kernel often reads fewer. Comparing more bits than
//! the kernel reads lets a program past a `not_one_of` by setting a high bit; comparing fewer lets
//! it past a `one_of`. So a condition is accepted only for the arguments below, **all of which the
//! kernel reads as 32 bits**, and a compiled condition loads the low word alone. An argument with a
//! wider type needs a compiler that also looks at the high word before it may be added here.
//!
//! Constants belong to their argument, so `TIOCSTI` in a condition on `socket` is an error.

/// An argument of the kernel's type `int` or `unsigned int`, with one exception: `clone` takes its
/// flags as `unsigned long` and uses `lower_32_bits` of them (kernel/fork.c since 5.5; before that
/// no flag lay in the upper half).
#[derive(Debug)]
pub(super) struct Argument {
    syscalls: &'static [&'static str],
    index: u8,
    constants: &'static [(&'static str, u32)],
}

impl Argument {
    /// The argument that all of `syscalls` have at `index`.
    pub(super) fn find(syscalls: &[String], index: u8) -> Option<&'static Self> {
        ARGUMENTS.iter().find(|argument| {
            let takes = |syscall: &String| argument.syscalls.contains(&syscall.as_str());
            argument.index == index && syscalls.iter().all(takes)
        })
    }

    pub(super) fn constant(&self, name: &str) -> Option<u32> {
        let (_, value) = self.constants.iter().find(|(known, _)| *known == name)?;
        Some(*value)
    }
}

const ARGUMENTS: &[Argument] = &[
    Argument { syscalls: &["clone"], index: 0, constants: CLONE_FLAGS },
    Argument { syscalls: &["socket", "socketpair"], index: 0, constants: ADDRESS_FAMILIES },
    Argument { syscalls: &["socket", "socketpair"], index: 1, constants: SOCKET_TYPES },
    Argument { syscalls: &["socket", "socketpair"], index: 2, constants: SOCKET_PROTOCOLS },
    Argument { syscalls: &["setsockopt", "getsockopt"], index: 1, constants: SOCKET_OPTION_LEVELS },
    Argument { syscalls: &["setsockopt", "getsockopt"], index: 2, constants: SOCKET_OPTIONS },
    Argument { syscalls: &["ioctl"], index: 1, constants: IOCTL_REQUESTS },
    Argument { syscalls: &["fcntl"], index: 1, constants: FCNTL_COMMANDS },
    Argument { syscalls: OF_A_PROCESS, index: 0, constants: PROCESSES },
    Argument { syscalls: &["setpriority"], index: 0, constants: PRIORITIES },
    Argument { syscalls: &["setpriority"], index: 1, constants: PROCESSES },
    Argument { syscalls: &["personality"], index: 0, constants: PERSONALITIES },
    Argument { syscalls: &["prctl"], index: 0, constants: PRCTL_OPTIONS },
];

/// `<linux/sched.h>`. `CLONE_NEWTIME` shares its bit with the exit signal of `clone`, where no
/// signal number reaches it.
const CLONE_FLAGS: &[(&str, u32)] = &[
    ("CLONE_NEWTIME", 0x0000_0080),
    ("CLONE_PARENT", 0x0000_8000),
    ("CLONE_NEWNS", 0x0002_0000),
    ("CLONE_NEWCGROUP", 0x0200_0000),
    ("CLONE_NEWUTS", 0x0400_0000),
    ("CLONE_NEWIPC", 0x0800_0000),
    ("CLONE_NEWUSER", 0x1000_0000),
    ("CLONE_NEWPID", 0x2000_0000),
    ("CLONE_NEWNET", 0x4000_0000),
];

const ADDRESS_FAMILIES: &[(&str, u32)] = &[("AF_UNIX", 1), ("AF_INET", 2), ("AF_INET6", 10)];

/// The kernel takes the type from the low four bits; the flags beside them it checks itself.
const SOCKET_TYPES: &[(&str, u32)] =
    &[("SOCK_TYPE_MASK", 0xf), ("SOCK_STREAM", 1), ("SOCK_DGRAM", 2), ("SOCK_SEQPACKET", 5)];

const SOCKET_PROTOCOLS: &[(&str, u32)] = &[("IPPROTO_IP", 0), ("IPPROTO_TCP", 6), ("IPPROTO_UDP", 17)];

const SOCKET_OPTION_LEVELS: &[(&str, u32)] = &[("SOL_SOCKET", 1), ("IPPROTO_TCP", 6)];

/// `<asm-generic/socket.h>`, which both architectures use, and `<linux/tcp.h>`. Each level counts its options from the
/// same start, so a number says something only beside its level.
const SOCKET_OPTIONS: &[(&str, u32)] = &[
    ("SO_PASSCRED", 16),
    ("SO_PEERCRED", 17),
    ("SO_ATTACH_FILTER", 26),
    ("SO_PEERSEC", 31),
    ("TCP_ULP", 31),
    ("SO_PASSSEC", 34),
    ("SO_ATTACH_BPF", 50),
    ("SO_ATTACH_REUSEPORT_CBPF", 51),
    ("SO_ATTACH_REUSEPORT_EBPF", 52),
    ("SO_PEERGROUPS", 59),
    ("SO_PASSPIDFD", 76),
    ("SO_PEERPIDFD", 77),
];

const IOCTL_REQUESTS: &[(&str, u32)] =
    &[("TIOCSTI", 0x5412), ("TIOCLINUX", 0x541c), ("TIOCCONS", 0x541d), ("TIOCSETD", 0x5423)];

/// Calls whose first argument is the process or thread that they change.
const OF_A_PROCESS: &[&str] =
    &["prlimit64", "sched_setaffinity", "sched_setparam", "sched_setscheduler", "sched_setattr"];

/// `<linux/resource.h>`.
const PRIORITIES: &[(&str, u32)] = &[("PRIO_PROCESS", 0)];

/// What those take for the caller itself.
const PROCESSES: &[(&str, u32)] = &[("SELF", 0)];

/// `<linux/fcntl.h>`.
const FCNTL_COMMANDS: &[(&str, u32)] = &[("F_SETLEASE", 1024), ("F_NOTIFY", 1026)];

const PERSONALITIES: &[(&str, u32)] = &[("PER_LINUX", 0), ("PER_QUERY", 0xffff_ffff)];

/// `<linux/prctl.h>`.
const PRCTL_OPTIONS: &[(&str, u32)] = &[
    ("PR_SET_PDEATHSIG", 1),
    ("PR_GET_PDEATHSIG", 2),
    ("PR_GET_DUMPABLE", 3),
    ("PR_GET_KEEPCAPS", 7),
    ("PR_GET_TIMING", 13),
    ("PR_SET_NAME", 15),
    ("PR_GET_NAME", 16),
    ("PR_GET_SECCOMP", 21),
    ("PR_CAPBSET_READ", 23),
    ("PR_GET_TSC", 25),
    ("PR_GET_SECUREBITS", 27),
    ("PR_SET_TIMERSLACK", 29),
    ("PR_GET_TIMERSLACK", 30),
    ("PR_SET_CHILD_SUBREAPER", 36),
    ("PR_GET_CHILD_SUBREAPER", 37),
    ("PR_SET_NO_NEW_PRIVS", 38),
    ("PR_GET_NO_NEW_PRIVS", 39),
    ("PR_SET_THP_DISABLE", 41),
    ("PR_GET_THP_DISABLE", 42),
    ("PR_SVE_SET_VL", 50),
    ("PR_SVE_GET_VL", 51),
    ("PR_GET_SPECULATION_CTRL", 52),
    ("PR_PAC_RESET_KEYS", 54),
    ("PR_SET_TAGGED_ADDR_CTRL", 55),
    ("PR_GET_TAGGED_ADDR_CTRL", 56),
    ("PR_PAC_SET_ENABLED_KEYS", 60),
    ("PR_PAC_GET_ENABLED_KEYS", 61),
    ("PR_SME_SET_VL", 63),
    ("PR_SME_GET_VL", 64),
    ("PR_GET_SHADOW_STACK_STATUS", 74),
    ("PR_SET_SHADOW_STACK_STATUS", 75),
    ("PR_LOCK_SHADOW_STACK_STATUS", 76),
    ("PR_GET_AUXV", 0x4155_5856),
    ("PR_SET_VMA", 0x5356_4d41),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::Arch;

    /// Holds the numbers above against libc, as far as libc has them.
    #[test]
    fn constants_are_the_ones_of_the_kernel() {
        let value = |syscall, index, name| {
            i64::from(Argument::find(&[String::from(syscall)], index).unwrap().constant(name).unwrap())
        };
        for (name, known) in [
            ("CLONE_NEWTIME", libc::CLONE_NEWTIME),
            ("CLONE_PARENT", libc::CLONE_PARENT),
            ("CLONE_NEWNS", libc::CLONE_NEWNS),
            ("CLONE_NEWCGROUP", libc::CLONE_NEWCGROUP),
            ("CLONE_NEWUTS", libc::CLONE_NEWUTS),
            ("CLONE_NEWIPC", libc::CLONE_NEWIPC),
            ("CLONE_NEWUSER", libc::CLONE_NEWUSER),
            ("CLONE_NEWPID", libc::CLONE_NEWPID),
            ("CLONE_NEWNET", libc::CLONE_NEWNET),
        ] {
            assert_eq!(value("clone", 0, name), i64::from(known), "{name}");
        }
        for (index, name, known) in [
            (0, "AF_UNIX", libc::AF_UNIX),
            (0, "AF_INET", libc::AF_INET),
            (0, "AF_INET6", libc::AF_INET6),
            (1, "SOCK_STREAM", libc::SOCK_STREAM),
            (1, "SOCK_DGRAM", libc::SOCK_DGRAM),
            (1, "SOCK_SEQPACKET", libc::SOCK_SEQPACKET),
            (2, "IPPROTO_IP", libc::IPPROTO_IP),
            (2, "IPPROTO_TCP", libc::IPPROTO_TCP),
            (2, "IPPROTO_UDP", libc::IPPROTO_UDP),
        ] {
            assert_eq!(value("socket", index, name), i64::from(known), "{name}");
        }
        for (index, name, known) in [
            (1, "SOL_SOCKET", libc::SOL_SOCKET),
            (1, "IPPROTO_TCP", libc::IPPROTO_TCP),
            (2, "SO_PASSCRED", libc::SO_PASSCRED),
            (2, "SO_PEERCRED", libc::SO_PEERCRED),
            (2, "SO_PEERSEC", libc::SO_PEERSEC),
            (2, "SO_PASSSEC", libc::SO_PASSSEC),
            (2, "SO_PEERGROUPS", libc::SO_PEERGROUPS),
            (2, "SO_PASSPIDFD", libc::SO_PASSPIDFD),
            (2, "SO_PEERPIDFD", libc::SO_PEERPIDFD),
            (2, "SO_ATTACH_FILTER", libc::SO_ATTACH_FILTER),
            (2, "TCP_ULP", libc::TCP_ULP),
            (2, "SO_ATTACH_BPF", libc::SO_ATTACH_BPF),
            (2, "SO_ATTACH_REUSEPORT_CBPF", libc::SO_ATTACH_REUSEPORT_CBPF),
            (2, "SO_ATTACH_REUSEPORT_EBPF", libc::SO_ATTACH_REUSEPORT_EBPF),
        ] {
            assert_eq!(value("setsockopt", index, name), i64::from(known), "{name}");
        }
        for (name, known) in [("TIOCSTI", libc::TIOCSTI), ("TIOCLINUX", libc::TIOCLINUX), ("TIOCCONS", libc::TIOCCONS)]
        {
            assert_eq!(value("ioctl", 1, name), i64::try_from(known).unwrap(), "{name}");
        }
        for (name, known) in [
            ("PR_SET_PDEATHSIG", libc::PR_SET_PDEATHSIG),
            ("PR_GET_DUMPABLE", libc::PR_GET_DUMPABLE),
            ("PR_GET_KEEPCAPS", libc::PR_GET_KEEPCAPS),
            ("PR_GET_TIMING", libc::PR_GET_TIMING),
            ("PR_SET_NAME", libc::PR_SET_NAME),
            ("PR_GET_SECCOMP", libc::PR_GET_SECCOMP),
            ("PR_CAPBSET_READ", libc::PR_CAPBSET_READ),
            ("PR_GET_TSC", libc::PR_GET_TSC),
            ("PR_GET_SECUREBITS", libc::PR_GET_SECUREBITS),
            ("PR_SET_TIMERSLACK", libc::PR_SET_TIMERSLACK),
            ("PR_SET_CHILD_SUBREAPER", libc::PR_SET_CHILD_SUBREAPER),
            ("PR_SET_NO_NEW_PRIVS", libc::PR_SET_NO_NEW_PRIVS),
            ("PR_SET_THP_DISABLE", libc::PR_SET_THP_DISABLE),
            ("PR_GET_SPECULATION_CTRL", libc::PR_GET_SPECULATION_CTRL),
            ("PR_SET_VMA", libc::PR_SET_VMA),
        ] {
            assert_eq!(value("prctl", 0, name), i64::from(known), "{name}");
        }
    }

    #[test]
    fn every_syscall_named_here_exists() {
        for name in ARGUMENTS.iter().flat_map(|argument| argument.syscalls) {
            assert!(Arch::X86_64.number(name).is_some(), "{name}");
            assert!(Arch::Aarch64.number(name).is_some(), "{name}");
        }
    }
}
