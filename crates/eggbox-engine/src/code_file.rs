//! The file that a session finds its code in, in memory and without a name.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, MemfdFlags, Mode, SealFlags, fallocate, fchmod, fcntl_add_seals, memfd_create};

/// What is longer is let go of when it was read; what is shorter stays until it is overwritten.
const KEPT_BYTES_MAX: u64 = 64 * 1024;

/// The session has it open too, to read.
#[derive(Debug)]
pub(crate) struct CodeFile {
    file: File,
    /// Its size, which is sealed.
    bytes_max: u64,
}

impl CodeFile {
    pub(crate) fn new(bytes_max: usize) -> io::Result<Self> {
        let file = memfd_create("code", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&file, bytes_max as u64)?;
        // A session of another user cannot open it for writing. One of the same user can: within its size, which is
        // sealed, and to nobody's harm but its own.
        fchmod(&file, Mode::RUSR | Mode::WUSR)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok(Self { file: file.into(), bytes_max: bytes_max as u64 })
    }

    pub(crate) fn from_kept(file: OwnedFd) -> io::Result<Self> {
        let file = File::from(file);
        Ok(Self { bytes_max: file.metadata()?.len(), file })
    }

    pub(crate) fn as_kept(&self) -> &File {
        &self.file
    }

    /// As the session gets it: not to be written to.
    pub(crate) fn for_session(&self) -> io::Result<OwnedFd> {
        Ok(File::open(format!("/proc/self/fd/{}", self.file.as_raw_fd()))?.into())
    }

    /// How much has room in it.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Writes these texts one behind the other.
    pub(crate) fn write(&self, texts: &[&str]) -> io::Result<()> {
        let mut at = 0;
        for text in texts {
            self.file.write_all_at(text.as_bytes(), at)?;
            at += text.len() as u64;
        }
        Ok(())
    }

    /// Gives the memory of long texts back.
    pub(crate) fn forget(&self, bytes: u64) -> io::Result<()> {
        if bytes <= KEPT_BYTES_MAX {
            return Ok(());
        }
        Ok(fallocate(&self.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sessions_own_view_cannot_be_written_nor_the_file_resized() {
        let code = CodeFile::new(8).unwrap();
        code.write(&["print", "(1)"]).unwrap();
        let view = File::from(code.for_session().unwrap());
        let mut read = [0; 8];
        view.read_exact_at(&mut read, 0).unwrap();
        assert_eq!(&read, b"print(1)");
        assert!(view.write_at(b"x", 0).is_err());
        assert!(code.file.set_len(9).is_err() && code.file.set_len(0).is_err());
    }
}
