//! What a checkpoint is of.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::SystemTime;

use eggbox_sandbox::checkpoint::OpenFile;
use serde::{Deserialize, Serialize};

use crate::checkpoint_id::CheckpointId;
use crate::history::Record;
use crate::session_id::SessionId;

pub(super) const NAME: &str = "manifest.json";
/// Of one that is to be in its place.
const NEW_NAME: &str = "manifest.new";
/// Of this form.
const VERSION: u32 = 1;

/// What a checkpoint was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointKind {
    /// Somebody has asked for it.
    Asked,
    /// Its session takes one by itself.
    Automatic,
    /// Its session sleeps, and goes on from it.
    Asleep,
}

/// Everything about a checkpoint but its memory and its files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Manifest {
    version: u32,
    pub(crate) id: CheckpointId,
    pub(crate) kind: CheckpointKind,
    pub(crate) session: SessionId,
    /// The session as it was.
    pub(crate) record: Record,
    pub(crate) variables: BTreeMap<String, String>,
    /// Of which copies are to have the same numbers.
    #[serde(default)]
    pub(crate) open_files: Vec<OpenFile>,
    /// The number of the execution that was begun last.
    pub(crate) executions: u64,
    /// The number that was given to an execution last, whether it was begun or not.
    pub(crate) last_number: u64,
    pub(crate) created_at: SystemTime,
    /// The nest that its session was in.
    pub(crate) nest: String,
    /// That which has the base of its memory: the same, unless the session has outlived that.
    pub(crate) base: String,
    /// What it takes of the disk.
    pub(crate) bytes: u64,
    /// The start of the host that it is good for; none where it is on the disk for certain.
    pub(crate) boot: Option<String>,
}

/// What tells this start of the host from others (random(4)); empty where the host does not say.
static BOOT: LazyLock<String> = LazyLock::new(|| {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map(|id| id.trim().to_owned()).unwrap_or_default()
});

impl Manifest {
    /// Of a session that has this record now.
    pub(crate) fn new(id: CheckpointId, kind: CheckpointKind, record: Record, [nest, base]: [String; 2]) -> Self {
        Self {
            version: VERSION,
            id,
            kind,
            session: record.id.clone(),
            record,
            variables: BTreeMap::new(),
            open_files: Vec::new(),
            executions: 0,
            last_number: 0,
            created_at: SystemTime::now(),
            nest,
            base,
            bytes: 0,
            boot: (kind != CheckpointKind::Asked).then(|| BOOT.clone()),
        }
    }

    pub(super) fn is_of_this_boot(&self) -> bool {
        self.boot.as_ref().is_none_or(|boot| *boot == *BOOT)
    }

    /// That of the checkpoint in this folder; none where it has none.
    pub(super) fn read(folder: &Path) -> io::Result<Option<Self>> {
        let bytes = match std::fs::read(folder.join(NAME)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let manifest: Self = serde_json::from_slice(&bytes)?;
        if manifest.version == VERSION {
            Ok(Some(manifest))
        } else {
            Err(io::Error::other(format!("it is of version {}, and this is {VERSION}", manifest.version)))
        }
    }

    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        self.write_as(&folder.join(NAME)).map(drop)
    }

    /// The same of a checkpoint that is on the disk for certain, on the disk, too, beside this one. Returns where.
    pub(super) fn write_lasting(&self, folder: &Path) -> io::Result<PathBuf> {
        let new = folder.join(NEW_NAME);
        // What a server before this one has left of it.
        let _ = std::fs::remove_file(&new);
        Self { boot: None, ..self.clone() }.write_as(&new)?.sync_all()?;
        Ok(new)
    }

    fn write_as(&self, path: &Path) -> io::Result<File> {
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        Ok(file)
    }
}
