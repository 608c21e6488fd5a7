//! Becoming what an image says: the work was worked out by the server; it is looked here whether this process is still the one that it
//! is for, and what nobody else can open is opened.
//!
//! Everything is looked at first. Then there is no way back: whatever goes wrong ends the process.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags, open};

use crate::checkpoint::{Head, Identity, WantedFile, elsewhere, mapped_pages};
use crate::sys::inside;
use crate::sys::suspension::{Arena, code_address, thread_pointer};
use crate::wire::LAYOUT_HAS_CHANGED;

/// What an image is loaded with.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) work: File,
    /// The pages of the image.
    pub(super) image: OwnedFd,
    pub(super) base: OwnedFd,
    /// Other images, by their numbers.
    pub(super) shown: Vec<OwnedFd>,
    /// See [`Place`](crate::checkpoint::Place).
    pub(super) numbers: u64,
}

/// Has this process become what the image says, where `told` is what it hears then.
///
/// Returns only where that is not possible.
pub(super) fn become_image(given: Given, told: u64) -> io::Error {
    match try_become(given, told) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn try_become(Given { work, image, base, shown, numbers }: Given, told: u64) -> io::Result<std::convert::Infallible> {
    let head = Head::read(&work)?;
    if head.thread_pointer != thread_pointer() {
        return Err(io::Error::other(elsewhere("its thread's memory lies")));
    }
    if head.numbers != numbers {
        return Err(io::Error::other(elsewhere("the descriptors that it is talked to by are")));
    }
    let files = head.wanted_files(&work)?.into_iter().map(open_file).collect::<io::Result<Vec<_>>>()?;
    let descriptors: Vec<OwnedFd> = [image, base].into_iter().chain(shown).chain(files).collect();
    if head.descriptors.count != descriptors.len() as u64 {
        return Err(io::Error::other("the work that it was given wants other files"));
    }
    let mut raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    // All of the memory that this takes is there. What has come since it was looked at is in no step.
    if mapped_pages("/proc/self/statm")? != head.pages {
        return Err(io::Error::other(LAYOUT_HAS_CHANGED));
    }
    let arena = Arena::map(work.as_fd(), work.metadata()?.len(), &head)?;
    if arena.touches(code_address()) {
        return Err(io::Error::other(elsewhere("the code of its session lies")));
    }
    // Until those of the image are there to take them.
    inside::block_signals(u64::MAX)?;
    drop(work);
    // The work closes them.
    for (raw, descriptor) in raw.iter_mut().zip(descriptors) {
        *raw = descriptor.into_raw_fd();
    }
    // SAFETY: what the work does was looked at here and where it was made: nothing of it is the arena's, the kernel's or code of this
    // library, which both processes have from the nest.
    unsafe { arena.become_image(&raw, told) }
}

fn open_file(WantedFile { path, identity }: WantedFile) -> io::Result<OwnedFd> {
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("{} is mapped: {error}", String::from_utf8_lossy(&path)))
    };
    let name = CString::new(path.as_slice())?;
    let file = open(name.as_c_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let file = file.map_err(|error| named(error.into()))?;
    if Identity::of(&file)? != identity {
        return Err(named(io::Error::other("a copy of it is another file")));
    }
    Ok(file)
}
