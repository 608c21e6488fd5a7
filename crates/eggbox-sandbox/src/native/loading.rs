//! Becoming what an image says: the work was worked out by the server; it is looked here whether this process is still the one that it
//! is for, and what nobody else can open is opened.
//!
//! Everything is looked at first. Then there is no way back: whatever goes wrong ends the process. As the server has looked where this
//! process has pages of its own, nothing is written to here but the stack, which is replaced, and the memory that the work brings.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::checkpoint::{DESCRIPTORS_MAX, Head, Identity, elsewhere, mapped_pages};
use crate::layers::rlimits;
use crate::sys::inside;
use crate::sys::suspension::{Arena, code_address, thread_pointer};
use crate::wire::{BECOME_DESCRIPTORS, BECOME_IMAGES_MAX, LAYOUT_HAS_CHANGED};

/// Descriptors, in memory that was there before.
struct Descriptors {
    each: [RawFd; DESCRIPTORS_MAX],
    count: usize,
}

impl Descriptors {
    fn push(&mut self, descriptor: OwnedFd) -> io::Result<()> {
        let place = self.each.get_mut(self.count).ok_or(io::ErrorKind::InvalidData)?;
        *place = descriptor.into_raw_fd();
        self.count += 1;
        Ok(())
    }

    fn all(&self) -> &[RawFd] {
        self.each.get(..self.count).unwrap_or_default()
    }
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        for descriptor in self.all() {
            // SAFETY: it was given up to this, and nobody else has it.
            drop(unsafe { OwnedFd::from_raw_fd(*descriptor) });
        }
    }
}

/// Has this process become what the work says that comes next on the socket, with a number of the server's. What it becomes hears
/// that number, with `flags` beside it; `numbers` are those of the descriptors that it is talked to by.
///
/// Returns only where that is not possible: with a reason that the server is to hear, or an error where the channel is broken.
pub(super) fn become_image(requests: BorrowedFd<'_>, numbers: u64, flags: u64) -> io::Result<io::Error> {
    let mut descriptors = Descriptors { each: [-1; DESCRIPTORS_MAX], count: 0 };
    let mut number = [0; size_of::<u64>()];
    let work = receive_with_descriptors(requests, &mut number, &mut descriptors)?;
    let told = u64::from_le_bytes(number) | flags;
    // What it becomes may have the reserve already; that has its own limit put up.
    let own = match rlimits::allow_all_memory() {
        Ok(own) => own,
        Err(error) => return Ok(error),
    };
    match try_become(&work, descriptors, numbers, told) {
        Ok(never) => match never {},
        Err(error) => Ok(rlimits::allow_memory(own).err().unwrap_or(error)),
    }
}

fn try_become(
    work: &File,
    mut descriptors: Descriptors,
    numbers: u64,
    told: u64,
) -> io::Result<std::convert::Infallible> {
    let head = Head::read(work)?;
    if head.thread_pointer != thread_pointer() {
        return Err(io::Error::other(elsewhere("its thread's memory lies")));
    }
    if head.numbers != numbers {
        return Err(io::Error::other(elsewhere("the descriptors that it is talked to by are")));
    }
    let mut has_written = false;
    head.each_wanted(work, |path, identity| descriptors.push(open_file(path, identity, &mut has_written)?))?;
    if head.descriptors.count != descriptors.count as u64 {
        return Err(io::Error::other("the work that it was given wants other files"));
    }
    let statm = openat(CWD, c"/proc/self/statm", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    if mapped_pages(&statm.into())? != head.pages {
        return Err(io::Error::other(LAYOUT_HAS_CHANGED));
    }
    let bytes = rustix::fs::fstat(work)?.st_size;
    let arena = Arena::map(work.as_fd(), bytes.cast_unsigned(), &head)?;
    if arena.touches(code_address()) {
        return Err(io::Error::other(elsewhere("the code of its session lies")));
    }
    // Until those of the image are there to take them.
    inside::block_signals(u64::MAX)?;
    // What it becomes knows nothing of it.
    crate::sys::close_range(work.as_raw_fd().cast_unsigned(), work.as_raw_fd().cast_unsigned())?;
    let descriptors = std::mem::ManuallyDrop::new(descriptors);
    // SAFETY: what the work does was looked at here and where it was made: nothing of it is the arena's, the kernel's or code of this
    // library, which both processes have from the nest. It closes the descriptors.
    unsafe { arena.become_image(descriptors.all(), has_written, told) }
}

fn open_file(path: &CStr, identity: Identity, has_written: &mut bool) -> io::Result<OwnedFd> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{} is mapped: {error}", path.to_string_lossy()));
    let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let file = file.map_err(|error| named(error.into()))?;
    let is_it = match Identity::of_plain(&file)? {
        Some(plain) => plain == identity,
        None => {
            *has_written = true;
            Identity::of(&file)? == identity
        }
    };
    if is_it { Ok(file) } else { Err(named(io::Error::other("a copy of it is another file"))) }
}

/// Fills `bytes` with one message, which comes at once. Returns the first of the descriptors beside it, and has the others added.
fn receive_with_descriptors(socket: BorrowedFd<'_>, bytes: &mut [u8], others: &mut Descriptors) -> io::Result<File> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BECOME_DESCRIPTORS + BECOME_IMAGES_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [io::IoSliceMut::new(bytes)];
    let length = parts[0].len();
    let received = recvmsg(socket, &mut parts, &mut ancillary, RecvFlags::WAITALL | RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut first = None;
    for message in ancillary.drain() {
        let RecvAncillaryMessage::ScmRights(descriptors) = message else { continue };
        for descriptor in descriptors {
            match first {
                None => first = Some(File::from(descriptor)),
                Some(_) => others.push(descriptor)?,
            }
        }
    }
    first.ok_or_else(|| io::ErrorKind::InvalidData.into())
}
