//! The audit log: who ran what when, a JSON object a line, appended to a file. Has the digest of code, never the text, and
//! nothing of what it printed.
//!
//! A line that cannot be written stops nothing: it is counted, and the log says so, once until it works again.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use axum::extract::Request;
use eggbox_engine::{Code, Execution, SessionId, Witness};
use jiff::Timestamp;
use rustix::fs::{Mode, OFlags};
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::Error;
use crate::request_id::RequestId;
use crate::room::Taken;

/// Code that is longer is hashed off the threads that serve others.
const HASH_INLINE_BYTES_MAX: usize = 256 * 1024;

/// An open audit log.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    end: Mutex<End>,
    failures: AtomicU64,
}

/// Where the next line goes.
#[derive(Debug)]
struct End {
    file: File,
    /// The last line was written in part.
    is_torn: bool,
    /// The last line was not written, or in part.
    is_failing: bool,
}

/// Why there is no audit log.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("failed to open the audit log {path}: give a file that can be appended to (audit_log)", path = path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("the audit log {path} is no regular file: give another path (audit_log)", path = .0.display())]
    NotFile(PathBuf),
}

/// One piece of code, on whose behalf lines are written.
#[derive(Debug)]
struct Audited {
    audit: Arc<Audit>,
    asker: Asker,
    code_sha256: String,
    code_bytes: usize,
    began: OnceLock<(SessionId, u64)>,
}

/// On whose behalf code is run.
#[derive(Debug)]
pub(crate) struct Asker {
    request_id: Uuid,
    /// The name of the key that the request came with.
    key: Option<String>,
}

impl Asker {
    pub(crate) fn of(request: &Request) -> Self {
        let request_id = request.extensions().get().map_or(Uuid::nil(), |RequestId(id)| *id);
        let caller = request.extensions().get::<Caller>();
        let key = caller.and_then(|Caller(owner)| owner.as_ref()).map(|owner| owner.as_str().to_owned());
        Self { request_id, key }
    }
}

/// The code with the room that its request has taken, and with what writes down that it is run, where that is wanted.
pub(crate) async fn watched(
    audit: Option<&Arc<Audit>>,
    asker: Asker,
    mut code: Code,
    taken: Taken,
) -> Result<Code, Error> {
    code.room = taken.into_permit();
    if let Some(audit) = audit {
        let text = std::mem::take(&mut code.text);
        let (text, witness) = audit.witness(asker, text).await.map_err(|cause| Error::Internal(cause.into()))?;
        (code.text, code.witness) = (text, Some(witness));
    }
    Ok(code)
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    event: &'static str,
    request_id: Uuid,
    key: Option<&'a str>,
    session: &'a str,
    execution: u64,
    code_sha256: &'a str,
    code_bytes: usize,
    #[serde(flatten)]
    end: Option<EndOfLine>,
}

#[derive(Serialize)]
struct EndOfLine {
    outcome: &'static str,
    wall_ms: Option<u128>,
}

impl Audit {
    /// Opens the file of that name for appending, or makes it, for its owner alone.
    ///
    /// # Errors
    /// Where it cannot be appended to.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let failed = |source| AuditError::Open { path: path.to_owned(), source };
        // A pipe that nobody reads is not waited for.
        let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(|error| failed(error.into()))?;
        let file = File::from(file);
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(AuditError::NotFile(path.to_owned()));
        }
        let end = Mutex::new(End { file, is_torn: false, is_failing: false });
        Ok(Self { path: path.to_owned(), end, failures: AtomicU64::new(0) })
    }

    /// Lines that could not be written.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// What writes the lines of this code, which is given back.
    async fn witness(self: &Arc<Self>, asker: Asker, code: String) -> io::Result<(String, Box<dyn Witness>)> {
        let (code, code_sha256) = if code.len() <= HASH_INLINE_BYTES_MAX {
            let digest = sha256(&code);
            (code, digest)
        } else {
            let hash = move || {
                let digest = sha256(&code);
                (code, digest)
            };
            tokio::task::spawn_blocking(hash).await?
        };
        let (audit, code_bytes) = (Arc::clone(self), code.len());
        Ok((code, Box::new(Audited { audit, asker, code_sha256, code_bytes, began: OnceLock::new() })))
    }

    /// Appends a line. Whole lines of several processes do not mix: the file is open for appending (open(2), O_APPEND).
    fn append(&self, line: &Line<'_>) {
        let Ok(mut bytes) = serde_json::to_vec(line) else { return };
        bytes.push(b'\n');
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if end.is_torn {
            bytes.insert(0, b'\n');
        }
        let written = write(&mut end, &bytes);
        let was_failing = std::mem::replace(&mut end.is_failing, written.is_err());
        drop(end);
        let path = self.path.display();
        match written {
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                if !was_failing {
                    tracing::error!(%path, %error, "the audit log cannot be written; executions go on without");
                }
            }
            Ok(()) if was_failing => {
                tracing::error!(%path, failures = self.failures(), "the audit log can be written again; lines are missing");
            }
            Ok(()) => {}
        }
    }
}

fn write(end: &mut End, bytes: &[u8]) -> io::Result<()> {
    match end.file.write(bytes)? {
        written if written == bytes.len() => {
            end.is_torn = false;
            Ok(())
        }
        written => {
            end.is_torn |= written > 0;
            Err(io::ErrorKind::StorageFull.into())
        }
    }
}

fn sha256(code: &str) -> String {
    Sha256::digest(code.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Audited {
    fn write(&self, session: &SessionId, execution: u64, end: Option<EndOfLine>) {
        let now = Timestamp::try_from(SystemTime::now()).unwrap_or_default();
        self.audit.append(&Line {
            time: format!("{now:.3}"),
            event: if end.is_some() { "finished" } else { "started" },
            request_id: self.asker.request_id,
            key: self.asker.key.as_deref(),
            session: session.as_str(),
            execution,
            code_sha256: &self.code_sha256,
            code_bytes: self.code_bytes,
            end,
        });
    }
}

impl Witness for Audited {
    fn begins(&self, session: &SessionId, execution: u64) {
        let (session, execution) = self.began.get_or_init(|| (session.clone(), execution));
        self.write(session, *execution, None);
    }

    fn ended(&self, execution: Option<&Execution>) {
        let Some((session, number)) = self.began.get() else { return };
        let outcome = execution.map_or("internal_error", |execution| execution.outcome.kind());
        let wall_ms = execution.map(|execution| execution.usage.wall.as_millis());
        self.write(session, *number, Some(EndOfLine { outcome, wall_ms }));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_line_has_the_digest_and_not_the_text() {
        let folder = std::env::temp_dir().join(format!("eggbox-audit-{}", Uuid::now_v7()));
        let audit = Arc::new(Audit::open(&folder).unwrap());
        let (code, witness) =
            audit.witness(Asker { request_id: Uuid::nil(), key: None }, "abc".to_owned()).await.unwrap();
        assert_eq!(code, "abc");
        witness.begins(&SessionId::try_from("s".to_owned()).unwrap(), 3);
        witness.ended(None);
        let text = std::fs::read_to_string(&folder).unwrap();
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_file(&folder).unwrap();
        // FIPS 180-2, appendix B.1.
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let rest = format!(
            r#""request_id":"00000000-0000-0000-0000-000000000000","key":null,"session":"s","execution":3,"code_sha256":"{digest}","code_bytes":3"#
        );
        let lines: Vec<_> = text.lines().map(|line| line.split_once(r#"Z","#).unwrap().1).collect();
        assert_eq!(lines[0], format!(r#""event":"started",{rest}}}"#));
        assert_eq!(lines[1], format!(r#""event":"finished",{rest},"outcome":"internal_error","wall_ms":null}}"#));
    }

    #[test]
    fn what_is_no_file_is_refused_by_name() {
        for path in ["/dev/null", "/", "/nowhere/at/all"] {
            let error = Audit::open(Path::new(path)).unwrap_err().to_string();
            assert!(error.contains(path) && error.contains("audit_log"), "{error}");
        }
    }
}
