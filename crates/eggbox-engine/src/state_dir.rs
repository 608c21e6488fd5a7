//! The server's own folder: one server at a time, and nothing that a session could reach.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// A lock on the folder for as long as it lives.
#[derive(Debug)]
pub(crate) struct StateDir {
    _lock: File,
}

/// Why the folder cannot be used; names the mend.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    #[error("cannot use the state directory {}: {cause}; name another with --state-dir", path.display())]
    Unusable { path: PathBuf, cause: std::io::Error },
    #[error(
        "the state directory {} is in use by the server with process id {holder}; end that one, or name another with \
         --state-dir",
        path.display()
    )]
    InUse { path: PathBuf, holder: String },
}

impl StateDir {
    /// Makes the folder if it is missing (others may pass through it, to folders of sessions, but not list it) and locks
    /// it until the value is dropped or the process ends in whatever way.
    pub(crate) fn lock(path: &Path) -> Result<Self, StateDirError> {
        let unusable = |cause| StateDirError::Unusable { path: path.to_owned(), cause };
        fs::DirBuilder::new().recursive(true).mode(0o711).create(path).map_err(unusable)?;
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("server.lock"))
            .map_err(unusable)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                lock.read_to_string(&mut holder).map_err(unusable)?;
                return Err(StateDirError::InUse { path: path.to_owned(), holder: holder.trim().to_owned() });
            }
            Err(error) => return Err(unusable(error.into())),
        }
        lock.set_len(0).and_then(|()| lock.rewind()).map_err(unusable)?;
        writeln!(lock, "{}", std::process::id()).map_err(unusable)?;
        Ok(Self { _lock: lock })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_refused_by_the_name_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = StateDir::lock(folder.path()).unwrap();
        let refusal = StateDir::lock(folder.path()).unwrap_err().to_string();
        assert!(refusal.contains(&std::process::id().to_string()), "{refusal}");
        drop(first);
        StateDir::lock(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let refusal = StateDir::lock(Path::new("/proc/nothing/here")).unwrap_err().to_string();
        assert!(refusal.contains("/proc/nothing/here") && refusal.contains("--state-dir"), "{refusal}");
    }
}
