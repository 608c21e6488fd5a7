//! The memory that images are of, kept for when their nest has gone; and what else has to be the same for them to be loaded.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use eggbox_sandbox::checkpoint::{Image, MappedFile};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::workspace::copy_content;

/// Of the form of a note.
const VERSION: u32 = 1;
const PORTION_BYTES: usize = 1 << 20;
/// How long one stays in any case.
const YOUNG_MAX: Duration = Duration::from_secs(5);
/// What the name of one begins with that is not whole.
const NEW: &str = "new-";

/// All of a server.
#[derive(Debug)]
pub(crate) struct Bases {
    folder: PathBuf,
    /// Held while one is written.
    notes: Mutex<BTreeMap<String, Note>>,
    /// Those that sessions are of, behind other nests.
    used: Mutex<BTreeMap<String, Weak<Base>>>,
    /// What files have that were read to be compared.
    seen: Mutex<BTreeMap<String, FileNote>>,
}

/// The memory of a nest that has gone, for as long as there are sessions of it.
#[derive(Debug)]
pub(crate) struct Base {
    /// The nest.
    pub(crate) name: String,
    file: File,
}

impl AsFd for Base {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Where images are taken, or are to be loaded.
#[derive(Debug)]
pub(crate) struct Home {
    /// The nest.
    pub(crate) nest: String,
    /// That which has the base: the same, unless the session has outlived it.
    pub(crate) base: String,
    /// See [`EngineConfig`](crate::EngineConfig).
    pub(crate) build: String,
    /// What its sessions see of the host's files.
    pub(crate) root: OwnedFd,
}

impl Home {
    /// Whether sessions see that file there.
    pub(crate) fn has(&self, file: &MappedFile) -> bool {
        open(self, &file.path).is_ok_and(|opened| file.is(&opened).unwrap_or(false))
    }
}

/// What has to be the same where an image is loaded that was taken behind another start of a nest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    version: u32,
    build: String,
    kernel: String,
    processor: String,
    /// What sessions have mapped of files, by their paths.
    files: BTreeMap<String, FileNote>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FileNote {
    bytes: u64,
    /// Seconds and nanoseconds from 1970.
    modified: (i64, i64),
    /// In hexadecimal digits, as soon as somebody has had the time to read it.
    sha256: Option<String>,
}

/// Why an image cannot be loaded here; readable after "it cannot go on from the image: ".
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocateError {
    #[error("the nest that it came from is gone, and its memory was not kept")]
    NoBase,
    #[error("it was taken by {then}, and this is {now}")]
    Differs { then: String, now: String },
    #[error("{path} is not what it was when it was taken")]
    Changed { path: String },
    #[error("{0}")]
    Other(String),
}

impl Bases {
    pub(super) fn open(state_dir: &Path) -> io::Result<Self> {
        let folder = state_dir.join("bases");
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(Self { folder, notes: Mutex::default(), used: Mutex::default(), seen: Mutex::default() })
    }

    /// Removes what another server has begun to write.
    pub(super) fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(NEW) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Where the memory of that nest is, and its note with the content of every file that is as it was.
    pub(super) fn complete(&self, base: &str) -> io::Result<(PathBuf, Vec<u8>)> {
        let memory = self.memory_path(base);
        let mut note = read_note(&self.note_path(base))?.ok_or(io::ErrorKind::NotFound)?;
        memory.metadata()?;
        for (path, file) in note.files.iter_mut().filter(|(_, file)| file.sha256.is_none()) {
            let Ok(opened) = File::open(path) else { continue };
            if FileNote::of(&opened).is_ok_and(|now| now.is_as_old_as(file)) {
                file.sha256 = Some(sha256(&opened)?);
            }
        }
        Ok((memory, serde_json::to_vec(&note)?))
    }

    /// Takes the memory of a nest over, unless it is there.
    pub(super) fn adopt(&self, base: &str, memory: &Path, note: &Path) -> io::Result<()> {
        let is_name = !base.is_empty() && base.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_name || read_note(note)?.is_none() {
            return Err(io::Error::other("what it says of the memory that it is of cannot be read"));
        }
        // The note last: without it, there is no base.
        for (from, to) in [(memory, self.memory_path(base)), (note, self.note_path(base))] {
            if !to.exists() {
                fs::rename(from, &to)?;
            } else {
                fs::remove_file(from)?;
            }
        }
        File::open(&self.folder)?.sync_all()
    }

    /// That of the nest of that name.
    ///
    /// # Errors
    /// Where it was not kept.
    pub(crate) fn find(&self, name: &str) -> io::Result<Arc<Base>> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(base) = used.get(name).and_then(Weak::upgrade) {
            return Ok(base);
        }
        let base = Arc::new(Base { name: name.to_owned(), file: File::open(self.memory_path(name))? });
        used.insert(name.to_owned(), Arc::downgrade(&base));
        Ok(base)
    }

    fn memory_path(&self, nest: &str) -> PathBuf {
        self.folder.join(format!("{nest}.memory"))
    }

    fn note_path(&self, nest: &str) -> PathBuf {
        self.folder.join(format!("{nest}.json"))
    }

    /// Has everything there that an image of this base needs to be loaded behind another nest. Blocks for as long as the disk takes,
    /// which is long for the first image of a nest. Returns whether there are files that nobody has read yet.
    pub(crate) fn keep(&self, base: &File, image: &Image, home: &Home) -> io::Result<bool> {
        let files = image.files();
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut note = match notes.get(&home.base) {
            Some(note) => note.clone(),
            None => read_note(&self.note_path(&home.base))?.unwrap_or_else(|| Note::new(&home.build)),
        };
        let known = note.files.len();
        for file in &files {
            note.add(file, home);
        }
        let memory = self.memory_path(&home.base);
        let is_new = !memory.exists();
        if is_new {
            self.write(&memory, |file| copy_content(base, file).map(drop))?;
        }
        if is_new || note.files.len() > known || !notes.contains_key(&home.base) {
            self.write_note(&home.base, &note)?;
        }
        let is_unread = note.files.len() > known && note.files.values().any(|file| file.sha256.is_none());
        notes.insert(home.base.clone(), note);
        Ok(is_unread)
    }

    /// Reads files that nobody has read yet, so that an image can be loaded where they have the same content but were written anew.
    /// Blocks for as long as that takes.
    pub(crate) fn read_files(&self, home: &Home) -> io::Result<()> {
        let lock = || self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let unread: Vec<String> = match lock().get(&home.base) {
            Some(note) => {
                note.files.iter().filter(|(_, file)| file.sha256.is_none()).map(|(path, _)| path.clone()).collect()
            }
            None => return Ok(()),
        };
        if unread.is_empty() {
            return Ok(());
        }
        let read: Vec<_> = unread
            .into_iter()
            .filter_map(|path| {
                let file = open(home, path.as_bytes()).ok()?;
                let before = FileNote::of(&file).ok()?;
                let began = Instant::now();
                let sha256 = sha256(&file).ok()?;
                // There is time: others are in a hurry.
                std::thread::sleep(began.elapsed());
                Some((path, FileNote { sha256: Some(sha256), ..before }))
            })
            .collect();
        let mut notes = lock();
        let Some(note) = notes.get_mut(&home.base) else { return Ok(()) };
        for (path, file) in read {
            // It may have changed since: then nobody knows what it was.
            if note.files.get(&path).is_some_and(|known| known.is_as_old_as(&file)) {
                note.files.insert(path, file);
            }
        }
        let note = note.clone();
        self.write_note(&home.base, &note)
    }

    /// An image of the base of that name, as it is here.
    pub(crate) fn locate(&self, base: &str, image: Image, home: &Home) -> Result<Image, LocateError> {
        let other = |error: io::Error| LocateError::Other(error.to_string());
        let note = read_note(&self.note_path(base)).map_err(other)?.ok_or(LocateError::NoBase)?;
        let here = Note::new(&home.build);
        for (then, now) in
            [(&note.build, &here.build), (&note.kernel, &here.kernel), (&note.processor, &here.processor)]
        {
            if then != now {
                return Err(LocateError::Differs { then: then.clone(), now: now.clone() });
            }
        }
        let mut changed = None;
        let located = image.relocated(|file| {
            let path = String::from_utf8_lossy(&file.path).into_owned();
            let opened = open(home, &file.path)?;
            if self.is_same(&note, &path, &opened)? {
                return Ok(opened);
            }
            changed = Some(path);
            Err(io::ErrorKind::NotFound.into())
        });
        match (located, changed) {
            (Ok(located), _) => Ok(located),
            (Err(_), Some(path)) => Err(LocateError::Changed { path }),
            (Err(error), None) => Err(other(error)),
        }
    }

    /// Whether that file has the content that the one of this path had.
    fn is_same(&self, note: &Note, path: &str, file: &File) -> io::Result<bool> {
        let Some(then) = note.files.get(path) else { return Ok(false) };
        let now = FileNote::of(file)?;
        if then.is_as_old_as(&now) {
            return Ok(true);
        }
        if then.bytes != now.bytes || then.sha256.is_none() {
            return Ok(false);
        }
        let lock = || self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = lock().get(path).filter(|seen| seen.is_as_old_as(&now)).cloned();
        let read = match seen {
            Some(seen) => seen,
            None => {
                let read = FileNote { sha256: Some(sha256(file)?), ..now };
                lock().insert(path.to_owned(), read.clone());
                read
            }
        };
        Ok(read.sha256 == then.sha256)
    }

    /// Whether there are any that are of none of these nests.
    pub(super) fn has_others(&self, nests: &HashSet<String>) -> bool {
        let Ok(entries) = fs::read_dir(&self.folder) else { return false };
        entries.flatten().any(|entry| {
            let path = entry.path();
            path.file_stem().and_then(|stem| stem.to_str()).is_none_or(|stem| !nests.contains(stem))
        })
    }

    /// Removes those of which there are no sessions, and that are of none of these nests.
    pub(super) fn retain(&self, nests: &HashSet<String>) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, base| base.strong_count() > 0);
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            let nest = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            // Somebody may be about to put there what is of one that has just come.
            let is_old = entry.metadata().is_ok_and(|metadata| age(&metadata) > YOUNG_MAX);
            if is_old && !nests.contains(&nest) && !used.contains_key(&nest) {
                notes.remove(&nest);
                if let Err(error) = fs::remove_file(&path) {
                    tracing::error!(%error, path = %path.display(), "failed to remove a nest's memory");
                }
            }
        }
    }

    fn write_note(&self, nest: &str, note: &Note) -> io::Result<()> {
        let bytes = serde_json::to_vec(note)?;
        self.write(&self.note_path(nest), |mut file| io::Write::write_all(&mut file, &bytes))
    }

    /// A file that is there as a whole or not at all.
    fn write(&self, path: &Path, fill: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
        let new = self.folder.join(format!("{NEW}{}", super::unique()));
        let written = (|| {
            let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&new)?;
            fill(&file)?;
            file.sync_all()?;
            fs::rename(&new, path)?;
            File::open(&self.folder)?.sync_all()
        })();
        if written.is_err() {
            // What is left of it is cleared away by the next server at the latest.
            let _ = fs::remove_file(&new);
        }
        written
    }
}

impl Note {
    fn new(build: &str) -> Self {
        let uname = rustix::system::uname();
        let word = |word: &std::ffi::CStr| word.to_string_lossy().into_owned();
        let kernel = format!("{} {} {}", word(uname.release()), word(uname.version()), word(uname.machine()));
        let (build, processor) = (format!("build {build} of eggbox"), processor());
        Self { version: VERSION, build, kernel: format!("Linux {kernel}"), processor, files: BTreeMap::new() }
    }

    fn add(&mut self, file: &MappedFile, home: &Home) {
        let path = String::from_utf8_lossy(&file.path).into_owned();
        if self.files.contains_key(&path) {
            return;
        }
        // What is not there in the nest is a session's own, of which every other has another.
        let Ok(opened) = open(home, &file.path) else { return };
        if !file.is(&opened).unwrap_or(false) {
            return;
        }
        if let Ok(mut note) = FileNote::of(&opened) {
            if opened.metadata().is_ok_and(|metadata| is_of_nest(&metadata)) {
                // It is written anew for every nest.
                note.sha256 = sha256(&opened).ok();
            }
            self.files.insert(path, note);
        }
    }
}

impl FileNote {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Ok(Self { bytes: metadata.len(), modified, sha256: None })
    }

    fn is_as_old_as(&self, other: &Self) -> bool {
        (self.bytes, self.modified) == (other.bytes, other.modified)
    }
}

/// Since a file came to its name.
fn age(metadata: &fs::Metadata) -> Duration {
    let came = SystemTime::UNIX_EPOCH + Duration::from_secs(metadata.ctime().unsigned_abs());
    SystemTime::now().duration_since(came).unwrap_or_default()
}

/// One that is made with a nest is small, and young.
fn is_of_nest(metadata: &fs::Metadata) -> bool {
    const SMALL: u64 = 16 << 20;
    metadata.len() <= SMALL && metadata.dev() != 0 && is_in_memory(metadata.dev())
}

/// The device has no number of a disk's.
fn is_in_memory(device: u64) -> bool {
    rustix::fs::major(device) == 0
}

/// The file of that path as sessions see it.
fn open(home: &Home, path: &[u8]) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(home.root.as_fd(), path, flags, Mode::empty(), resolve)?.into())
}

fn read_note(path: &Path) -> io::Result<Option<Note>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let note: Note = serde_json::from_slice(&bytes)?;
    Ok(Some(note).filter(|note| note.version == VERSION))
}

fn sha256(mut file: &File) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut portion = vec![0; PORTION_BYTES];
    loop {
        match file.read(&mut portion)? {
            0 => break,
            count => hash.update(&portion[..count]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What code can rely on that was compiled for it, or has asked (proc_cpuinfo(5)).
fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    let features = Sha256::digest([line("flags"), line("Features")].concat());
    let features: String = features.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("a processor with the features {features}")
}
