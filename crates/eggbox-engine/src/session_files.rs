//! What of a session outlives its server, in files that are in memory and have no name: how far it is, the code it was
//! given, and what the execution that runs or ran last has printed.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::fs::{MemfdFlags, Mode, SealFlags, fchmod, fcntl_add_seals, memfd_create};
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::outcome::{Execution, Outcome, Output, Usage};
use crate::session_id::SessionId;
use crate::session_limits::AskedLimits;

/// The most bytes that a record takes: one page, which is written as a whole even by a process that is being killed.
const RECORD_BYTES_MAX: usize = 4096;
/// Code longer than this is let go of when it has run; what is shorter stays until it is overwritten.
const CODE_KEPT_BYTES_MAX: u64 = 64 * 1024;

/// The files of one session.
#[derive(Debug)]
pub(crate) struct SessionFiles {
    /// The record, and after it how much of stdout and of stderr was dropped.
    record: File,
    /// The session has it open too.
    pub(crate) code: File,
    pub(crate) stdout: File,
    pub(crate) stderr: File,
    /// The size of the code's file, which is sealed.
    code_bytes_max: u64,
    /// Held while record and output do not belong together.
    changing: Mutex<()>,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Stdout,
    Stderr,
}

/// How far a session is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: SessionId,
    pub(crate) created: Moment,
    /// The same by the time of day; none of a session that a build before this one has begun.
    #[serde(default)]
    pub(crate) created_at: Option<SystemTime>,
    /// What it was to have less of than others.
    #[serde(default)]
    pub(crate) asked: AskedLimits,
    /// What its control group had counted of out-of-memory kills before it began.
    pub(crate) kills_before: u64,
    /// The number of the execution that was begun last, from 1; 0 before the first.
    pub(crate) sequence: u64,
    /// The generation of the streams that it writes to.
    pub(crate) generation: u32,
    pub(crate) phase: Phase,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    Idle { since: Moment, last: Option<Finished> },
    Running(Running),
}

/// An execution under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    pub(crate) began: Moment,
    pub(crate) code_bytes: u64,
    pub(crate) wall_max: Duration,
    pub(crate) cpu_max: Option<Duration>,
    /// CPU time that the session had used before.
    pub(crate) cpu_before: Option<Duration>,
}

/// An execution that is over. What it printed is in the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finished {
    pub(crate) outcome: Outcome,
    pub(crate) usage: Usage,
    /// Of stdout and stderr.
    pub(crate) dropped_bytes: [u64; 2],
}

/// What can be said of the execution that a session ran last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastExecution {
    /// None has been begun.
    None,
    /// It has not ended; so far it has printed this.
    Running {
        sequence: u64,
        stdout: Vec<u8>,
        stderr: Vec<u8>,
    },
    Finished {
        sequence: u64,
        execution: Execution,
    },
}

impl Record {
    /// Whether an execution is under way.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running(_))
    }

    /// Since when nobody has used it.
    pub(crate) fn idle_since(&self) -> Moment {
        match self.phase {
            Phase::Idle { since, .. } => since,
            Phase::Running(_) => Moment::now(),
        }
    }
}

impl SessionFiles {
    /// Files for a session whose code is never longer than `code_bytes_max`.
    pub(crate) fn new(code_bytes_max: usize) -> io::Result<Self> {
        let file = |name| memfd_create(name, MemfdFlags::CLOEXEC).map(File::from);
        let code = memfd_create("code", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&code, code_bytes_max as u64)?;
        // A session of another user cannot open it for writing. One of the same user can: within its size, which is
        // sealed, and to nobody's harm but its own.
        fchmod(&code, Mode::RUSR | Mode::WUSR)?;
        fcntl_add_seals(&code, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok(Self {
            record: file("record")?,
            code: code.into(),
            stdout: file("stdout")?,
            stderr: file("stderr")?,
            code_bytes_max: code_bytes_max as u64,
            changing: Mutex::default(),
        })
    }

    /// In the order in which they are kept elsewhere.
    pub(crate) fn as_array(&self) -> [&File; 4] {
        [&self.record, &self.code, &self.stdout, &self.stderr]
    }

    pub(crate) fn from_array([record, code, stdout, stderr]: [OwnedFd; 4]) -> io::Result<Self> {
        let code = File::from(code);
        Ok(Self {
            record: record.into(),
            code_bytes_max: code.metadata()?.len(),
            code,
            stdout: stdout.into(),
            stderr: stderr.into(),
            changing: Mutex::default(),
        })
    }

    /// The code file as the session gets it: not to be written to.
    pub(crate) fn code_for_session(&self) -> io::Result<OwnedFd> {
        use std::os::fd::AsRawFd;
        Ok(File::open(format!("/proc/self/fd/{}", self.code.as_raw_fd()))?.into())
    }

    pub(crate) fn read_record(&self) -> io::Result<Record> {
        let mut bytes = [0; RECORD_BYTES_MAX];
        let length = self.record.read_at(&mut bytes, 0)?;
        // It is padded.
        Ok(serde_json::from_slice(bytes[..length].trim_ascii_end())?)
    }

    pub(crate) fn write_record(&self, record: &Record) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(record)?;
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(io::Error::other("a record is longer than a page"));
        }
        bytes.resize(RECORD_BYTES_MAX, b' ');
        self.record.write_all_at(&bytes, 0)
    }

    /// The longest code that has room in its file.
    pub(crate) fn code_bytes_max(&self) -> u64 {
        self.code_bytes_max
    }

    /// Empties what the execution before has printed, and writes down that another one begins.
    pub(crate) fn begin(&self, record: &Record) -> io::Result<()> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        for (file, which) in [(&self.stdout, Which::Stdout), (&self.stderr, Which::Stderr)] {
            if file.metadata()?.len() > 0 {
                file.set_len(0)?;
                self.write_dropped(which, 0)?;
            }
        }
        self.write_record(record)
    }

    pub(crate) fn write_dropped(&self, which: Which, bytes: u64) -> io::Result<()> {
        self.record.write_all_at(&bytes.to_le_bytes(), dropped_at(which))
    }

    pub(crate) fn read_dropped(&self, which: Which) -> io::Result<u64> {
        let mut bytes = [0; 8];
        let length = self.record.read_at(&mut bytes, dropped_at(which))?;
        Ok(if length == bytes.len() { u64::from_le_bytes(bytes) } else { 0 })
    }

    pub(crate) fn write_code(&self, code: &str) -> io::Result<()> {
        self.code.write_all_at(code.as_bytes(), 0)
    }

    /// Gives the memory of long code back.
    pub(crate) fn forget_code(&self, code_bytes: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        if code_bytes <= CODE_KEPT_BYTES_MAX {
            return Ok(());
        }
        Ok(fallocate(&self.code, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, code_bytes)?)
    }

    /// What its last execution came to, or has come to so far.
    pub(crate) fn last_execution(&self) -> io::Result<LastExecution> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let Record { id, sequence, phase, .. } = self.read_record()?;
        let (stdout, stderr) = (read_whole(&self.stdout)?, read_whole(&self.stderr)?);
        Ok(match phase {
            Phase::Idle { last: None, .. } => LastExecution::None,
            Phase::Running(_) => LastExecution::Running { sequence, stdout, stderr },
            Phase::Idle { last: Some(last), .. } => {
                LastExecution::Finished { sequence, execution: last.into_execution(id, stdout, stderr) }
            }
        })
    }
}

/// Where in the record's file.
fn dropped_at(which: Which) -> u64 {
    let nth: u64 = if which == Which::Stdout { 0 } else { 1 };
    RECORD_BYTES_MAX as u64 + nth * size_of::<u64>() as u64
}

impl Finished {
    pub(crate) fn into_execution(self, session: SessionId, stdout: Vec<u8>, stderr: Vec<u8>) -> Execution {
        let Self { outcome, usage, dropped_bytes: [stdout_dropped, stderr_dropped] } = self;
        Execution {
            session,
            stdout: Output { bytes: stdout, dropped_bytes: stdout_dropped },
            stderr: Output { bytes: stderr, dropped_bytes: stderr_dropped },
            outcome,
            usage,
        }
    }
}

/// The bytes of a file that only this server writes.
pub(crate) fn read_whole(file: &File) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Death, TimeLimit};

    fn record(phase: Phase) -> Record {
        Record {
            id: SessionId::unique(),
            created: Moment::now(),
            created_at: Some(SystemTime::now()),
            asked: AskedLimits::default(),
            kills_before: 0,
            sequence: 7,
            generation: 1,
            phase,
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written_whatever_was_there() {
        let files = SessionFiles::new(1024).unwrap();
        let outcome = Outcome::Died(Death::Timeout { limit: TimeLimit::Wall(Duration::from_millis(1500)) });
        let finished = Finished { outcome, usage: Usage::default(), dropped_bytes: [1, 2] };
        let running = Running {
            began: Moment::now(),
            code_bytes: 3,
            wall_max: Duration::from_secs(30),
            cpu_max: None,
            cpu_before: Some(Duration::from_nanos(1)),
        };
        for phase in [
            Phase::Idle { since: Moment::now(), last: Some(finished) },
            Phase::Running(running),
            Phase::Idle { since: Moment::now(), last: None },
        ] {
            let record = record(phase);
            files.write_record(&record).unwrap();
            assert_eq!(files.read_record().unwrap(), record);
        }
    }

    #[test]
    fn the_longest_record_fits_a_page() {
        let owner = crate::Owner::try_from(&*"x".repeat(crate::OWNER_BYTES_MAX)).ok();
        let long = SessionId::try_from("x".repeat(crate::SESSION_ID_BYTES_MAX)).unwrap().of(owner);
        let usage = Usage { wall: Duration::MAX, cpu: Some(Duration::MAX), memory_bytes_peak: Some(u64::MAX) };
        let outcome = Outcome::Gone(Death::Life { life_max: Duration::MAX });
        let finished = Finished { outcome, usage, dropped_bytes: [u64::MAX; 2] };
        let phase = Phase::Idle { since: Moment::now(), last: Some(finished) };
        let asked = AskedLimits {
            wall_max: Some(Duration::MAX),
            cpu_max: Some(Duration::MAX),
            memory_bytes_max: Some(u64::MAX),
            processes_max: Some(u32::MAX),
            output_bytes_max: Some(usize::MAX),
            idle_max: Some(Duration::MAX),
            life_max: Some(Duration::MAX),
        };
        let (sequence, kills_before, generation) = (u64::MAX, u64::MAX, u32::MAX);
        let record = Record { id: long, asked, sequence, kills_before, generation, ..record(phase) };
        SessionFiles::new(1).unwrap().write_record(&record).unwrap();
    }

    #[test]
    fn the_sessions_own_view_of_its_code_cannot_be_written_nor_the_file_resized() {
        let files = SessionFiles::new(8).unwrap();
        files.write_code("print(1)").unwrap();
        let view = File::from(files.code_for_session().unwrap());
        let mut read = [0; 8];
        view.read_exact_at(&mut read, 0).unwrap();
        assert_eq!(&read, b"print(1)");
        assert!(view.write_at(b"x", 0).is_err());
        assert!(files.code.set_len(9).is_err() && files.code.set_len(0).is_err());
    }
}
