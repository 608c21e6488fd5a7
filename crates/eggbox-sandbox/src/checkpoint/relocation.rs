//! Images that go on elsewhere than where they were taken: behind another start of the same nest, or of the host. What is mapped
//! of files has other numbers there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;

use rustix::process::Pid;

use super::image::{Image, Mapping, Source};
use super::maps::{Found, Identity, Known, Names, read_maps};

/// A file that an image shows parts of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MappedFile {
    /// As its session sees it.
    pub path: Vec<u8>,
    pub(super) identity: Identity,
}

impl MappedFile {
    /// Whether it is this file.
    ///
    /// # Errors
    /// Where the kernel does not say which it is.
    pub fn is(&self, file: &File) -> io::Result<bool> {
        Ok(Identity::of(file)? == self.identity)
    }
}

/// The files that a process shows parts of in its memory, each once.
///
/// # Errors
/// Where its mappings cannot be read.
pub fn mapped_by(pid: Pid) -> io::Result<Vec<MappedFile>> {
    let maps = File::open(format!("/proc/{}/maps", pid.as_raw_pid()))?;
    let (base, names) = (Identity { device: (0, 0), inode: 0 }, Names::default());
    let known = Known { base, kept: None, shown: &[], names: &names };
    let mappings = read_maps(&maps, known)?.into_iter().filter_map(|(_, found)| match found {
        Found::Private { mapping, .. } => Some(mapping),
        Found::Shared(_) => None,
    });
    Ok(files_of(&mappings.collect::<Vec<_>>(), &names))
}

/// Those that are not among `left_out`.
fn files_of(mappings: &[Mapping], left_out: &Names) -> Vec<MappedFile> {
    let found = mappings.iter().filter_map(|mapping| match &mapping.source {
        Source::File { path, identity, .. } if !left_out.has(path, identity) => {
            Some(MappedFile { path: path.clone(), identity: *identity })
        }
        _ => None,
    });
    let mut files: Vec<_> = found.collect();
    files.sort_unstable();
    files.dedup();
    files
}

impl Image {
    /// The files that it shows parts of, each once, by their paths.
    #[must_use]
    pub fn files(&self) -> Vec<MappedFile> {
        files_of(&self.mappings, &Names::default())
    }

    /// The same without those that have these names.
    #[must_use]
    pub fn files_beside(&self, names: &Names) -> Vec<MappedFile> {
        files_of(&self.mappings, names)
    }

    /// The same as it is where `open` finds its files, all of which have the same content there.
    ///
    /// # Errors
    /// Where a file is not there.
    pub fn relocated(mut self, mut open: impl FnMut(&MappedFile) -> io::Result<File>) -> io::Result<Self> {
        let mut found: BTreeMap<Vec<u8>, Identity> = BTreeMap::new();
        for mapping in &mut self.mappings {
            let Source::File { path, identity, .. } = &mut mapping.source else { continue };
            let now = match found.get(path) {
                Some(now) => *now,
                None => {
                    let now = Identity::of(open(&MappedFile { path: path.clone(), identity: *identity })?)?;
                    found.insert(path.clone(), now);
                    now
                }
            };
            *identity = now;
        }
        Ok(self)
    }
}
