//! Checkpoints on their way to another server's state directory, in one archive with all that they need: what is in their folder,
//! and the base that their memory is of.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::bases::Bases;
use super::{FOLDER, Manifest, clear, draft, manifest, unique};
use crate::checkpoint_id::CheckpointId;

/// What stands in an archive beside what is in the checkpoint's folder.
const BASE_MEMORY: &str = "base.memory";
const BASE_NOTE: &str = "base.json";
/// What stands in a checkpoint's folder.
const PARTS: [&str; 3] = [manifest::NAME, draft::MEMORY, draft::FILES];

/// Why a checkpoint was not moved; readable after "failed to export the checkpoint: " and its like.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error("there is no checkpoint of that name in {folder}")]
    NotFound { folder: String },
    #[error("there is a checkpoint of that name there already: delete it first")]
    Exists,
    #[error("the memory that it is of is not there")]
    NoBase(#[source] io::Error),
    #[error("the archive has no {part}: it is no checkpoint's, or is cut off")]
    Incomplete { part: &'static str },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes the checkpoint of that name in a server's state directory to `to`, as a tar archive. The server may be running.
///
/// # Errors
/// Where there is none, or it cannot be read or written.
pub fn export_checkpoint(state_dir: &Path, id: &CheckpointId, to: impl Write) -> Result<(), TransferError> {
    let folder = state_dir.join(FOLDER);
    let found = folders(&folder)?.into_iter().find(|(_, manifest)| manifest.id == *id);
    let (place, mut manifest) =
        found.ok_or_else(|| TransferError::NotFound { folder: folder.display().to_string() })?;
    let bases = Bases::open(state_dir)?;
    let (memory, note) = bases.complete(&manifest.base).map_err(TransferError::NoBase)?;
    let mut archive = tar::Builder::new(to);
    archive.follow_symlinks(false);
    let mut header = tar::Header::new_gnu();
    header.set_size(note.len() as u64);
    header.set_mode(0o600);
    archive.append_data(&mut header, BASE_NOTE, &note[..])?;
    archive.append_path_with_name(memory, BASE_MEMORY)?;
    manifest.boot = None;
    let kept = serde_json::to_vec(&manifest).map_err(io::Error::from)?;
    let mut header = tar::Header::new_gnu();
    header.set_size(kept.len() as u64);
    header.set_mode(0o600);
    archive.append_data(&mut header, manifest::NAME, &kept[..])?;
    archive.append_path_with_name(place.join(draft::MEMORY), draft::MEMORY)?;
    archive.append_dir_all(draft::FILES, place.join(draft::FILES))?;
    Ok(archive.into_inner()?.flush()?)
}

/// Puts the checkpoint in an archive into a server's state directory, and returns its name. A server that runs there finds it when it
/// is asked for.
///
/// # Errors
/// Where there is one of that name, or it cannot be read or written; nothing is left of it then.
pub fn import_checkpoint(state_dir: &Path, from: impl Read) -> Result<CheckpointId, TransferError> {
    let folder = state_dir.join(FOLDER);
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let new = folder.join(format!("{}{}", draft::NEW, unique()));
    DirBuilder::new().mode(0o700).create(&new)?;
    let imported = unpack(state_dir, &folder, &new, from);
    if imported.is_err() {
        clear(&new);
    }
    imported
}

fn unpack(state_dir: &Path, folder: &Path, new: &Path, from: impl Read) -> Result<CheckpointId, TransferError> {
    let mut archive = tar::Archive::new(from);
    archive.set_preserve_permissions(true);
    archive.set_preserve_mtime(true);
    // It keeps to the folder, whatever names and links say.
    archive.unpack(new)?;
    for part in PARTS.into_iter().chain([BASE_MEMORY, BASE_NOTE]) {
        if !new.join(part).exists() {
            return Err(TransferError::Incomplete { part });
        }
    }
    let manifest = Manifest::read(new)?.ok_or(TransferError::Incomplete { part: manifest::NAME })?;
    if folders(folder)?.iter().any(|(_, other)| other.id == manifest.id) {
        return Err(TransferError::Exists);
    }
    let whole = File::open(new.join(draft::MEMORY))?;
    rustix::fs::syncfs(&whole).map_err(io::Error::from)?;
    // At the last moment: a server that runs removes those that nothing is of.
    Bases::open(state_dir)?.adopt(&manifest.base, &new.join(BASE_MEMORY), &new.join(BASE_NOTE))?;
    fs::rename(new, folder.join(unique()))?;
    File::open(folder)?.sync_all()?;
    Ok(manifest.id)
}

/// Those that are whole, with where they are.
fn folders(folder: &Path) -> io::Result<Vec<(std::path::PathBuf, Manifest)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let is_new = entry.file_name().to_string_lossy().starts_with(draft::NEW);
        if let (false, Ok(Some(manifest))) = (is_new, Manifest::read(&entry.path())) {
            found.push((entry.path(), manifest));
        }
    }
    Ok(found)
}
