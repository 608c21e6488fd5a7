//! Standing still so that an image can be taken, and becoming what an image says: registers, and memory from beneath the
//! feet of whoever runs.
#![expect(clippy::cast_possible_truncation, reason = "an address is 64 bits wide, as `sys` asserts")]

use std::arch::{asm, global_asm};
use std::ffi::c_void;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;

use super::VECTOR_MAX;

/// What a process that goes on is told.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GoesOn {
    /// 0 in the one that stood still; in one that has become what it was, what [`become_image`] was given.
    pub(crate) told: u64,
    /// Where the memory that the latter was made from is, and nobody's any more.
    pub(crate) arena: u64,
}

/// Done with the memory of a process, by the kernel alone.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) call: u64,
    pub(crate) arguments: [u64; 6],
}

/// Behind the address of a step that is brk(2), which takes no other argument and fails without a word: that it must not fail.
pub(crate) const HAS_TO_BE: u64 = 1;

/// Addresses from one to another.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// What is done to become an image.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    /// Where no page of this process's own may be left, in order: what shows there then is what the mappings show.
    pub(crate) cleared: &'a [Span],
    /// After that, one after the other.
    pub(crate) steps: &'a [Step],
    /// Then these are read from the image, from the places beside them.
    pub(crate) filled: &'a [(Span, u64)],
    pub(crate) image: RawFd,
    /// Then these.
    pub(crate) last_steps: &'a [Step],
    /// Where the process of the image stood still.
    pub(crate) stack: u64,
    /// What it hears.
    pub(crate) told: u64,
}

/// `struct iovec`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Piece {
    start: u64,
    length: u64,
}

/// Memory that is filled, and from where.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Fill {
    span: Span,
    place: u64,
}

/// Where in an arena some are, and how many.
#[repr(C)]
#[derive(Debug)]
struct Table<T> {
    first: *const T,
    count: usize,
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Table<T> {}

/// The beginning of an arena. Behind it are the tables, and at its end the stack.
#[repr(C)]
struct ArenaHead {
    bytes: u64,
    cleared: Table<Span>,
    steps: Table<Step>,
    filled: Table<Fill>,
    last_steps: Table<Step>,
    image: u64,
    stack: u64,
    told: u64,
    /// What is read at once.
    pieces: [Piece; VECTOR_MAX],
}

/// Enough for one function that calls none but the kernel, and for what a build for debugging adds to that.
const STACK_BYTES: usize = 256 * 1024;

/// The exit status of a process that could not become an image, after which it is neither.
const BROKEN_STATUS: u64 = 72;

const PREADV: u64 = libc::SYS_preadv.cast_unsigned();
const BRK: u64 = libc::SYS_brk.cast_unsigned();
const MADVISE: u64 = libc::SYS_madvise.cast_unsigned();
const EXIT_GROUP: u64 = libc::SYS_exit_group.cast_unsigned();
const NO_MEMORY: i64 = 12;
const DONTNEED: u64 = libc::MADV_DONTNEED.cast_unsigned() as u64;

// What a function has to leave as it found it goes on the stack, with how floating point is rounded, and the stack's place to
// whoever is called; whoever comes back to that place finds all of it. Returns once in each process.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".p2align 4",
    ".type eggbox_stand_still, @function",
    "eggbox_stand_still:",
    "push rbp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "sub rsp, 8",
    "stmxcsr [rsp]",
    "fnstcw [rsp + 4]",
    "mov rax, rdi",
    "mov rdi, rsi",
    "mov rsi, rsp",
    "call rax",
    "xor eax, eax",
    "xor edx, edx",
    "2:",
    "ldmxcsr [rsp]",
    "fldcw [rsp + 4]",
    "add rsp, 8",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "ret",
    ".size eggbox_stand_still, . - eggbox_stand_still",
    // (stack, told, arena): goes on where that one stood still.
    ".p2align 4",
    ".type eggbox_go_on, @function",
    "eggbox_go_on:",
    "mov rsp, rdi",
    "mov rax, rsi",
    "jmp 2b",
    ".size eggbox_go_on, . - eggbox_go_on",
    // (stack, argument, function): calls it there.
    ".p2align 4",
    ".type eggbox_call_on, @function",
    "eggbox_call_on:",
    "mov rsp, rdi",
    "mov rdi, rsi",
    "xor ebp, ebp",
    "call rdx",
    "ud2",
    ".size eggbox_call_on, . - eggbox_call_on",
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".p2align 4",
    ".type eggbox_stand_still, %function",
    "eggbox_stand_still:",
    "sub sp, sp, #176",
    "stp x19, x20, [sp]",
    "stp x21, x22, [sp, #16]",
    "stp x23, x24, [sp, #32]",
    "stp x25, x26, [sp, #48]",
    "stp x27, x28, [sp, #64]",
    "stp x29, x30, [sp, #80]",
    "stp d8, d9, [sp, #96]",
    "stp d10, d11, [sp, #112]",
    "stp d12, d13, [sp, #128]",
    "stp d14, d15, [sp, #144]",
    "mrs x9, fpcr",
    "str x9, [sp, #160]",
    "mov x9, x0",
    "mov x0, x1",
    "mov x1, sp",
    "blr x9",
    "mov x0, xzr",
    "mov x1, xzr",
    "2:",
    "ldr x9, [sp, #160]",
    "msr fpcr, x9",
    "ldp x19, x20, [sp]",
    "ldp x21, x22, [sp, #16]",
    "ldp x23, x24, [sp, #32]",
    "ldp x25, x26, [sp, #48]",
    "ldp x27, x28, [sp, #64]",
    "ldp x29, x30, [sp, #80]",
    "ldp d8, d9, [sp, #96]",
    "ldp d10, d11, [sp, #112]",
    "ldp d12, d13, [sp, #128]",
    "ldp d14, d15, [sp, #144]",
    "add sp, sp, #176",
    "ret",
    ".size eggbox_stand_still, . - eggbox_stand_still",
    ".p2align 4",
    ".type eggbox_go_on, %function",
    "eggbox_go_on:",
    "mov sp, x0",
    "mov x0, x1",
    "mov x1, x2",
    "b 2b",
    ".size eggbox_go_on, . - eggbox_go_on",
    ".p2align 4",
    ".type eggbox_call_on, %function",
    "eggbox_call_on:",
    "mov sp, x0",
    "mov x0, x1",
    "mov x29, xzr",
    "blr x2",
    "brk #0",
    ".size eggbox_call_on, . - eggbox_call_on",
);

unsafe extern "C" {
    fn eggbox_stand_still(call: unsafe extern "C" fn(*mut c_void, u64), during: *mut c_void) -> GoesOn;
    fn eggbox_go_on(stack: u64, told: u64, arena: u64) -> !;
    fn eggbox_call_on(stack: u64, arena: *mut ArenaHead, function: unsafe extern "C" fn(*mut ArenaHead) -> !) -> !;
}

/// What is done while a process stands still.
struct During<'a>(&'a mut dyn FnMut(u64));

/// Calls `during` with the place of the saved registers, and goes on when it returns; so does every process that becomes an
/// image of this one which was taken meanwhile, but from here, without that.
pub(crate) fn stand_still(mut during: impl FnMut(u64)) -> GoesOn {
    unsafe extern "C" fn call(during: *mut c_void, stack: u64) {
        // SAFETY: it is the one below, which lives until this returns.
        unsafe { ((*during.cast::<During<'_>>()).0)(stack) }
    }
    let mut during = During(&mut during);
    // SAFETY: it calls the function with what it is given, and returns once, with every register as it was that a function may
    // not change. In a process that has become an image, memory is as it was too.
    unsafe { eggbox_stand_still(call, (&raw mut during).cast()) }
}

/// Memory of this process that has the steps to become an image, and a stack to do them on.
#[derive(Debug)]
pub(crate) struct Arena {
    start: usize,
    bytes: usize,
}

impl Work<'_> {
    /// How many bytes an arena for it has.
    pub(crate) fn arena_bytes(&self) -> usize {
        let page = rustix::param::page_size();
        let steps = size_of_val(self.steps) + size_of_val(self.last_steps);
        let tables = size_of_val(self.cleared) + steps + self.filled.len() * size_of::<Fill>();
        (size_of::<ArenaHead>() + tables).next_multiple_of(page) + STACK_BYTES
    }
}

impl Arena {
    /// At an address where there is nothing.
    ///
    /// # Errors
    /// Where there is something.
    pub(crate) fn map(start: u64, bytes: usize) -> io::Result<Self> {
        let start = usize::try_from(start).map_err(io::Error::other)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping where there is none.
        let mapped = unsafe { libc::mmap(ptr::with_exposed_provenance_mut(start), bytes, protection, flags, -1, 0) };
        if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Self { start, bytes }) }
    }

    /// Does the work, and goes on where the process of the image stood still. Where a step fails, this process ends.
    ///
    /// # Safety
    /// The arena has as many bytes as the work says. The work leaves the arena, this library's code and the kernel's own mappings
    /// as they are, and has at `stack` a process that stood still in a fork of the same process as this one.
    pub(crate) unsafe fn become_image(self, work: &Work<'_>) -> ! {
        let Self { start, bytes } = self;
        let head: *mut ArenaHead = ptr::with_exposed_provenance_mut(start);
        // SAFETY: the arena is so long, and nobody else's; what is not written to is zero, which is as good as anything there.
        unsafe {
            (*head).bytes = bytes as u64;
            (*head).image = u64::from(work.image.cast_unsigned());
            (*head).stack = work.stack;
            (*head).told = work.told;
            let mut end: *mut u8 = head.add(1).cast();
            (*head).cleared = lay_out(&mut end, work.cleared.iter().copied());
            (*head).steps = lay_out(&mut end, work.steps.iter().copied());
            (*head).last_steps = lay_out(&mut end, work.last_steps.iter().copied());
            let filled = work.filled.iter().map(|&(span, place)| Fill { span, place });
            (*head).filled = lay_out(&mut end, filled);
            eggbox_call_on((start + bytes) as u64, head, do_work)
        }
    }
}

/// Puts them at `end`, which moves behind them.
///
/// # Safety
/// There is room for them, aligned as a `u64` is.
unsafe fn lay_out<T>(end: &mut *mut u8, items: impl Iterator<Item = T>) -> Table<T> {
    let first: *mut T = end.cast();
    let mut count = 0;
    for item in items {
        // SAFETY: by contract.
        unsafe { first.add(count).write(item) };
        count += 1;
    }
    // SAFETY: by contract.
    *end = unsafe { first.add(count) }.cast();
    Table { first, count }
}

/// On a stack in the arena, with nothing but the kernel's help, and without touching any other memory: what is cleared stays so.
unsafe extern "C" fn do_work(head: *mut ArenaHead) -> ! {
    // SAFETY: the head and what it says is behind it are there, as `become_image` has written them.
    unsafe {
        clear((*head).cleared);
        do_steps((*head).steps);
        fill(head);
        do_steps((*head).last_steps);
        eggbox_go_on((*head).stack, (*head).told, head as u64)
    }
}

/// # Safety
/// As for `do_work`.
#[inline(always)]
unsafe fn do_steps(Table { first, count }: Table<Step>) {
    let mut index = 0;
    while index < count {
        // SAFETY: by contract.
        unsafe {
            let Step { call, arguments } = *first.add(index);
            let result = kernel(call, arguments);
            let is_elsewhere = call == BRK && arguments[1] == HAS_TO_BE && result.cast_unsigned() != arguments[0];
            if result < 0 || is_elsewhere {
                give_up();
            }
        }
        index += 1;
    }
}

/// Reads the pages of the image into their places.
///
/// # Safety
/// As for `do_work`.
#[inline(always)]
unsafe fn fill(head: *mut ArenaHead) {
    // SAFETY: by contract.
    unsafe {
        let Table { first, count } = (*head).filled;
        let pieces: *mut Piece = (&raw mut (*head).pieces).cast();
        // How much of the next one is there already.
        let (mut next, mut done) = (0, 0);
        while next < count {
            let start = (*first.add(next)).place + done;
            let (mut taken, mut end) = (0, start);
            // As many as lie one after the other in the image.
            while next + taken < count && taken < VECTOR_MAX {
                let Fill { span, place } = *first.add(next + taken);
                let skipped = if taken == 0 { done } else { 0 };
                if place + skipped != end {
                    break;
                }
                let length = span.end - span.start - skipped;
                pieces.add(taken).write(Piece { start: span.start + skipped, length });
                end += length;
                taken += 1;
            }
            let read = kernel(PREADV, [(*head).image, pieces as u64, taken as u64, start, 0, 0]);
            if read <= 0 {
                give_up();
            }
            let mut read = read.cast_unsigned();
            // A file is read in portions of the kernel's choice.
            while read > 0 {
                let Span { start, end } = (*first.add(next)).span;
                let left = end - start - done;
                if read < left {
                    done += read;
                    break;
                }
                read -= left;
                done = 0;
                next += 1;
            }
        }
    }
}

/// Has the pages go that are the process's own, where none is to be left.
///
/// # Safety
/// As for `do_work`.
#[inline(always)]
unsafe fn clear(Table { first, count }: Table<Span>) {
    let mut index = 0;
    while index < count {
        // SAFETY: by contract.
        unsafe {
            let Span { start, end } = *first.add(index);
            let result = kernel(MADVISE, [start, end - start, DONTNEED, 0, 0, 0]);
            // Where part of it is not mapped yet, what is was cleared (madvise(2), ENOMEM).
            if result < 0 && result != -NO_MEMORY {
                give_up();
            }
        }
        index += 1;
    }
}

/// It is neither what it was nor what it was to be.
#[inline(always)]
fn give_up() {
    // SAFETY: takes no pointers.
    unsafe {
        kernel(EXIT_GROUP, [BROKEN_STATUS, 0, 0, 0, 0, 0]);
    }
}

/// Gives the memory back that this process was made from.
pub(crate) fn leave_arena(GoesOn { arena, .. }: GoesOn) {
    let head: *const ArenaHead = ptr::with_exposed_provenance(arena as usize);
    // SAFETY: `do_work` has handed it over, and nothing is left in it that anybody uses.
    unsafe {
        let bytes = (*head).bytes as usize;
        libc::munmap(head.cast_mut().cast(), bytes);
    }
}

/// A system call, without the C library, whose memory may be under way.
#[inline(always)]
unsafe fn kernel(call: u64, arguments: [u64; 6]) -> i64 {
    let [a, b, c, d, e, f] = arguments;
    let result: i64;
    // SAFETY: by contract of whoever made the step.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") call => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!(
            "svc #0",
            in("x8") call,
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack)
        );
    }
    result
}

/// Has the memory from `start` to `end` come from a file which has the same in it at `place`, privately; whether it does. It is as it
/// was where it does not. Writes to no memory.
pub(crate) fn show(start: u64, end: u64, file: BorrowedFd<'_>, place: u64, protection: u64) -> bool {
    let (file, length) = (file.as_raw_fd(), (end - start) as usize);
    let (protection, place) = (protection as libc::c_int, place.cast_signed());
    // Elsewhere first: what is in its way is given up only when it is there.
    // SAFETY: a new mapping at an address of the kernel's choice.
    let shown = unsafe { libc::mmap(ptr::null_mut(), length, protection, libc::MAP_PRIVATE, file, place) };
    if shown == libc::MAP_FAILED {
        return false;
    }
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    let target: *mut c_void = ptr::with_exposed_provenance_mut(start as usize);
    // SAFETY: to whoever reads it, what is there stays as it is; there is one thread, which is here.
    unsafe {
        if libc::mremap(shown, length, length, flags, target) == libc::MAP_FAILED {
            libc::munmap(shown, length);
            return false;
        }
    }
    true
}

/// What the memory of the thread that calls it hangs on: where the C library and the kernel find it.
pub(crate) fn thread_pointer() -> u64 {
    let pointer: u64;
    // SAFETY: it reads a register, or what it points to, which is a pointer to itself (the System V ABI's thread control block).
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!("mov {}, fs:0", out(reg) pointer, options(nostack, preserves_flags, readonly));
        #[cfg(target_arch = "aarch64")]
        asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    pointer
}

/// An address in the code that is run while memory changes.
pub(crate) fn code_address() -> u64 {
    do_work as *const () as u64
}

/// Where the heap of the C library ends; see brk(2).
pub(crate) fn program_break() -> u64 {
    // SAFETY: no change is asked for.
    unsafe { libc::sbrk(0) as u64 }
}
