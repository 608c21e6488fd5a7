//! Makes a tree anew, part after part.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, SeekFrom, Timespec, Timestamps, fchmod, fstat, ftruncate, futimens, linkat, mkdirat,
    openat, seek, symlinkat, utimensat,
};
use rustix::io::Errno;

use super::numbered::Numbered;
use super::parts::{Made, Part, PartsEnd, Word};
use crate::workspace::entry::bytes;
use crate::workspace::error::{At, WorkspaceError};
use crate::workspace::folder::{Folder, open_folder, own_path};
use crate::workspace::workers::internal;

/// What file systems give room in, mostly.
pub(super) const BLOCK_BYTES: u64 = 4096;
/// What is copied at once.
pub(super) const BUFFER_BYTES: usize = 256 * 1024;

struct Begun {
    folder: OwnedFd,
    /// It was there, on the way to something that is shown, and stays as it is.
    was_there: bool,
}

/// Makes a tree.
pub(super) struct Writer {
    folder: Folder,
    /// The folders that were begun and have not ended, from the top.
    open: Vec<Begun>,
    numbered: Numbered,
    bytes: u64,
}

impl Writer {
    pub(super) fn new(folder: Folder, numbered: Numbered) -> Result<Self, WorkspaceError> {
        let top = Begun { folder: folder.open_folder("")?, was_there: true };
        Ok(Self { folder, open: vec![top], numbered, bytes: 0 })
    }

    pub(super) fn write(mut self, mut parts: PartsEnd) -> Result<u64, WorkspaceError> {
        while let Some(words) = parts.blocking_recv() {
            for word in words? {
                if let Word::Part(part) = word {
                    self.make(part)?;
                }
            }
        }
        self.end()
    }

    /// The last word of the other thread is that all is read, or why not.
    pub(super) fn end(self) -> Result<u64, WorkspaceError> {
        if self.open.len() == 1 { Ok(self.bytes) } else { Err(internal("a tree was not read to its end")) }
    }

    pub(super) fn make(&mut self, Part { name, made, mode, modified, number }: Part) -> Result<(), WorkspaceError> {
        let place = name.to_string_lossy().into_owned();
        if matches!(made, Made::FolderEnd) {
            // Only now: its mode may forbid what had to be made in it, and that has changed its time.
            if let Some(Begun { folder: done, was_there: false }) = self.open.pop() {
                fchmod(&done, mode).and_then(|()| futimens(&done, &times(modified))).at(&place)?;
            }
            return Ok(());
        }
        // What it takes beside what is in it.
        self.bytes += BLOCK_BYTES;
        let Some(Begun { folder: parent, .. }) = self.open.last() else {
            return Err(internal("a folder ended that was not begun"));
        };
        match made {
            Made::Folder => {
                let was_there = match self.numbered.with_room(|| mkdirat(parent, &*name, Mode::RWXU)) {
                    Ok(()) => false,
                    Err(Errno::EXIST) => true,
                    Err(error) => return Err(WorkspaceError::at(&place, error)),
                };
                let folder = open_folder(parent.as_fd(), &*name).at(&place)?;
                self.open.push(Begun { folder, was_there });
            }
            Made::File(file, _unread) => {
                let copy = |to: &File| copy_content(&file, to);
                let to = make_file(parent.as_fd(), &name, number, &mut self.numbered).at(&place)?;
                let content = fill_file(&to, copy, mode, modified).at(&place)?;
                self.bytes += content.next_multiple_of(BLOCK_BYTES);
            }
            Made::Content(content) => {
                let write = |to: &File| to.write_all_at(&content, 0).map(|()| content.len() as u64);
                let to = make_file(parent.as_fd(), &name, number, &mut self.numbered).at(&place)?;
                let content = fill_file(&to, write, mode, modified).at(&place)?;
                self.bytes += content.next_multiple_of(BLOCK_BYTES);
            }
            Made::Same(first) => {
                // A further name counts as a file in a file system in memory.
                let make = || make_name(&self.folder, &first, parent.as_fd(), &name);
                self.numbered.with_room(make).at(&place)?;
            }
            Made::Link(target) => {
                self.numbered.with_room(|| symlinkat(&*target, parent, &*name)).at(&place)?;
                utimensat(parent, &*name, &times(modified), AtFlags::SYMLINK_NOFOLLOW).at(&place)?;
            }
            Made::FolderEnd => {}
        }
        Ok(())
    }
}

pub(super) fn times((seconds, nanos): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// Makes a file of that name, or gives it to the one of that number, which is made already.
fn make_file(
    parent: BorrowedFd<'_>,
    name: &CString,
    number: Option<u64>,
    numbered: &mut Numbered,
) -> Result<File, Errno> {
    // Where it cannot be given the name, the file has another number.
    if let Some(made) = number.and_then(|number| numbered.take(number))
        && linkat(CWD, own_path(&made).as_c_str(), parent, &**name, AtFlags::SYMLINK_FOLLOW).is_ok()
    {
        return Ok(made);
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    numbered.with_room(|| openat(parent, &**name, flags, Mode::RUSR | Mode::WUSR)).map(File::from)
}

fn fill_file(
    to: &File,
    write: impl FnOnce(&File) -> io::Result<u64>,
    mode: Mode,
    modified: (i64, u32),
) -> io::Result<u64> {
    let bytes = write(to)?;
    fchmod(to, mode)?;
    futimens(to, &times(modified))?;
    Ok(bytes)
}

/// Copies what is in a file, and leaves its holes holes. Returns how many bytes that is.
pub(crate) fn copy_content(from: &File, to: &File) -> io::Result<u64> {
    let size = bytes(&fstat(from)?);
    let mut buffer = vec![0; BUFFER_BYTES.min(usize::try_from(size).unwrap_or(BUFFER_BYTES))];
    let (mut offset, mut copied) = (0, 0);
    while offset < size {
        let Some(start) = next(from, SeekFrom::Data(offset))? else { break };
        let end = next(from, SeekFrom::Hole(start))?.unwrap_or(size).min(size);
        offset = start;
        while offset < end {
            let wanted = usize::try_from(end - offset).unwrap_or(usize::MAX).min(buffer.len());
            let count = from.read_at(&mut buffer[..wanted], offset)?;
            if count == 0 {
                // Code has cut it meanwhile.
                ftruncate(to, size)?;
                return Ok(copied);
            }
            to.write_all_at(&buffer[..count], offset)?;
            offset += count as u64;
            copied += count as u64;
        }
    }
    ftruncate(to, size)?;
    Ok(copied)
}

fn next(file: &File, to: SeekFrom) -> io::Result<Option<u64>> {
    match seek(file, to) {
        Ok(offset) => Ok(Some(offset)),
        // lseek(2): there is no more data.
        Err(Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Gives a file that was made already another name.
fn make_name(folder: &Folder, first: &[u8], parent: BorrowedFd<'_>, name: &CString) -> Result<(), Errno> {
    // By a handle, as the kernel's own way to it would follow links.
    let first = folder.handle(first)?;
    linkat(CWD, own_path(&first).as_c_str(), parent, &**name, AtFlags::SYMLINK_FOLLOW)
}
