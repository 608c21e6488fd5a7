//! One checkpoint on the disk, and the room that it takes.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::{Manifest, draft, manifest};
use crate::workspace::{Files, remove_folder};

/// A checkpoint.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(super) folder: PathBuf,
    pub(crate) manifest: Manifest,
    state: Mutex<State>,
    /// Sessions that are shown parts of it have it, too.
    memory: Arc<Taken>,
    _files: Taken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Good for this start of the host.
    Written,
    /// It is on the disk for certain.
    Lasting,
    /// It is not to be found any more: its files go with the last who uses them.
    Removed,
}

/// Room on the disk, until it is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    used: Arc<AtomicU64>,
    bytes: u64,
}

impl Taken {
    pub(super) fn new(used: &Arc<AtomicU64>, bytes: u64) -> Self {
        used.fetch_add(bytes, Ordering::Relaxed);
        Self { used: Arc::clone(used), bytes }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Stored {
    pub(super) fn new(folder: PathBuf, manifest: Manifest, used: &Arc<AtomicU64>) -> Self {
        let memory = folder.join(draft::MEMORY).metadata().map_or(0, |metadata| metadata.len()).min(manifest.bytes);
        let files = Taken::new(used, manifest.bytes - memory);
        let memory = Arc::new(Taken::new(used, memory));
        let state = Mutex::new(if manifest.boot.is_none() { State::Lasting } else { State::Written });
        Self { folder, manifest, state, memory, _files: files }
    }

    /// The room that its memory takes, for whoever is shown parts of it.
    pub(crate) fn memory_room(&self) -> Arc<Taken> {
        Arc::clone(&self.memory)
    }

    /// Its memory, to be read.
    pub(crate) fn memory(&self) -> io::Result<File> {
        File::open(self.folder.join(draft::MEMORY))
    }

    pub(crate) fn files(&self) -> Files {
        Files::Kept(self.folder.join(draft::FILES))
    }

    /// Where the history of a session that sleeps is.
    pub(crate) fn history_folder(&self) -> PathBuf {
        self.folder.join(draft::HISTORY)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it would be gone at the host's end.
    pub(super) fn is_only_written(&self) -> bool {
        *self.state() == State::Written
    }

    /// It is on the disk, and has to say so, unless it is nobody's any more.
    pub(super) fn last(&self) -> io::Result<()> {
        let new = match self.manifest.write_lasting(&self.folder) {
            // Its files are being cleared away.
            Err(_) if *self.state() == State::Removed => return Ok(()),
            other => other?,
        };
        {
            // Not while the disk is waited for: whoever removes it has no time.
            let mut state = self.state();
            if *state != State::Written {
                return Ok(());
            }
            fs::rename(new, self.folder.join(manifest::NAME))?;
            *state = State::Lasting;
        }
        File::open(&self.folder)?.sync_all()
    }

    /// It is nobody's from here on.
    pub(super) fn discard(&self) {
        let before = std::mem::replace(&mut *self.state(), State::Removed);
        if let Err(error) = fs::remove_file(self.folder.join(manifest::NAME)) {
            tracing::error!(%error, folder = %self.folder.display(), "failed to remove a checkpoint");
        }
        if before == State::Lasting {
            // Or what sleeps no longer would be found asleep after an end of the host. Nobody waits for that.
            let folder = File::open(&self.folder);
            beside(move || {
                let _ = folder.and_then(|folder| folder.sync_all());
            });
        }
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        if *self.state() == State::Removed {
            let folder = std::mem::take(&mut self.folder);
            // It may have very many files, and whoever has it last others to serve.
            beside(move || clear(&folder));
        }
    }
}

/// Does what nobody waits for. Where there is no thread for it, it is not done: what is left then the next server clears away.
pub(super) fn beside(act: impl FnOnce() + Send + 'static) {
    if let Err(error) = std::thread::Builder::new().name("checkpoints".to_owned()).spawn(act) {
        tracing::error!(%error, "failed to clear up after a checkpoint");
    }
}

/// How often it is tried again to remove what takes long.
const REMOVALS_MAX: usize = 100;

/// Removes what is left of one.
pub(super) fn clear(path: &Path) {
    let removed = match (path.parent(), path.file_name().and_then(|name| name.to_str())) {
        (Some(parent), Some(name)) => {
            File::open(parent).and_then(|parent| {
                let removed = (0..REMOVALS_MAX).find_map(|_| match remove_folder(parent.as_fd(), name) {
                    // It gives up after a while.
                    Err(Errno::NOTEMPTY) => None,
                    other => Some(other),
                });
                Ok(removed.unwrap_or(Err(Errno::NOTEMPTY))?)
            })
        }
        _ => Err(io::ErrorKind::InvalidInput.into()),
    };
    if let Err(error) = removed {
        tracing::error!(%error, path = %path.display(), "failed to remove what is left of a checkpoint");
    }
}
