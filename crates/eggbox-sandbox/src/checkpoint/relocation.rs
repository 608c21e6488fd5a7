//! Images that go on elsewhere than where they were taken: behind another start of the same nest, or of the host. What is mapped
//! of files has other numbers there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::process::Pid;

use super::image::{Image, ImageError, Mapping, Source};
use super::maps::{Found, Identity, Known, read_maps};

/// A file that an image shows parts of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MappedFile {
    /// As its session sees it.
    pub path: Vec<u8>,
    identity: Identity,
}

/// Why an image cannot go on elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum RelocationError {
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("it cannot be read")]
    Read(#[from] io::Error),
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

/// The files that an image shows parts of, each once, by their paths.
///
/// # Errors
/// Where it is no image.
pub fn mapped_files(image: &File) -> Result<Vec<MappedFile>, RelocationError> {
    Ok(files(&read(image)?))
}

/// The files that a process shows parts of in its memory, each once.
///
/// # Errors
/// Where its mappings cannot be read.
pub fn mapped_by(pid: Pid) -> io::Result<Vec<MappedFile>> {
    let maps = File::open(format!("/proc/{}/maps", pid.as_raw_pid()))?;
    let known = Known { base: Identity { device: (0, 0), inode: 0 }, kept: None, shown: &[] };
    let mappings = read_maps(&maps, known)?.into_iter().filter_map(|(_, found)| match found {
        Found::Private { mapping, .. } => Some(mapping),
        Found::Shared(_) => None,
    });
    Ok(files_of(&mappings.collect::<Vec<_>>()))
}

pub(super) fn files(image: &Image) -> Vec<MappedFile> {
    files_of(&image.mappings)
}

fn files_of(mappings: &[Mapping]) -> Vec<MappedFile> {
    let found = mappings.iter().filter_map(|mapping| match &mapping.source {
        Source::File { path, identity, .. } => Some(MappedFile { path: path.clone(), identity: *identity }),
        _ => None,
    });
    let mut files: Vec<_> = found.collect();
    files.sort_unstable();
    files.dedup();
    files
}

/// The tables of an image, in a file in memory, as they are where `open` finds its files, all of which have the same content there.
///
/// # Errors
/// Where it is no image, or a file is not there.
pub fn relocate(
    image: &File,
    mut open: impl FnMut(&MappedFile) -> io::Result<File>,
) -> Result<OwnedFd, RelocationError> {
    let mut tables = read(image)?;
    let mut found: BTreeMap<Vec<u8>, Identity> = BTreeMap::new();
    for mapping in &mut tables.mappings {
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
    Ok(crate::memory_file(c"tables", &tables.encode())?.into())
}

fn read(image: &File) -> Result<Image, RelocationError> {
    let bytes = image.metadata()?.len();
    Ok(Image::read(image, bytes, rustix::param::page_size() as u64)?)
}
