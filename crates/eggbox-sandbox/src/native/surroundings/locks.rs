//! Locks on open files (fcntl(2), flock(2)): they are not memory, and those of a process go when it closes any descriptor of their file.

use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::RawFd;

use rustix::fs::{FileType, FlockOperation, StatVfsMountFlags, flock, fstat, fstatvfs};

use crate::sys::inside;

/// One that is held.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lock {
    /// Of the descriptor that it was taken by.
    number: RawFd,
    kind: Kind,
    is_exclusive: bool,
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

/// How many there may be: each is looked at, and taken twice.
const LOCKS_MAX: usize = 1000;

/// Those that were taken by these descriptors, each of another open file; or why they cannot be had elsewhere.
pub(super) fn held(numbers: &[RawFd]) -> Result<Vec<Lock>, String> {
    let mut locks: Vec<Lock> = Vec::new();
    for number in numbers {
        let failed = |error: io::Error| format!("the locks on descriptor {number} cannot be looked at: {error}");
        let mut text = BufReader::new(File::open(format!("/proc/self/fdinfo/{number}")).map_err(failed)?);
        let mut line = String::new();
        let before = locks.len();
        while text.read_line(&mut line).map_err(failed)? > 0 {
            if let Some(lock) = line.strip_prefix("lock:").and_then(|line| parse(*number, line)) {
                if locks.len() == before {
                    // They are all of one file.
                    lock.check()?;
                }
                locks.push(lock);
            }
            if locks.len() > LOCKS_MAX {
                return Err(format!("more than {LOCKS_MAX} locks are held on its files"));
            }
            line.clear();
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
    let (_advisory, access, _pid, _file) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let start: i64 = fields.next()?.parse().ok()?;
    // The last byte of it.
    let length = match fields.next()? {
        "EOF" => 0,
        last => last.parse::<i64>().ok()?.checked_sub(start)?.checked_add(1)?,
    };
    Some(Lock { number, kind, is_exclusive: access == "WRITE", start, length })
}

impl Lock {
    /// Whether it goes when its process closes another descriptor of that file.
    pub(super) fn is_lost_easily(&self) -> bool {
        self.kind == Kind::Process
    }

    /// That nobody else can have it where it is taken again: what is shown to all sessions they have together.
    fn check(&self) -> Result<(), String> {
        let file = inside::borrowed(self.number);
        let looked = fstatvfs(file).and_then(|system| Ok((system, fstat(file)?)));
        let (system, stat) = looked.map_err(|error| format!("{self} cannot be looked at: {error}"))?;
        let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
        if is_device || system.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(format!("{self} is of a file that is not the session's alone"));
        }
        Ok(())
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
        write!(formatter, "the lock on descriptor {}", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_read_as_the_kernel_writes_them() {
        let lock = |kind, is_exclusive, start, length| Lock { number: 5, kind, is_exclusive, start, length };
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
