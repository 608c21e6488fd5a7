//! Calls that only the native library makes, in the nest or inside a session.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
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

/// Whether this process can have another page of memory.
pub(crate) fn may_have_more_memory() -> bool {
    let length = rustix::param::page_size();
    // SAFETY: a new anonymous mapping at an address of the kernel's choice, which nobody else knows of, is taken away
    // again.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let page = libc::mmap(ptr::null_mut(), length, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        page != libc::MAP_FAILED && libc::munmap(page, length) == 0
    }
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
