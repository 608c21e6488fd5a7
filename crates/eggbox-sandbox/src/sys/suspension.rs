//! Standing still so that an image can be taken, and becoming what an image says: registers, and memory from beneath the
//! feet of whoever runs.
#![expect(clippy::cast_possible_truncation, reason = "an address is 64 bits wide, as `sys` asserts")]

use std::arch::{asm, global_asm};
use std::ffi::c_void;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;

use crate::checkpoint::{Batch, HAS_TO_BE, HEAD_BYTES, Head, IMAGE, NO_ARRIVAL, Piece, Span, Step, Table};

/// What a process that goes on is told.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GoesOn {
    /// 0 in the one that stood still; in one that has become what it was, what [`become_image`] was given.
    pub(crate) told: u64,
    /// Where the memory that the latter was made from is, and nobody's any more.
    pub(crate) arena: u64,
}

/// The exit status of a process that could not become an image, after which it is neither.
const BROKEN_STATUS: u64 = 72;

const PREADV: u64 = libc::SYS_preadv.cast_unsigned();
const READ: u64 = libc::SYS_read.cast_unsigned();
const WORD: u64 = size_of::<u64>() as u64;
const CLOSE: u64 = libc::SYS_close.cast_unsigned();
const MMAP: u64 = libc::SYS_mmap.cast_unsigned();
const ANONYMOUS: u64 = libc::MAP_ANONYMOUS.cast_unsigned() as u64;
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
    fn eggbox_call_on(stack: u64, arena: *mut Head, function: unsafe extern "C" fn(*mut Head) -> !) -> !;
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

/// Memory of this process that has the work to become an image, and a stack to do it on.
#[derive(Debug)]
pub(crate) struct Arena {
    head: *mut Head,
    bytes: usize,
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: nobody else knows of it.
        unsafe { libc::munmap(self.head.cast(), self.bytes) };
    }
}

impl Arena {
    /// That of a file with a work, whose head says so, at an address where there is nothing.
    ///
    /// # Errors
    /// Where there is something, or the head says what cannot be.
    pub(crate) fn map(file: BorrowedFd<'_>, file_bytes: u64, head: &Head) -> io::Result<Self> {
        let page = rustix::param::page_size() as u64;
        let is_whole = head.file_bytes == file_bytes && file_bytes >= HEAD_BYTES as u64 && head.bytes > file_bytes;
        if !is_whole || !file_bytes.is_multiple_of(page) || !head.tables_are_within() {
            return Err(io::Error::other("the work that it was given is of no known form"));
        }
        let (start, file_bytes) = (head.start as usize, file_bytes as usize);
        let stack = (start + file_bytes, head.bytes as usize - file_bytes, libc::MAP_ANONYMOUS, -1);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let mut arena = Self { head: ptr::with_exposed_provenance_mut(start), bytes: 0 };
        for (start, bytes, flags, file) in [(start, file_bytes, 0, file.as_raw_fd()), stack] {
            let flags = libc::MAP_PRIVATE | libc::MAP_FIXED_NOREPLACE | flags;
            let at = ptr::with_exposed_provenance_mut(start);
            // SAFETY: a new mapping where there is none.
            if unsafe { libc::mmap(at, bytes, protection, flags, file, 0) } == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            arena.bytes += bytes;
        }
        Ok(arena)
    }

    /// Whether the work changes what is at this address, other than giving back what this process has written there.
    pub(crate) fn touches(&self, address: u64) -> bool {
        // SAFETY: the tables are within the arena, which nobody changes.
        let (steps, last_steps, pieces) = unsafe {
            let head = &*self.head;
            (self.items::<Step>(head.steps), self.items::<Step>(head.last_steps), self.items::<Piece>(head.pieces))
        };
        let has = |start: u64, bytes: u64| (start..start.saturating_add(bytes)).contains(&address);
        let is_step = |step: &Step| step.call != BRK && has(step.arguments[0], step.arguments[1]);
        steps.iter().chain(last_steps).any(is_step) || pieces.iter().any(|piece| has(piece.start, piece.bytes))
    }

    /// # Safety
    /// The table is within the arena, of such items, and nobody changes it.
    unsafe fn items<T>(&self, table: Table) -> &[T] {
        // SAFETY: by contract; everything there is of words, and aligned as they are.
        unsafe { std::slice::from_raw_parts(at(self.head, table), table.count as usize) }
    }

    /// Does the work with those descriptors, in their order, and goes on where the process of the image stood still, which hears what
    /// is `told`. Where a step fails, this process ends. It may have pages of its own that it had not when it was looked at only where it
    /// `has_written`.
    ///
    /// # Safety
    /// The work leaves the arena, this library's code and the kernel's own mappings as they are, and its stack has a process that stood
    /// still in a fork of the same process as this one. There are as many descriptors as the work wants, and nobody else has them.
    pub(crate) unsafe fn become_image(self, descriptors: &[RawFd], has_written: bool, told: u64) -> ! {
        let (head, bytes) = (self.head, self.bytes);
        std::mem::forget(self);
        // SAFETY: the tables are within the arena, and nobody else's.
        unsafe {
            (*head).told = told;
            if has_written {
                (*head).written = (*head).cleared;
            }
            let numbers: *mut u64 = at(head, (*head).descriptors);
            for (index, descriptor) in descriptors.iter().enumerate() {
                numbers.add(index).write(u64::from(descriptor.cast_unsigned()));
            }
            eggbox_call_on((head as usize + bytes) as u64, head, do_work)
        }
    }
}

/// Where a table of such items is.
///
/// # Safety
/// It is within the arena that has this head.
#[inline(always)]
unsafe fn at<T>(head: *mut Head, table: Table) -> *mut T {
    // SAFETY: by contract.
    unsafe { head.cast::<u8>().add(table.first as usize).cast() }
}

/// On a stack in the arena, with nothing but the kernel's help, and without touching any other memory: what is cleared stays so.
unsafe extern "C" fn do_work(head: *mut Head) -> ! {
    // SAFETY: the head and what it says is behind it are there, as `become_image` has been promised.
    unsafe {
        clear(head);
        do_steps(head, (*head).steps);
        fill(head);
        do_steps(head, (*head).last_steps);
        close_all(head);
        eggbox_go_on((*head).stack, (*head).told, head as u64)
    }
}

/// # Safety
/// As for `do_work`.
#[inline(always)]
unsafe fn do_steps(head: *mut Head, steps: Table) {
    // SAFETY: by contract.
    unsafe {
        let first: *const Step = at(head, steps);
        let descriptors: *const u64 = at(head, (*head).descriptors);
        let mut index = 0;
        while index < steps.count as usize {
            let Step { call, mut arguments } = *first.add(index);
            if call == MMAP && arguments[3] & ANONYMOUS == 0 {
                arguments[4] = *descriptors.add(arguments[4] as usize);
            }
            let result = kernel(call, arguments);
            let is_elsewhere = call == BRK && arguments[1] == HAS_TO_BE && result.cast_unsigned() != arguments[0];
            if result < 0 || is_elsewhere {
                give_up();
            }
            index += 1;
        }
    }
}

/// Reads pages of the image and the base into their places.
///
/// # Safety
/// As for `do_work`.
#[inline(always)]
unsafe fn fill(head: *mut Head) {
    // SAFETY: by contract.
    unsafe {
        let descriptors: *const u64 = at(head, (*head).descriptors);
        let pieces: *mut Piece = at(head, (*head).pieces);
        let batches: *const Batch = at(head, (*head).batches);
        let mut index = 0;
        // How far the image is there.
        let mut there: u64 = if (*head).arrival == NO_ARRIVAL { u64::MAX } else { 0 };
        while index < (*head).batches.count as usize {
            let Batch { file, mut place, first, mut count } = *batches.add(index);
            let is_image = file == IMAGE;
            let file = *descriptors.add(file as usize);
            let mut piece = pieces.add(first as usize);
            if is_image && there != u64::MAX {
                let (mut end, mut number) = (place, 0);
                while number < count as usize {
                    end += (*piece.add(number)).bytes;
                    number += 1;
                }
                while there < end {
                    let arrival = *descriptors.add((*head).arrival as usize);
                    // Whoever has given up copying it says nothing more.
                    if kernel(READ, [arrival, &raw mut there as u64, WORD, 0, 0, 0]) != WORD.cast_signed() {
                        give_up();
                    }
                }
            }
            while count > 0 {
                let read = kernel(PREADV, [file, piece as u64, count, place, 0, 0]);
                if read <= 0 {
                    give_up();
                }
                // A file is read in portions of the kernel's choice.
                let mut read = read.cast_unsigned();
                place += read;
                while read > 0 {
                    if read < (*piece).bytes {
                        (*piece).start += read;
                        (*piece).bytes -= read;
                        break;
                    }
                    read -= (*piece).bytes;
                    piece = piece.add(1);
                    count -= 1;
                }
            }
            index += 1;
        }
    }
}

/// Has the pages go that are the process's own, where none is to be left.
///
/// # Safety
/// As for `do_work`.
#[inline(always)]
unsafe fn clear(head: *mut Head) {
    // SAFETY: by contract.
    unsafe {
        let Table { count, .. } = (*head).written;
        let first: *const Span = at(head, (*head).written);
        let mut index = 0;
        while index < count as usize {
            let Span { start, end } = *first.add(index);
            let result = kernel(MADVISE, [start, end - start, DONTNEED, 0, 0, 0]);
            // Where part of it is not mapped yet, what is was cleared (madvise(2), ENOMEM).
            if result < 0 && result != -NO_MEMORY {
                give_up();
            }
            index += 1;
        }
    }
}

/// # Safety
/// As for `do_work`.
#[inline(always)]
unsafe fn close_all(head: *mut Head) {
    // SAFETY: by contract.
    unsafe {
        let Table { count, .. } = (*head).descriptors;
        let first: *const u64 = at(head, (*head).descriptors);
        let mut index = 0;
        while index < count as usize {
            if kernel(CLOSE, [*first.add(index), 0, 0, 0, 0, 0]) < 0 {
                give_up();
            }
            index += 1;
        }
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
    let head: *const Head = ptr::with_exposed_provenance(arena as usize);
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
