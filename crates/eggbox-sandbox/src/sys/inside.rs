//! Calls that only the native library makes, in the nest or inside a session.

use std::ffi::OsString;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

/// The number of threads of this process, as the kernel counts them.
pub(crate) fn thread_count() -> io::Result<u64> {
    // proc(5): a directory's link count is its entries that are directories, and two.
    Ok(rustix::fs::stat("/proc/self/task")?.st_nlink as u64 - 2)
}

/// Blocks or unblocks SIGINT for the calling thread.
pub(crate) fn block_interrupt(block: bool) -> io::Result<()> {
    let how = if block { libc::SIG_BLOCK } else { libc::SIG_UNBLOCK };
    let set = interrupt_set();
    // SAFETY: the set outlives the call.
    match unsafe { libc::pthread_sigmask(how, &raw const set, ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Takes a pending SIGINT away, so that one sent to an earlier execution does not hit the next.
pub(crate) fn discard_pending_interrupt() {
    let set = interrupt_set();
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointers outlive the call; no information is asked for.
    while unsafe { libc::sigtimedwait(&raw const set, ptr::null_mut(), &raw const now) } > 0 {}
}

fn interrupt_set() -> libc::sigset_t {
    // SAFETY: an all-zero `sigset_t` is storage that sigemptyset then makes valid.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGINT);
        set
    }
}

/// Whether there are processes that descend from this one, which every orphan among them has for its parent.
pub(crate) fn has_children() -> bool {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let without_waiting = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::All, without_waiting), Err(rustix::io::Errno::CHILD))
}

/// Whether this process can have so many bytes of memory more.
pub(crate) fn may_have_more_memory(length: usize) -> bool {
    // SAFETY: a new anonymous mapping at an address of the kernel's choice, which nobody else knows of, is taken away
    // again.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let page = libc::mmap(ptr::null_mut(), length, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        page != libc::MAP_FAILED && libc::munmap(page, length) == 0
    }
}

/// What code may do with a mapping beside reading it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Protection {
    pub(crate) may_write: bool,
    pub(crate) may_execute: bool,
}

/// Copies the memory at `range`, a whole readable private mapping of this process that nobody uses meanwhile but to read,
/// into `file` at `offset`, and maps it back from there, privately, at its address. To the process nothing changes. What
/// is zero is left out of the file, which has to be so long and has holes there; that of a file is copied as it is.
///
/// # Errors
/// Where it cannot be copied or mapped; it is left as it was then.
pub(crate) fn move_into_file(
    range: std::ops::Range<usize>,
    file: &OwnedFd,
    offset: u64,
    Protection { may_write, may_execute }: Protection,
    is_of_file: bool,
) -> io::Result<()> {
    let page = rustix::param::page_size();
    // SAFETY: the page is inside a readable mapping.
    let is_zero = |at: usize| unsafe {
        let words = ptr::with_exposed_provenance::<u64>(at);
        (0..page / size_of::<u64>()).all(|index| words.add(index).read_volatile() == 0)
    };
    let mut at = range.start;
    while at < range.end {
        // Pages of a file that has become shorter cannot be looked at.
        if !is_of_file && is_zero(at) {
            at += page;
            continue;
        }
        let mut end = at + page;
        while end < range.end && (is_of_file || !is_zero(end)) {
            end += page;
        }
        while at < end {
            let place = offset + (at - range.start) as u64;
            let place = libc::off_t::try_from(place).map_err(|_| io::ErrorKind::FileTooLarge)?;
            // SAFETY: the kernel only reads that memory, and answers with an error where it cannot.
            let written = unsafe { libc::pwrite(file.as_raw_fd(), ptr::with_exposed_provenance(at), end - at, place) };
            match usize::try_from(written) {
                Ok(1..) => at += written.cast_unsigned(),
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(_) => return Err(io::Error::last_os_error()),
            }
        }
    }
    let writing = if may_write { libc::PROT_WRITE } else { 0 };
    let executing = if may_execute { libc::PROT_EXEC } else { 0 };
    let protection = libc::PROT_READ | writing | executing;
    let place = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
    // SAFETY: it takes the place of a mapping of the same extent, protection and content; between the last byte of the
    // copy and this nothing was written to it, as there is one thread, and what it runs on is not moved.
    let mapped = unsafe {
        let start = ptr::with_exposed_provenance_mut(range.start);
        libc::mmap(start, range.len(), protection, libc::MAP_PRIVATE | libc::MAP_FIXED, file.as_raw_fd(), place)
    };
    if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Writes out every buffer of C's streams.
pub(crate) fn flush_c_streams() {
    // SAFETY: a null stream means all of them; the C library locks each.
    unsafe { libc::fflush(ptr::null_mut()) };
}

/// The process that became this session, so that forks of it can be told apart.
static SESSION_PID: AtomicI32 = AtomicI32::new(0);

/// Marks the calling process as the session's own.
pub(crate) fn mark_session_process() {
    SESSION_PID.store(std::process::id().cast_signed(), Ordering::Relaxed);
}

/// Whether the calling process is the session's own: not the nest, and not a process that user code forked off.
pub(crate) fn is_session_process() -> bool {
    SESSION_PID.load(Ordering::Relaxed) == std::process::id().cast_signed()
}

/// Whether the calling thread is its process's first.
pub(crate) fn is_main_thread() -> bool {
    rustix::thread::gettid() == rustix::process::getpid()
}

/// Whether the calling process is a session or was forked off by one.
pub(crate) fn is_inside_session() -> bool {
    SESSION_PID.load(Ordering::Relaxed) != 0
}

/// Where the folder `path` (relative to `base`, or to the working directory where that is negative) really is, without
/// links; none where it does not exist.
pub(crate) fn real_path_of(base: RawFd, path: &Path) -> Option<PathBuf> {
    use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};
    // SAFETY: only asks about a descriptor number; a number that is not open is answered with EBADF.
    let base = if base < 0 { CWD } else { unsafe { BorrowedFd::borrow_raw(base) } };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat(base, path, flags, Mode::empty()).ok()?;
    let real = readlinkat(CWD, format!("/proc/self/fd/{}", folder.as_raw_fd()), Vec::new()).ok()?;
    Some(PathBuf::from(OsString::from_vec(real.into_bytes())))
}

/// A descriptor by its number.
pub(crate) fn borrowed(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: only asks about a descriptor number; a number that is not open is answered with EBADF.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// The signals that a session may have something to say about; the kernel counts from 1.
const SIGNALS: std::ops::RangeInclusive<i32> = 1..=64;
/// Of the kernel's set of signals.
const SIGNAL_SET_BYTES: usize = 8;

/// What becomes of signals.
#[derive(Debug)]
pub(crate) struct Signals {
    /// By number, as the kernel has them: handler, flags, restorer, mask.
    actions: Vec<(i32, [u64; 4])>,
    blocked: u64,
    stack: libc::stack_t,
}

// SAFETY: the pointer in it is an address, and nobody's to read.
unsafe impl Send for Signals {}

impl Signals {
    /// Those of this thread.
    pub(crate) fn read() -> io::Result<Self> {
        let mut actions = Vec::new();
        for number in SIGNALS.filter(|number| ![libc::SIGKILL, libc::SIGSTOP].contains(number)) {
            let mut action = [0_u64; 4];
            // SAFETY: the place is as long as the kernel's structure; no change is asked for.
            check(unsafe {
                libc::syscall(libc::SYS_rt_sigaction, number, ptr::null::<u64>(), action.as_mut_ptr(), SIGNAL_SET_BYTES)
            })?;
            actions.push((number, action));
        }
        // SAFETY: an all-zero one is filled in by the call.
        let mut stack: libc::stack_t = unsafe { std::mem::zeroed() };
        // SAFETY: no change is asked for; the place outlives the call.
        check(unsafe { libc::sigaltstack(ptr::null(), &raw mut stack) }.into())?;
        Ok(Self { actions, blocked: blocked_signals()?, stack })
    }

    /// Makes them those of this thread, whose memory has the handlers.
    pub(crate) fn set(&self) -> io::Result<()> {
        for (number, action) in &self.actions {
            // SAFETY: the kernel's structure, as it was read from the kernel.
            check(unsafe {
                libc::syscall(
                    libc::SYS_rt_sigaction,
                    *number,
                    action.as_ptr(),
                    ptr::null_mut::<u64>(),
                    SIGNAL_SET_BYTES,
                )
            })?;
        }
        // SAFETY: as it was read.
        check(unsafe { libc::sigaltstack(&raw const self.stack, ptr::null_mut()) }.into())?;
        block_signals(self.blocked)
    }
}

/// Those that are blocked for this thread.
pub(crate) fn blocked_signals() -> io::Result<u64> {
    let mut blocked = 0_u64;
    // SAFETY: no change is asked for; the place is as long as the set.
    check(unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, ptr::null::<u64>(), &raw mut blocked, SIGNAL_SET_BYTES)
    })?;
    Ok(blocked)
}

/// Blocks these signals, and no others; those that cannot be are not.
pub(crate) fn block_signals(signals: u64) -> io::Result<()> {
    // SAFETY: the set is the kernel's, and outlives the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const signals,
            ptr::null_mut::<u64>(),
            SIGNAL_SET_BYTES,
        )
    })
    .map(drop)
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The timers of setitimer(2).
#[derive(Debug)]
pub(crate) struct Timers([libc::itimerval; 3]);

const TIMERS: [libc::c_int; 3] = [libc::ITIMER_REAL, libc::ITIMER_VIRTUAL, libc::ITIMER_PROF];

impl Timers {
    /// Those of this process.
    pub(crate) fn read() -> io::Result<Self> {
        // SAFETY: all-zero ones are valid, and filled in below.
        let mut timers: [libc::itimerval; 3] = unsafe { std::mem::zeroed() };
        for (which, timer) in TIMERS.into_iter().zip(&mut timers) {
            // SAFETY: the place outlives the call.
            check(unsafe { libc::syscall(libc::SYS_getitimer, which, ptr::from_mut(timer)) })?;
        }
        Ok(Self(timers))
    }

    /// Starts those that ran, with as much left as they had.
    pub(crate) fn set(&self) -> io::Result<()> {
        for (which, timer) in TIMERS.into_iter().zip(&self.0) {
            if timer.it_value.tv_sec == 0 && timer.it_value.tv_usec == 0 {
                continue;
            }
            // SAFETY: as it was read.
            check(unsafe {
                libc::syscall(libc::SYS_setitimer, which, ptr::from_ref(timer), ptr::null_mut::<libc::itimerval>())
            })?;
        }
        Ok(())
    }
}

/// How this process is scheduled (sched_setscheduler(2)).
pub(crate) fn scheduling_class() -> io::Result<i32> {
    // SAFETY: asks about the caller.
    let class = check(unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) })?;
    i32::try_from(class).map_err(io::Error::other)
}

/// Has this process be scheduled so, without a priority of its own.
pub(crate) fn set_scheduling_class(class: i32) -> io::Result<()> {
    let priority = libc::sched_param { sched_priority: 0 };
    // SAFETY: the structure outlives the call.
    check(unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, class, &raw const priority) }).map(drop)
}

/// Locks so many bytes of that file from `start` on, 0 for all that follow, for the open file or else for this process; fails where
/// somebody else has them.
pub(crate) fn lock_bytes(
    number: RawFd,
    is_of_open_file: bool,
    is_exclusive: bool,
    (start, length): (i64, i64),
) -> io::Result<()> {
    // SAFETY: all-zero is a valid one.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::c_short::try_from(if is_exclusive { libc::F_WRLCK } else { libc::F_RDLCK }).unwrap_or_default();
    (lock.l_start, lock.l_len) = (start, length);
    let command = if is_of_open_file { libc::F_OFD_SETLK } else { libc::F_SETLK };
    // SAFETY: the structure outlives the call; a number that is not open is answered with EBADF.
    check(unsafe { libc::fcntl(number, command, &raw const lock) }.into()).map(drop)
}

/// Whether two descriptors have one open file. Never, as far as a kernel before Linux 6.10 says.
pub(crate) fn is_same_open_file(one: RawFd, other: RawFd) -> bool {
    // fcntl(2): F_LINUX_SPECIFIC_BASE and 3.
    const F_DUPFD_QUERY: libc::c_int = 1027;
    // SAFETY: only asks; a number that is not open is answered with EBADF.
    unsafe { libc::fcntl(one, F_DUPFD_QUERY, other) == 1 }
}

/// What calls of this one may use of the stack meanwhile.
const STACK_IN_USE_BYTES: usize = 16 << 10;

/// Gives back what of this stack, which this runs on, is below everything that is in use.
///
/// # Errors
/// Where it is not mapped.
pub(crate) fn wipe_stack(stack: std::ops::Range<usize>) -> io::Result<()> {
    let here = 0_u8;
    let in_use = (&raw const here).expose_provenance().saturating_sub(STACK_IN_USE_BYTES);
    let end = in_use - in_use % rustix::param::page_size();
    // One that is not this has nothing in use there that would be known.
    if stack.contains(&end) { wipe(stack.start..end) } else { Ok(()) }
}

/// Gives back what is in this memory, which is private and of no file: it is zero then.
///
/// # Errors
/// Where it is not mapped.
pub(crate) fn wipe(range: std::ops::Range<usize>) -> io::Result<()> {
    let start = ptr::with_exposed_provenance_mut(range.start);
    // SAFETY: whoever uses it reckons with its being wiped at any fork.
    let result = unsafe { libc::madvise(start, range.len(), libc::MADV_DONTNEED) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
