//! A file that is read for a client, piece by piece.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::entry::Entry;
use super::error::WorkspaceError;
use super::folder::Folder;
use super::path::WorkspacePath;

/// A regular file that is open to be read, whatever becomes of its name.
#[derive(Debug)]
pub struct Download {
    pub entry: Entry,
    file: Arc<File>,
    _transfer: OwnedSemaphorePermit,
}

pub(super) fn open(folder: &Folder, path: &WorkspacePath) -> Result<(File, Entry), WorkspaceError> {
    let (file, stat) = folder.open_regular(path.as_str())?;
    Ok((file, Entry::new(path.as_str().as_bytes(), &stat)))
}

impl Download {
    pub(super) fn new(file: File, entry: Entry, transfer: OwnedSemaphorePermit) -> Self {
        Self { entry, file: Arc::new(file), _transfer: transfer }
    }

    /// Up to `bytes_max` bytes from `offset` on; none at the end of the file, which code may have brought nearer.
    pub fn read_at(&self, offset: u64, bytes_max: usize) -> impl Future<Output = io::Result<Bytes>> + Send + use<> {
        let file = Arc::clone(&self.file);
        let read = tokio::task::spawn_blocking(move || {
            let mut buffer = vec![0; bytes_max];
            let count = file.read_at(&mut buffer, offset)?;
            buffer.truncate(count);
            Ok(Bytes::from(buffer))
        });
        async move { read.await.map_err(io::Error::other)? }
    }
}
