//! What the shipped policies promise, asked of the compiled programs.

use super::arch::Arch;
use super::compile::{RETURN_ALLOW, RETURN_ERRNO, compile};
use super::interpreter::{Call, run};
use super::program::Program;
use super::shipped;
use crate::policy::Isolation;

const BOTH: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];
const ALLOWED: i32 = 0;

/// Refused whatever the arguments, where the architecture has them.
const DANGEROUS: &str = "
    io_uring_setup io_uring_enter io_uring_register bpf perf_event_open ptrace userfaultfd
    keyctl add_key request_key process_vm_readv process_vm_writev process_madvise process_mrelease
    kexec_load kexec_file_load init_module finit_module delete_module create_module
    mount umount2 move_mount open_tree open_tree_attr fsopen fsconfig fsmount fspick mount_setattr
    pivot_root chroot setns unshare open_by_handle_at name_to_handle_at clone3
    quotactl quotactl_fd swapon swapoff reboot acct settimeofday clock_settime clock_adjtime
    adjtimex iopl ioperm vhangup lookup_dcookie syslog nfsservctl modify_ldt kcmp
    fanotify_init fanotify_mark pidfd_getfd memfd_secret uselib ustat vmsplice remap_file_pages
    seccomp mbind set_mempolicy migrate_pages move_pages sethostname setdomainname
";

/// Allowed whatever the arguments, where the architecture has them.
const NEEDED: &str = "
    read write openat close mmap munmap mprotect brk futex execve exit_group wait4 waitid
    fork vfork open stat pipe select poll dup2 getrandom memfd_create epoll_wait eventfd2 signalfd4
    inotify_add_watch rseq membarrier statx openat2 close_range copy_file_range sendfile splice
    pidfd_open pidfd_send_signal sched_setaffinity setpriority landlock_restrict_self timer_create
    semget shmget msgget mq_open bind listen accept4 connect sendmsg recvmsg kill tgkill
";

fn program(arch: Arch) -> Program {
    compile(&shipped(arch, Isolation::Strict).unwrap()).unwrap()
}

/// The errno that a call gets, or [`ALLOWED`].
fn answer(program: &Program, call: &Call) -> i32 {
    match run(program, call) {
        RETURN_ALLOW => ALLOWED,
        value => {
            assert_eq!(value & 0xffff_0000, RETURN_ERRNO, "{call:x?} is not an errno");
            let errno = i32::try_from(value & 0xffff).unwrap();
            assert_ne!(errno, 0, "{call:x?} answers success");
            errno
        }
    }
}

fn call(arch: Arch, syscall: &str, arguments: [u64; 3]) -> Call {
    let [first, second, third] = arguments;
    Call { number: arch.number(syscall).unwrap(), arch: arch.audit_word(), arguments: [first, second, third, 0, 0, 0] }
}

fn name(arch: Arch, number: u32) -> Option<&'static str> {
    let number = usize::try_from(number).unwrap();
    match arch {
        Arch::X86_64 => Some(syscalls::x86_64::Sysno::new(number)?.name()),
        Arch::Aarch64 => Some(syscalls::aarch64::Sysno::new(number)?.name()),
    }
}

#[test]
fn dangerous_calls_are_refused() {
    for arch in BOTH {
        let program = program(arch);
        for name in DANGEROUS.split_whitespace() {
            if arch.number(name).is_some() {
                let call = call(arch, name, [0; 3]);
                assert_ne!(answer(&program, &call), ALLOWED, "{name} on {arch}");
            }
        }
    }
}

#[test]
fn needed_calls_are_allowed() {
    for arch in BOTH {
        let program = program(arch);
        for name in NEEDED.split_whitespace() {
            if arch.number(name).is_some() {
                let call = call(arch, name, [u64::MAX; 3]);
                assert_eq!(answer(&program, &call), ALLOWED, "{name} on {arch}");
            }
        }
    }
}

/// The kernel reads these arguments as 32 bits: bits above them must not change an answer.
#[test]
fn arguments_decide_and_high_bits_do_not() {
    const TCP: u64 = 6;
    const CLOEXEC_NONBLOCK: u64 = 0x8_0800;
    let cases = [
        ("socket", [1, 1, 0], ALLOWED),
        ("socket", [2, 1 | CLOEXEC_NONBLOCK, TCP], ALLOWED),
        ("socket", [10, 2, 17], ALLOWED),
        ("socketpair", [1, 5 | CLOEXEC_NONBLOCK, 0], ALLOWED),
        ("socket", [16, 3, 0], libc::EAFNOSUPPORT),
        ("socket", [17, 3, 0], libc::EAFNOSUPPORT),
        ("socket", [38, 5, 0], libc::EAFNOSUPPORT),
        ("socket", [40, 1, 0], libc::EAFNOSUPPORT),
        ("socket", [0, 1, 0], libc::EAFNOSUPPORT),
        ("socketpair", [16, 3, 0], libc::EAFNOSUPPORT),
        ("socket", [2, 3, 0], libc::ESOCKTNOSUPPORT),
        ("socket", [2, 6 | CLOEXEC_NONBLOCK, 0], libc::ESOCKTNOSUPPORT),
        ("socket", [2, 1, 262], libc::EPROTONOSUPPORT),
        ("socket", [2, 5, 132], libc::EPROTONOSUPPORT),
        ("setsockopt", [0, 1, 26], libc::EPERM),
        ("setsockopt", [0, 1, 50], libc::EPERM),
        ("setsockopt", [0, 1, 51], libc::EPERM),
        ("setsockopt", [0, 1, 52], libc::EPERM),
        ("setsockopt", [0, 6, 31], libc::EPERM),
        ("ioctl", [0, 0x5401, 0], ALLOWED),
        ("ioctl", [0, 0x5412, 0], libc::EPERM),
        ("ioctl", [0, 0x541c, 0], libc::EPERM),
        ("ioctl", [0, 0x541d, 0], libc::EPERM),
        ("ioctl", [0, 0x5423, 0], libc::EPERM),
        ("clone", [17, 0, 0], ALLOWED),
        ("clone", [0x003d_0f00, 0, 0], ALLOWED),
        ("clone", [0x0000_0080, 0, 0], libc::EPERM),
        ("clone", [0x0000_8011, 0, 0], libc::EPERM),
        ("clone", [0x0002_0011, 0, 0], libc::EPERM),
        ("clone", [0x0200_0011, 0, 0], libc::EPERM),
        ("clone", [0x0400_0011, 0, 0], libc::EPERM),
        ("clone", [0x0800_0011, 0, 0], libc::EPERM),
        ("clone", [0x1000_0011, 0, 0], libc::EPERM),
        ("clone", [0x2000_0011, 0, 0], libc::EPERM),
        ("clone", [0x4000_0011, 0, 0], libc::EPERM),
        ("personality", [0xffff_ffff, 0, 0], ALLOWED),
        ("personality", [0, 0, 0], ALLOWED),
        ("personality", [0x0004_0000, 0, 0], libc::EPERM),
        ("prctl", [15, 0, 0], ALLOWED),
        ("prctl", [38, 1, 0], ALLOWED),
        ("prctl", [0x5356_4d41, 0, 0], ALLOWED),
        ("prctl", [4, 1, 0], libc::EINVAL),
        ("prctl", [22, 2, 0], libc::EINVAL),
        ("prctl", [35, 1, 0], libc::EINVAL),
        ("prctl", [47, 2, 0], libc::EINVAL),
        ("prctl", [53, 0, 0], libc::EINVAL),
        ("prctl", [0x5961_6d61, 0, 0], libc::EINVAL),
        ("clone3", [0, 88, 0], libc::ENOSYS),
    ];
    for arch in BOTH {
        let program = program(arch);
        for (name, arguments, expected) in cases {
            for high in [0, 1 << 32, u64::MAX << 32] {
                let call = call(arch, name, arguments.map(|argument| argument | high));
                assert_eq!(answer(&program, &call), expected, "{name} {call:x?}");
            }
        }
    }
}

/// Levels reuse each other's numbers: a refused pair must not take another along.
#[test]
fn socket_options_are_refused_by_level_and_number() {
    const SET: [(u64, u64); 8] = [(1, 16), (1, 26), (1, 34), (1, 50), (1, 51), (1, 52), (1, 76), (6, 31)];
    const GOT: [(u64, u64); 4] = [(1, 17), (1, 31), (1, 59), (1, 77)];
    for arch in BOTH {
        for isolation in [Isolation::Strict, Isolation::Reduced] {
            let program = compile(&shipped(arch, isolation).unwrap()).unwrap();
            for level in (0..300).chain([u64::from(u32::MAX)]) {
                for option in (0..100).chain([u64::from(u32::MAX)]) {
                    for (name, refused) in [("setsockopt", &SET[..]), ("getsockopt", &GOT)] {
                        let expected = if refused.contains(&(level, option)) { libc::EPERM } else { ALLOWED };
                        let call = call(arch, name, [3, level, option]);
                        assert_eq!(
                            answer(&program, &call),
                            expected,
                            "{name} {level} {option} on {arch}, {isolation:?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn foreign_abis_are_refused() {
    const I386: u32 = 0x4000_0003;
    const ARM: u32 = 0x4000_0028;
    const X32_BIT: u32 = 0x4000_0000;
    for arch in BOTH {
        let program = program(arch);
        assert!(arch.highest_number() < X32_BIT);
        for number in 0..1024 {
            for foreign in [I386, ARM, 0, !arch.audit_word()] {
                let call = Call { number, arch: foreign, ..Call::default() };
                assert_eq!(answer(&program, &call), libc::EPERM);
            }
            let x32 = Call { number: number | X32_BIT, arch: arch.audit_word(), ..Call::default() };
            assert_eq!(answer(&program, &x32), libc::ENOSYS);
        }
    }
}

#[test]
fn calls_newer_than_the_table_are_unknown() {
    for arch in BOTH {
        let program = program(arch);
        for number in arch.highest_number() + 1..1024 {
            let call = Call { number, arch: arch.audit_word(), ..Call::default() };
            assert_eq!(answer(&program, &call), libc::ENOSYS, "{number}");
        }
    }
}

/// Installing costs time for every instruction, on the way of every session. Run with
/// `--nocapture` to read the sizes and what is refused.
#[test]
fn programs_stay_small() {
    for arch in BOTH {
        let program = program(arch);
        let refused: Vec<_> = (0..=arch.highest_number())
            .filter_map(|number| {
                let call = Call { number, arch: arch.audit_word(), ..Call::default() };
                let errno = answer(&program, &call);
                let name = name(arch, number).filter(|_| errno != ALLOWED)?;
                Some(format!("{name}:{errno}"))
            })
            .collect();
        let instructions = program.instructions.len();
        println!("{arch}: {instructions} instructions; refused with zero arguments:");
        println!("{}", refused.join(" "));
        assert!(instructions < 150, "{arch} has {instructions} instructions");
    }
}
