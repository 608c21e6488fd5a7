//! What the memory of all sessions of a nest has in common, as far as somebody has looked.

use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use eggbox_sandbox::checkpoint::{Image, Layout, MappedFile, Names, UsualPages, mapped_by};

use super::Nest;
use crate::session_process::pid_of;

#[derive(Debug, Default)]
pub(super) struct SessionMemory {
    /// How the memory of its sessions lay that was looked at last: that of others lies alike.
    layout: Mutex<Weak<Layout>>,
    /// Where its sessions have pages of their own that images are taken of.
    usual_pages: Mutex<Arc<UsualPages>>,
    /// Files that every session of it finds.
    files: Mutex<KnownFiles>,
}

/// Files that sessions have mapped.
#[derive(Debug, Default)]
struct KnownFiles {
    /// What the nest itself has mapped, as it was when somebody looked first: what is mapped no other file can be taken for.
    own: Option<OwnFiles>,
    /// What those are called that are there still, and since when that is known.
    fresh: Option<(Instant, Arc<Names>)>,
    /// What else is there for all of them.
    others: HashSet<MappedFile>,
}

#[derive(Debug)]
struct OwnFiles {
    files: HashSet<MappedFile>,
    names: Arc<Names>,
}

/// How long what files are called is taken for what they are called still.
const NAMES_FRESH: Duration = Duration::from_secs(10);

/// How many files a session may have mapped that its nest has not: it has to open all of them to become an image that has them.
const FILES_MAX: usize = 100;

impl Nest {
    /// That all of these files are there for every session, and not one's own; or which is not. Blocks for as long as the disk takes.
    pub(crate) fn check_files(&self, image: &Image) -> Result<(), String> {
        let failed = |error: io::Error| format!("what it has mapped cannot be looked at: {error}");
        let mut others = image.files_beside(&*self.names().map_err(failed)?);
        let mut known = self.known_files();
        others.retain(|file| known.own.as_ref().is_none_or(|own| !own.files.contains(file)));
        if others.len() > FILES_MAX {
            return Err(format!(
                "{} files are mapped beside those of its interpreter, more than {FILES_MAX}",
                others.len()
            ));
        }
        let mut home = None;
        for file in others {
            if known.others.contains(&file) {
                continue;
            }
            if home.is_none() {
                home = Some(self.home("").map_err(failed)?);
            }
            let is_there = home.as_ref().is_some_and(|home| home.has(&file));
            if !is_there {
                return Err(format!("{} is mapped, which is its own", String::from_utf8_lossy(&file.path)));
            }
            known.others.insert(file);
        }
        Ok(())
    }

    /// What files are called that it has mapped itself, and its sessions have from it.
    pub(crate) fn names(&self) -> io::Result<Arc<Names>> {
        if let Some(own) = &self.known_files().own {
            return Ok(Arc::clone(&own.names));
        }
        let (files, names) = self.read_files()?;
        let own = OwnFiles { files: files.into_iter().collect(), names: Arc::new(names) };
        Ok(Arc::clone(&self.known_files().own.get_or_insert(own).names))
    }

    /// The same as it was a moment ago, or none; for what is kept, of which a file may be gone that was replaced since. It is looked at again
    /// then.
    pub(crate) fn fresh_names(self: &Arc<Self>) -> Arc<Names> {
        if let Some((read, names)) = &self.known_files().fresh
            && read.elapsed() < NAMES_FRESH
        {
            return Arc::clone(names);
        }
        let nest = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let now = Instant::now();
            match nest.read_files() {
                Ok((_, names)) => nest.known_files().fresh = Some((now, Arc::new(names))),
                Err(error) => tracing::debug!(%error, "what a nest has mapped cannot be looked at"),
            }
        });
        Arc::default()
    }

    fn read_files(&self) -> io::Result<(Vec<MappedFile>, Names)> {
        let pid = pid_of(self.shared.pidfd.as_fd()).ok_or_else(|| io::Error::other("its nest is gone"))?;
        let files = mapped_by(pid)?;
        let names = Names::of(pid, &files);
        Ok((files, names))
    }

    fn known_files(&self) -> MutexGuard<'_, KnownFiles> {
        self.shared.memory.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where its sessions usually have pages of their own, as far as that is known.
    pub(crate) fn usual_pages(&self) -> Arc<UsualPages> {
        Arc::clone(&*self.shared.memory.usual_pages.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes those of that image, which was taken of one of them, for usual.
    pub(crate) fn is_usual(&self, image: &Image) {
        let usual = Arc::new(UsualPages::of(image));
        *self.shared.memory.usual_pages.lock().unwrap_or_else(PoisonError::into_inner) = usual;
    }

    /// The same layout of one of its sessions, in the place that it has already where another lies alike.
    pub(crate) fn shared_layout(&self, layout: Layout) -> Arc<Layout> {
        let mut last = self.shared.memory.layout.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = last.upgrade().filter(|last| **last == layout) {
            return same;
        }
        let layout = Arc::new(layout);
        *last = Arc::downgrade(&layout);
        layout
    }
}
