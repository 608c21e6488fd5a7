//! A checkpoint that is being made.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eggbox_sandbox::checkpoint::{Image, OpenFile};
use tokio::sync::OwnedSemaphorePermit;

use super::stored::beside;
use super::{Home, Manifest, clear, unique};
use crate::image::SessionImage;
use crate::workspace::Files;

pub(super) const MEMORY: &str = "memory";
pub(super) const FILES: &str = "files";
pub(super) const HISTORY: &str = "history";
/// What the name of one begins with that is not whole.
pub(super) const NEW: &str = "new-";

/// A folder that is cleared away unless it is made a checkpoint.
#[derive(Debug)]
pub(crate) struct Draft {
    folder: PathBuf,
    memory: File,
    is_whole: bool,
}

/// What is to be written down of a session, which may have gone on since.
#[derive(Debug)]
pub(crate) struct Drawn {
    pub(crate) draft: Draft,
    /// The nest that it is of, and the base that this has.
    pub(crate) home: Home,
    pub(crate) base: File,
    pub(crate) image: Arc<Image>,
    pub(crate) open_files: Vec<OpenFile>,
    /// Where that is, if it is not in the draft.
    pub(crate) memory: Option<SessionImage>,
    /// Where it is not.
    pub(crate) _turn: Option<OwnedSemaphorePermit>,
}

impl Draft {
    pub(super) fn begin(beside: &Path) -> io::Result<Self> {
        let folder = beside.join(format!("{NEW}{}", unique()));
        let make = |path: &Path| DirBuilder::new().mode(0o700).create(path);
        make(&folder)?;
        make(&folder.join(FILES))?;
        let memory = File::options().read(true).write(true).create_new(true).mode(0o600).open(folder.join(MEMORY))?;
        Ok(Self { folder, memory, is_whole: false })
    }

    /// For the image, empty.
    pub(crate) fn memory(&self) -> &File {
        &self.memory
    }

    pub(crate) fn files(&self) -> Files {
        Files::Kept(self.folder.join(FILES))
    }

    /// A folder for the history of a session that goes to sleep.
    pub(crate) fn history_folder(&self) -> io::Result<PathBuf> {
        let path = self.folder.join(HISTORY);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(path)
    }

    /// Writes down what it is, and has it found. Returns where it is from then on.
    pub(super) fn commit(mut self, manifest: &Manifest) -> io::Result<PathBuf> {
        manifest.write(&self.folder)?;
        let beside = self.folder.parent().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        let place = beside.join(unique());
        if manifest.boot.is_none() {
            // It may have as many files as its session has, of which each would have to be waited for.
            rustix::fs::syncfs(&self.memory)?;
        }
        fs::rename(&self.folder, &place)?;
        self.is_whole = true;
        if manifest.boot.is_none() {
            File::open(&beside)?.sync_all()?;
        }
        Ok(place)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_whole {
            let folder = std::mem::take(&mut self.folder);
            // It may have very many files, and whoever gives it up others to serve.
            beside(move || clear(&folder));
        }
    }
}
