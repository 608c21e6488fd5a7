//! Memory for images that are there for a moment only: taken again and again, as a page that is there already costs a fraction of a new
//! one.

use std::fs::File;
use std::io;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

use crate::sys::memory::Window;

/// A file in memory, which this process has mapped. Whoever else is given it can only read it.
#[derive(Debug)]
pub struct ImageMemory {
    file: File,
    window: Option<Window>,
}

impl ImageMemory {
    /// # Errors
    /// Where the kernel refuses one.
    pub fn new() -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        Ok(Self { file: memfd_create(c"checkpoint", flags)?.into(), window: None })
    }

    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Nobody writes to it any more.
    ///
    /// # Errors
    /// Where the kernel refuses that.
    pub fn sealed(self) -> io::Result<File> {
        let Self { file, window } = self;
        drop(window);
        seal(&file)?;
        Ok(file)
    }

    /// So many bytes, and no others, in which there may be something.
    pub(super) fn room(&mut self, bytes: u64) -> io::Result<&mut [u8]> {
        // What is beyond was another's.
        ftruncate(&self.file, bytes)?;
        let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
        let window = match self.window.take().filter(|window| window.bytes() >= bytes) {
            Some(window) => window,
            None => Window::map(&self.file, bytes.next_power_of_two())?,
        };
        let window = self.window.insert(window);
        // SAFETY: the file is so long, and it is this one's alone: whoever else has it cannot write to it, or cut it off.
        Ok(unsafe { window.first(bytes) })
    }
}

/// Has nobody write to a file in memory any more.
///
/// # Errors
/// Where it is none.
pub(super) fn seal(file: &File) -> io::Result<()> {
    // Nobody has mapped it to write to it. `WRITE`, which looks for that, fails now and then while the kernel looks at its pages.
    let seals = SealFlags::FUTURE_WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    Ok(fcntl_add_seals(file, seals)?)
}
