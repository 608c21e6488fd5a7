//! Locks on open files (fcntl(2), flock(2)): they are not memory, and those of a process go when it closes any descriptor of their file.

use std::fmt::{self, Display};
use std::fs;
use std::io;
use std::os::fd::RawFd;

use rustix::fs::{FlockOperation, flock};

use crate::sys::inside;

/// One that is held.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lock {
    /// Of the descriptor that it was taken by.
    number: RawFd,
    kind: Kind,
    is_exclusive: bool,
    /// Device and inode.
    file: String,
    start: i64,
    /// 0 up to the end of the file, however long that becomes.
    length: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A process's, of some bytes.
    Process,
    /// An open file's, of some bytes.
    OpenFile,
    /// An open file's, of flock(2).
    Whole,
}

/// Those that were taken by these descriptors.
pub(super) fn held(numbers: &[RawFd]) -> io::Result<Vec<Lock>> {
    let mut locks: Vec<Lock> = Vec::new();
    for number in numbers {
        let text = fs::read_to_string(format!("/proc/self/fdinfo/{number}"))?;
        for lock in text.lines().filter_map(|line| parse(*number, line.strip_prefix("lock:")?)) {
            if !locks.iter().any(|other| lock.is_the_same_as(other)) {
                locks.push(lock);
            }
        }
    }
    Ok(locks)
}

/// `1: POSIX ADVISORY WRITE 359 00:13:11691 0 EOF` (proc_locks(5)); none of what is no lock.
fn parse(number: RawFd, text: &str) -> Option<Lock> {
    let mut fields = text.split_whitespace().skip(1);
    let kind = match fields.next()? {
        "POSIX" => Kind::Process,
        "OFDLCK" => Kind::OpenFile,
        "FLOCK" => Kind::Whole,
        _ => return None,
    };
    let (_advisory, access, _pid, file) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let start: i64 = fields.next()?.parse().ok()?;
    // The last byte of it.
    let length = match fields.next()? {
        "EOF" => 0,
        last => last.parse::<i64>().ok()?.checked_sub(start)?.checked_add(1)?,
    };
    Some(Lock { number, kind, is_exclusive: access == "WRITE", file: file.to_owned(), start, length })
}

impl Lock {
    /// Whether it goes when its process closes another descriptor of that file.
    pub(super) fn is_lost_easily(&self) -> bool {
        self.kind == Kind::Process
    }

    /// Whether it is this one by another number of one open file: only that can have it twice.
    fn is_the_same_as(&self, other: &Self) -> bool {
        let alike =
            (self.kind, &self.file, self.start, self.length) == (other.kind, &other.file, other.start, other.length);
        alike && self.kind != Kind::Process && self.is_exclusive && other.is_exclusive
    }

    /// Takes it by that descriptor, or fails at once.
    pub(super) fn take(&self) -> io::Result<()> {
        let Self { number, kind, is_exclusive, start, length, .. } = *self;
        match kind {
            Kind::Whole if is_exclusive => {
                Ok(flock(inside::borrowed(number), FlockOperation::NonBlockingLockExclusive)?)
            }
            Kind::Whole => Ok(flock(inside::borrowed(number), FlockOperation::NonBlockingLockShared)?),
            Kind::Process | Kind::OpenFile => {
                inside::lock_bytes(number, kind == Kind::OpenFile, is_exclusive, (start, length))
            }
        }
    }
}

impl Display for Lock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the lock on the file that is open on descriptor {}", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_read_as_the_kernel_writes_them() {
        let lock = |kind, is_exclusive, start, length| Lock {
            number: 5,
            kind,
            is_exclusive,
            file: "00:13:11691".to_owned(),
            start,
            length,
        };
        for (text, expected) in [
            ("\t1: POSIX  ADVISORY  WRITE 359 00:13:11691 0 EOF", Some(lock(Kind::Process, true, 0, 0))),
            ("\t2: POSIX  ADVISORY  READ  359 00:13:11691 100 109", Some(lock(Kind::Process, false, 100, 10))),
            ("\t1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF", Some(lock(Kind::Whole, true, 0, 0))),
            ("\t1: OFDLCK ADVISORY  READ  -1 00:13:11691 5 5", Some(lock(Kind::OpenFile, false, 5, 1))),
            ("\t1: LEASE  ACTIVE    READ  359 00:13:11691 0 EOF", None),
            ("\t1: POSIX  ADVISORY  WRITE 359 00:13:11691 9 -9223372036854775808", None),
            ("", None),
        ] {
            assert_eq!(parse(5, text), expected, "{text}");
        }
    }
}
