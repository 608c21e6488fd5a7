//! Kernel calls that neither the standard library nor rustix offers in the form needed here.
//! With `native/python.rs` and `native/hooks.rs` the only unsafe code of the project; every function is safe to call as its
//! text says.

#[cfg(feature = "native")]
pub(crate) mod inside;
pub(crate) mod memory;
#[cfg(feature = "native")]
pub(crate) mod suspension;
#[cfg(feature = "native")]
pub(crate) mod twister;

use std::ffi::{CStr, c_int, c_long, c_uint, c_ulong, c_void};
use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::process::Pid;
use rustix::thread::set_thread_groups;

use crate::seccomp::Instruction;

/// Which side of a fork the caller is on.
#[derive(Debug)]
pub(crate) enum Forked {
    Child,
    Parent { child: OwnedFd, pid: Pid },
}

/// clone(2), since Linux 5.7; too wide for the type that libc gives such flags.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

fn check(result: c_long) -> io::Result<c_long> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Forks with `clone3`: `namespaces` is a set of `CLONE_NEW*`, `group` the folder of a control group of version 2 to be
/// born in. The parent receives a pidfd.
///
/// The C library is not told. That is sound for a process with one thread (the caller proves it): no lock can be
/// held, and the thread id that the C library caches stays true where parent and child are both pid 1 of their
/// own pid namespace.
pub(crate) fn clone3(namespaces: u64, group: Option<BorrowedFd<'_>>) -> io::Result<Forked> {
    let mut child: RawFd = -1;
    // SAFETY: all-zero is a valid `clone_args`; every field is an integer.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = namespaces | u64::from(libc::CLONE_PIDFD.cast_unsigned());
    arguments.pidfd = ptr::from_mut(&mut child) as u64;
    arguments.exit_signal = libc::SIGCHLD.cast_unsigned().into();
    if let Some(group) = group {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = group.as_raw_fd().unsigned_abs().into();
    }
    // SAFETY: the arguments outlive the call and have the size given. Without CLONE_VM and a stack the child goes on
    // here, on its own copy of this stack.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) })?;
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(Forked::Child) };
    // SAFETY: the kernel has just put a new descriptor there, which nobody else owns.
    let child = unsafe { OwnedFd::from_raw_fd(child) };
    Ok(Forked::Parent { child, pid })
}

/// Moves this process into new namespaces (a set of `CLONE_NEW*`).
pub(crate) fn unshare(namespaces: u64) -> io::Result<()> {
    let flags = c_int::try_from(namespaces).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: takes no pointers. The namespace flags do not split memory or descriptors from other threads.
    check(unsafe { libc::unshare(flags) }.into()).map(drop)
}

/// The first page of a file, mapped for as long as this is there. Nobody reads it.
#[derive(Debug)]
pub(crate) struct Shown(*mut c_void);

impl Shown {
    /// # Errors
    /// Where the file cannot be mapped.
    pub(crate) fn map(file: impl AsFd) -> io::Result<Self> {
        let file = file.as_fd().as_raw_fd();
        // SAFETY: a new mapping at an address of the kernel's choice.
        let mapped = unsafe { libc::mmap(ptr::null_mut(), 1, libc::PROT_READ, libc::MAP_PRIVATE, file, 0) };
        if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Self(mapped)) }
    }

    pub(crate) fn start(&self) -> u64 {
        self.0.addr() as u64
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        // SAFETY: it is mapped, and nobody else knows of it.
        unsafe { libc::munmap(self.0, 1) };
    }
}

/// Has everything lie at the same addresses from the next program on that this process becomes, as in every other start of it.
///
/// # Errors
/// Where that is refused.
pub(crate) fn fix_addresses() -> io::Result<()> {
    const ASK: u64 = 0xffff_ffff;
    // SAFETY: takes no pointers.
    let now = check(unsafe { libc::personality(ASK) }.into())?;
    let fixed = now | i64::from(libc::ADDR_NO_RANDOMIZE);
    // SAFETY: as above.
    check(unsafe { libc::personality(fixed.cast_unsigned()) }.into()).map(drop)
}

/// Ends this process at once: no destructors, no exit handlers.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: always sound.
    unsafe { libc::_exit(status) }
}

/// Takes ownership of a descriptor that this process was started with.
///
/// # Errors
/// Where the descriptor is not open.
pub(crate) fn adopt_inherited(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) }.into())?;
    // SAFETY: it is open, and each inherited descriptor is adopted at one place only.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes `number` refer to what `fd` refers to, replacing what was there; kept over exec only if `inherit`.
pub(crate) fn place_at(fd: BorrowedFd<'_>, number: RawFd, inherit: bool) -> io::Result<()> {
    let same = fd.as_raw_fd() == number;
    let flags = if inherit { 0 } else { libc::O_CLOEXEC };
    if same {
        // SAFETY: takes no pointers.
        check(unsafe { libc::fcntl(number, libc::F_SETFD, if inherit { 0 } else { libc::FD_CLOEXEC }) }.into())?;
    } else {
        // SAFETY: takes no pointers. Whoever owned `number` is gone or the caller's concern.
        check(unsafe { libc::dup3(fd.as_raw_fd(), number, flags) }.into())?;
    }
    Ok(())
}

/// Closes all descriptors from `first` to `last`, whoever owns them: for a process that has left its owners behind.
pub(crate) fn close_range(first: c_uint, last: c_uint) -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// `mount_setattr(2)` on the mount that `tree` refers to, and on those below it if `recursive`.
pub(crate) fn set_mount_attributes(tree: BorrowedFd<'_>, attributes: u64, recursive: bool) -> io::Result<()> {
    let wanted = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the structure and the empty path outlive the call; the size is the structure's.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const wanted,
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}

/// Brings an interface of the current network namespace up. `name` has at most 15 bytes.
pub(crate) fn interface_up(socket: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    // SAFETY: all-zero is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let name = name.to_bytes();
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags =
        i16::try_from(libc::IFF_UP | libc::IFF_RUNNING).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: SIOCSIFFLAGS reads an `ifreq` with its name and flags set.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }.into()).map(drop)
}

/// Gives this process a session keyring of its own, so that it holds none of its parent's.
pub(crate) fn join_new_session_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring.
    check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, ptr::null::<c_void>()) }).map(drop)
}

/// Installs a seccomp program on this thread, for good. Needs no_new_privs.
pub(crate) fn install_seccomp(program: &[Instruction]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        // The kernel only reads it; `Instruction` has the layout of `sock_filter`.
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: pointer and length describe a live slice.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) }).map(drop)
}

/// The seccomp answer `action` is one that this kernel knows.
pub(crate) fn seccomp_knows(action: u32) -> bool {
    const SECCOMP_GET_ACTION_AVAIL: c_uint = 2;
    // SAFETY: the action outlives the call.
    unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) == 0 }
}

/// The Landlock ABI of this kernel; 0 where it has none.
pub(crate) fn landlock_abi() -> u32 {
    const LANDLOCK_CREATE_RULESET_VERSION: c_uint = 1;
    // SAFETY: a null attribute with the version flag only asks.
    let abi = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<c_void>(), 0usize, LANDLOCK_CREATE_RULESET_VERSION)
    };
    u32::try_from(abi).unwrap_or(0)
}

/// The signals that end a process by default, but for those that cannot be caught, that Python or the real-time range
/// handles, or that nobody sends.
const DEADLY: [c_int; 19] = [
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGUSR1,
    libc::SIGSEGV,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGTERM,
    libc::SIGSTKFLT,
    libc::SIGXCPU,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGPWR,
    libc::SIGSYS,
];

/// Carries the default actions of signals out by hand.
///
/// The kernel spares pid 1 of a pid namespace every signal whose action is the default (pid_namespaces(7)), so that
/// `os.abort()` or an alarm would be lost. A handler stands in: it ends pid 1 with status 128 + number, as a shell
/// reports such a death. Any other process (a fork) falls back to the default action, and so does a fault of the
/// processor's own, which ends pid 1 too.
pub(crate) fn stand_in_for_default_actions() -> io::Result<()> {
    DEADLY.into_iter().try_for_each(stand_in_for)
}

/// The same for one signal, also for one that is ignored at first; one that does not end a process is left alone.
pub(crate) fn stand_in_for(number: c_int) -> io::Result<()> {
    extern "C" fn act(number: c_int, information: *mut libc::siginfo_t, _context: *mut c_void) {
        // SAFETY: getpid, _exit, signal and raise are async-signal-safe; the kernel passes the information.
        unsafe {
            // sigaction(2): positive where the kernel itself, not a process, had the reason. SIGALRM's kind is positive
            // too, but does not come back when the handler returns.
            let is_fault = matches!(number, libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL | libc::SIGTRAP)
                && (*information).si_code > 0;
            if libc::getpid() == 1 && !is_fault {
                libc::_exit(128 + number);
            }
            libc::signal(number, libc::SIG_DFL);
            // A fault happens again; everything else is sent again, and arrives when the handler has returned.
            if !is_fault {
                libc::raise(number);
            }
        }
    }
    if !DEADLY.contains(&number) && !matches!(number, libc::SIGINT | libc::SIGPIPE | libc::SIGXFSZ) {
        return Ok(());
    }
    // SAFETY: all-zero is a valid `sigaction`: nothing masked.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = act;
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: the handler is async-signal-safe and has the signature that SA_SIGINFO asks for.
    check(unsafe { libc::sigaction(number, &raw const action, ptr::null_mut()) }.into()).map(drop)
}

/// Unblocks every signal: a mask survives exec, so a nest must not keep whatever its starter had.
pub(crate) fn unblock_all_signals() -> io::Result<()> {
    // SAFETY: as in `interrupt_set`; the set outlives the call.
    let result = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}

unsafe extern "C" {
    #[link_name = "stdout"]
    static C_STDOUT: *mut libc::FILE;
    #[link_name = "stderr"]
    static C_STDERR: *mut libc::FILE;
}

/// Takes the buffers off C's stdout and stderr, so that what C code prints comes in order with everything else.
/// Only before any thread uses them.
pub(crate) fn unbuffer_c_streams() {
    // SAFETY: the C library sets both before main; a null buffer with _IONBF needs no storage.
    unsafe {
        libc::setvbuf(C_STDOUT, ptr::null_mut(), libc::_IONBF, 0);
        libc::setvbuf(C_STDERR, ptr::null_mut(), libc::_IONBF, 0);
    }
}

/// A sealed-off copy of `bytes` in memory, to be handed to another process.
pub fn memory_file(name: &CStr, bytes: &[u8]) -> io::Result<File> {
    use std::io::{Seek, Write};
    let file = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(file);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

/// Has this thread reach files as uid and gid `id`, until it ends: what it makes is theirs, what is closed to them is closed
/// to it, and root's power over files is gone. Other threads stay what they are, but the process leaves no core dump from then
/// on (PR_SET_DUMPABLE(2const)).
///
/// # Errors
/// Where this process may not do that; the thread must not be used then.
pub fn reach_files_as(id: u32) -> io::Result<()> {
    set_thread_groups(&[])?;
    for call in [libc::SYS_setfsgid, libc::SYS_setfsuid] {
        // SAFETY: takes no pointers. The calls themselves are of one thread; the C library does not spread them.
        let now = unsafe {
            libc::syscall(call, id);
            // setfsuid(2): it fails without a word, and answers with the id before. No id at all only asks.
            libc::syscall(call, u32::MAX)
        };
        if now != c_long::from(id) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("cannot reach files as uid {id}")));
        }
    }
    Ok(())
}

const _: () = assert!(size_of::<Instruction>() == size_of::<libc::sock_filter>());
const _: () =
    assert!(size_of::<c_ulong>() == size_of::<u64>(), "the kernel interface used here is that of 64-bit Linux");
