//! Images that go on elsewhere than where they were taken: behind another start of the same nest, or of the host. What is mapped
//! of files has other numbers there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use super::image::{Image, ImageError, Source};
use super::maps::Identity;

/// A file that an image shows parts of.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    let found = read(image)?.mappings.into_iter().filter_map(|mapping| match mapping.source {
        Source::File { path, identity, .. } => Some((path, identity)),
        _ => None,
    });
    let files: BTreeMap<Vec<u8>, Identity> = found.collect();
    Ok(files.into_iter().map(|(path, identity)| MappedFile { path, identity }).collect())
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
