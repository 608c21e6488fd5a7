//! What there is to be known of a file, a folder or whatever else has a name in a workspace.

use rustix::fs::{FileType, Stat};

/// Something in a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// From the workspace on. Of names that are no UTF-8, the bytes that are wrong are U+FFFD.
    pub path: String,
    /// The path is its true one.
    pub is_exact: bool,
    pub kind: EntryKind,
    /// Of a file, or of the text of a link; 0 of others.
    pub bytes: u64,
    /// Seconds since 1970 and the part of a second in nanoseconds. Code can set it to anything.
    pub modified: (i64, u32),
    /// Differs between any two states of one file, and between files.
    pub version: Version,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    File,
    Folder,
    Link,
    /// A FIFO, a socket or a device.
    Other,
}

/// Which file it is, and when it was changed last: by the clock that code cannot set, beside the one that it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    file: u64,
    bytes: u64,
    modified: (i64, u32),
    changed: (i64, u32),
}

impl Entry {
    /// That of `path`, as it stands.
    pub(super) fn new(path: &[u8], stat: &Stat) -> Self {
        let kind = EntryKind::of(stat);
        let bytes = match kind {
            EntryKind::File | EntryKind::Link => bytes(stat),
            EntryKind::Folder | EntryKind::Other => 0,
        };
        let text = String::from_utf8_lossy(path);
        let is_exact = text.as_bytes() == path;
        Self { path: text.into_owned(), is_exact, kind, bytes, modified: modified(stat), version: Version::of(stat) }
    }
}

impl EntryKind {
    pub(super) fn of(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Folder,
            FileType::Symlink => Self::Link,
            _ => Self::Other,
        }
    }
}

pub(super) fn bytes(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// When it was modified: seconds since 1970 and nanoseconds.
pub(super) fn modified(stat: &Stat) -> (i64, u32) {
    (stat.st_mtime, nanos(stat.st_mtime_nsec))
}

fn nanos(nanos: impl TryInto<u32>) -> u32 {
    nanos.try_into().unwrap_or(0)
}

impl Version {
    fn of(stat: &Stat) -> Self {
        Self {
            file: stat.st_ino,
            bytes: bytes(stat),
            modified: modified(stat),
            changed: (stat.st_ctime, nanos(stat.st_ctime_nsec)),
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, bytes, modified, changed } = self;
        write!(formatter, "{file:x}-{bytes:x}-{:x}.{:x}-{:x}.{:x}", modified.0, modified.1, changed.0, changed.1)
    }
}
