//! Checkpoints in the server's own folder: each a folder there, as a whole or not at all, that nobody but the server reads.
//!
//! One that is being made has a name that says so, and gets another when everything is written. One that is removed loses its
//! manifest first: whatever has none is cleared away by the next server.

mod bases;
mod draft;
mod manifest;
mod stored;
mod transfer;

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use eggbox_sandbox::checkpoint::compact;
use rustix::fs::{Mode, OFlags};
use uuid::Uuid;

pub(crate) use self::bases::{Base, Bases, Home, LocateError};
pub(crate) use self::draft::{Draft, Drawn};
pub use self::manifest::CheckpointKind;
pub(crate) use self::manifest::Manifest;
use self::stored::clear;
pub(crate) use self::stored::{Stored, Taken};
pub use self::transfer::{TransferError, export_checkpoint, import_checkpoint};
use crate::checkpoint_id::CheckpointId;
use crate::history::Record;
use crate::owner::Owner;
use crate::session_id::SessionId;

/// Where they are, in the state directory.
const FOLDER: &str = "checkpoints";
/// How often it is looked for those that others have put there.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// How many checkpoints a session has at most that nobody has asked for one by one; the oldest goes.
const AUTOMATIC_MAX: usize = 4;

/// What all checkpoints of a server may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointLimits {
    /// Bytes in the state directory.
    pub bytes_max: u64,
    /// A checkpoint that is this old is removed.
    pub kept_max: Duration,
}

/// Every checkpoint of a server.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    limits: CheckpointLimits,
    /// Bytes of the disk that they take, those among them that are removed and still in use.
    used: Arc<AtomicU64>,
    index: Mutex<Index>,
    bases: Arc<Bases>,
    /// Held while one is made, and by whoever removes what none is of.
    making: RwLock<()>,
}

#[derive(Debug, Default)]
struct Index {
    each: HashMap<CheckpointId, Arc<Stored>>,
    /// When the folder was read last.
    looked: Option<Instant>,
}

/// Why there is no checkpoint.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("there is a checkpoint of that name")]
    Exists,
    #[error("there is no room for it within the {bytes_max} bytes that checkpoints may take")]
    Full { bytes_max: u64 },
    #[error("it cannot be written down")]
    Io(#[from] io::Error),
}

impl Checkpoints {
    /// Those in the state directory. What is left of others is cleared away.
    pub(crate) fn open(state_dir: &Path, limits: CheckpointLimits) -> io::Result<Self> {
        let folder = state_dir.join(FOLDER);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        // As the kernel names what is mapped.
        let folder = folder.canonicalize()?;
        let bases = Arc::new(Bases::open(state_dir)?);
        bases.clear()?;
        let (used, index, making) = (Arc::default(), Mutex::default(), RwLock::default());
        let checkpoints = Self { folder, limits, used, index, bases, making };
        checkpoints.read(true)?;
        Ok(checkpoints)
    }

    /// Looks for those that are not known. Clears away what is left of others where nobody else can be making any.
    fn read(&self, is_first: bool) -> io::Result<()> {
        let mut index = self.index();
        index.looked = Some(Instant::now());
        let known: HashSet<PathBuf> = index.each.values().map(|stored| stored.folder.clone()).collect();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let path = entry.path();
            let is_new = entry.file_name().to_string_lossy().starts_with(draft::NEW);
            if known.contains(&path) || is_new && !is_first {
                continue;
            }
            match if is_new { Ok(None) } else { Manifest::read(&path) } {
                Ok(Some(manifest)) if index.each.contains_key(&manifest.id) => {
                    let (path, id) = (path.display(), &manifest.id);
                    tracing::error!(%path, %id, "there is another checkpoint of that name: this one is left where it is");
                }
                Ok(Some(manifest)) if manifest.is_of_this_boot() => {
                    let stored = Stored::new(path, manifest, &self.used);
                    index.each.insert(stored.manifest.id.clone(), Arc::new(stored));
                }
                Ok(_) if is_first => clear(&path),
                // It is on its way here or away.
                Ok(_) => {}
                Err(error) => {
                    let path = path.display();
                    tracing::error!(%error, %path, "a checkpoint cannot be read, and is left where it is");
                }
            }
        }
        Ok(())
    }

    /// Looks for those that somebody has put there, unless that was done just now.
    fn look_again(&self) {
        let is_due = self.index().looked.is_none_or(|looked| looked.elapsed() >= LOOK_PAUSE);
        if is_due && let Err(error) = self.read(false) {
            tracing::error!(%error, "failed to look for checkpoints");
        }
    }

    pub(crate) fn bases(&self) -> &Bases {
        &self.bases
    }

    /// Where they are, without links on the way.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        // Every change leaves it whole.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The beginning of another.
    pub(crate) fn draft(&self) -> io::Result<Draft> {
        Draft::begin(&self.folder)
    }

    /// Makes it one of them, with what was drawn. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// Where there is one of that name, or no room; the draft is cleared away then.
    pub(crate) fn commit(
        &self,
        mut manifest: Manifest,
        Drawn { draft, home, base, mut image, memory, .. }: Drawn,
    ) -> Result<Arc<Stored>, StoreError> {
        if let Some(memory) = &memory {
            // Before any of it is written.
            self.make_room(memory.file().metadata()?.len() + manifest.bytes)?;
            image = Arc::new(compact(&image, memory.file(), &base, draft.memory())?);
        }
        manifest.bytes += draft.memory().metadata()?.len();
        self.make_room(manifest.bytes)?;
        let _making = self.making.read().unwrap_or_else(PoisonError::into_inner);
        if self.bases.keep(&base, &image, &home)? {
            let bases = Arc::clone(&self.bases);
            std::thread::spawn(move || {
                if let Err(error) = bases.read_files(&home) {
                    tracing::error!(%error, "failed to write down what sessions have mapped");
                }
            });
        }
        // Before its name is everybody's to see, or a crash would leave two of it.
        if self.is_known(&manifest.id) {
            return Err(StoreError::Exists);
        }
        let folder = draft.commit(&manifest)?;
        let (kind, session) = (manifest.kind, manifest.record.clone());
        let stored = self.insert(folder, manifest)?;
        if kind == CheckpointKind::Automatic {
            let mut others = self.automatic(&session);
            others.truncate(others.len().saturating_sub(AUTOMATIC_MAX));
            for other in others {
                self.remove(&other);
            }
        }
        Ok(stored)
    }

    /// Has one be found that has its place.
    fn insert(&self, folder: PathBuf, manifest: Manifest) -> Result<Arc<Stored>, StoreError> {
        let mut index = self.index();
        match index.each.get(&manifest.id).cloned() {
            // Somebody has looked for others since it has its name.
            Some(there) if there.folder == folder => Ok(there),
            Some(_) => {
                drop(index);
                Stored::new(folder, manifest, &self.used).discard();
                Err(StoreError::Exists)
            }
            None => {
                let stored = Arc::new(Stored::new(folder, manifest, &self.used));
                index.each.insert(stored.manifest.id.clone(), Arc::clone(&stored));
                Ok(stored)
            }
        }
    }

    fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// How many bytes another may have at most.
    pub(crate) fn room(&self) -> u64 {
        let index = self.index();
        let manifests = index.each.values().map(|stored| &stored.manifest);
        let automatic = manifests.filter(|manifest| manifest.kind == CheckpointKind::Automatic);
        let automatic: u64 = automatic.map(|manifest| manifest.bytes).sum();
        self.limits.bytes_max.saturating_sub(self.used().saturating_sub(automatic))
    }

    /// Has so many bytes free. Where that takes it, those go that nobody has asked for: of the owner who has most of them, the oldest.
    /// None goes in vain.
    fn make_room(&self, bytes: u64) -> Result<(), StoreError> {
        let bytes_max = self.limits.bytes_max;
        if bytes > self.room() {
            return Err(StoreError::Full { bytes_max });
        }
        while self.used().saturating_add(bytes) > bytes_max {
            let mut of_owners: HashMap<Option<Owner>, (u64, Arc<Stored>)> = HashMap::new();
            for stored in self.sorted(|manifest| manifest.kind == CheckpointKind::Automatic) {
                let owner = stored.manifest.id.owner().cloned();
                let own = stored.manifest.bytes;
                of_owners.entry(owner).and_modify(|(sum, _)| *sum += own).or_insert((own, stored));
            }
            let largest = of_owners.into_values().max_by_key(|(sum, _)| *sum);
            let (_, oldest) = largest.ok_or(StoreError::Full { bytes_max })?;
            self.remove(&oldest);
        }
        Ok(())
    }

    /// An empty file for an image, on the disk, that is gone when nobody has it any more.
    pub(crate) fn scratch_file(&self) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        Ok(rustix::fs::open(&self.folder, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// The room that such a file takes, for as long as this is there.
    pub(crate) fn scratch(&self, bytes: u64) -> Result<Taken, StoreError> {
        self.make_room(bytes)?;
        Ok(Taken::new(&self.used, bytes))
    }

    /// Whether there is one of that name, as far as is known without looking.
    pub(crate) fn is_known(&self, id: &CheckpointId) -> bool {
        self.index().each.contains_key(id)
    }

    /// That of this name, which somebody may just have put there.
    pub(crate) fn find(&self, id: &CheckpointId) -> Option<Arc<Stored>> {
        let find = || self.index().each.get(id).cloned();
        find().or_else(|| {
            self.look_again();
            find()
        })
    }

    /// Those of an owner, by the time at which they were made: of that session, or of all of them.
    pub(crate) fn list(&self, owner: Option<&Owner>, session: Option<&SessionId>) -> Vec<Arc<Stored>> {
        self.look_again();
        self.sorted(|manifest| {
            manifest.kind != CheckpointKind::Asleep
                && manifest.id.owner() == owner
                && session.is_none_or(|session| manifest.session == *session)
        })
    }

    /// Those of that session that nobody has asked for one by one, from the oldest.
    fn automatic(&self, session: &Record) -> Vec<Arc<Stored>> {
        // Others of the same name are other sessions.
        let is_its = |record: &Record| record.id == session.id && record.created_at == session.created_at;
        self.sorted(|manifest| manifest.kind == CheckpointKind::Automatic && is_its(&manifest.record))
    }

    /// The last of those, where it was taken after the execution of that number and before any other.
    pub(crate) fn last_automatic(&self, session: &Record, executions: u64) -> Option<Arc<Stored>> {
        self.automatic(session).pop().filter(|stored| stored.manifest.executions == executions)
    }

    /// Every session that sleeps.
    pub(crate) fn asleep(&self) -> Vec<Arc<Stored>> {
        self.sorted(|manifest| manifest.kind == CheckpointKind::Asleep)
    }

    /// Has every session that sleeps be on the disk for certain, so that it outlives the end of the host, too. Blocks for as long as the
    /// disk takes.
    ///
    /// # Errors
    /// Where the disk does not take one of them.
    pub(crate) fn make_lasting(&self) -> io::Result<()> {
        let is_wanted = |stored: &Stored| stored.manifest.kind == CheckpointKind::Asleep && stored.is_only_written();
        let written: Vec<_> = self.index().each.values().filter(|stored| is_wanted(stored)).cloned().collect();
        if written.is_empty() {
            return Ok(());
        }
        // One wait for all of them.
        rustix::fs::syncfs(File::open(&self.folder)?)?;
        written.iter().map(|stored| stored.last()).fold(Ok(()), io::Result::and)
    }

    fn sorted(&self, takes: impl Fn(&Manifest) -> bool) -> Vec<Arc<Stored>> {
        let mut found: Vec<_> = self.index().each.values().filter(|stored| takes(&stored.manifest)).cloned().collect();
        found.sort_by(|one, other| {
            let key = |stored: &Stored| (stored.manifest.created_at, stored.manifest.id.clone());
            key(one).cmp(&key(other))
        });
        found
    }

    /// How many there are, and what they take.
    pub(crate) fn usage(&self) -> (usize, u64) {
        (self.index().each.len(), self.used())
    }

    /// Removes it; whether it was there. Blocks for as long as the disk takes.
    pub(crate) fn remove(&self, stored: &Arc<Stored>) -> bool {
        {
            let mut index = self.index();
            let is_it = index.each.get(&stored.manifest.id).is_some_and(|there| Arc::ptr_eq(there, stored));
            if !is_it {
                return false;
            }
            index.each.remove(&stored.manifest.id);
            // Under the same lock: whoever looks for others does not find it again.
            stored.discard();
        }
        true
    }

    /// Removes those that nobody has asked for one by one, of a session that is gone.
    pub(crate) fn forget_session(&self, session: &Record) {
        for stored in self.automatic(session) {
            self.remove(&stored);
        }
    }

    /// Removes what is too old, but for sessions that sleep, which have an age of their own.
    pub(crate) fn expire(&self) {
        let now = SystemTime::now();
        let old = self.sorted(|manifest| {
            let age = now.duration_since(manifest.created_at).unwrap_or_default();
            manifest.kind != CheckpointKind::Asleep && age > self.limits.kept_max
        });
        for stored in old {
            self.remove(&stored);
        }
        // Unless one is being made just now, which may be of any of them.
        if let Ok(_making) = self.making.try_write()
            && self.bases.has_others(&self.base_names())
        {
            self.look_again();
            self.bases.retain(&self.base_names());
        }
    }

    /// The nests that have the bases of these.
    fn base_names(&self) -> HashSet<String> {
        self.index().each.values().map(|stored| stored.manifest.base.clone()).collect()
    }

    /// When one that was made then is too old.
    pub(crate) fn expires(&self, created_at: SystemTime) -> SystemTime {
        created_at.checked_add(self.limits.kept_max).unwrap_or(created_at)
    }
}

/// A name that no other folder has.
fn unique() -> String {
    Uuid::now_v7().to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::history::Record;

    const LIMITS: CheckpointLimits = CheckpointLimits { bytes_max: 1 << 20, kept_max: Duration::from_secs(1000) };

    fn manifest(name: String, kind: CheckpointKind) -> Manifest {
        let id = SessionId::try_from(name).unwrap();
        Manifest::new(id.clone().into(), kind, Record::new(id, 0), ["n".to_owned(), "n".to_owned()])
    }

    /// As a commit does it that is at its end.
    fn put(checkpoints: &Checkpoints, manifest: Manifest) -> Result<Arc<Stored>, StoreError> {
        checkpoints.make_room(manifest.bytes)?;
        let draft = checkpoints.draft()?;
        draft.memory().set_len(manifest.bytes)?;
        let folder = draft.commit(&manifest)?;
        checkpoints.insert(folder, manifest)
    }

    #[test]
    fn whoever_looks_meanwhile_finds_what_is_made_and_takes_nothing_away() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::open(folder.path(), LIMITS).unwrap();
        let made = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for maker in 0..2 {
                let (checkpoints, made) = (&checkpoints, &made);
                scope.spawn(move || {
                    for number in 0..40 {
                        put(checkpoints, manifest(format!("{maker}-{number}"), CheckpointKind::Automatic)).unwrap();
                        made.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            while made.load(Ordering::Relaxed) < 80 {
                checkpoints.read(false).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        assert_eq!((checkpoints.usage().0, fs::read_dir(checkpoints.folder()).unwrap().count()), (80, 80));
        let taken = put(&checkpoints, manifest("0-0".to_owned(), CheckpointKind::Automatic));
        assert!(matches!(taken, Err(StoreError::Exists)), "{taken:?}");
        drop(checkpoints);
        assert_eq!(Checkpoints::open(folder.path(), LIMITS).unwrap().usage().0, 80);
    }

    #[test]
    fn room_is_made_by_those_that_nobody_has_asked_for_and_only_where_that_is_enough() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::open(folder.path(), LIMITS).unwrap();
        let of = |name: &str, kind, bytes| {
            let mut manifest = manifest(name.to_owned(), kind);
            manifest.bytes = bytes;
            put(&checkpoints, manifest)
        };
        of("asked", CheckpointKind::Asked, 300_000).unwrap();
        for name in ["first", "second"] {
            of(name, CheckpointKind::Automatic, 300_000).unwrap();
        }
        assert!(matches!(of("large", CheckpointKind::Asked, 800_000), Err(StoreError::Full { .. })));
        assert_eq!(checkpoints.usage(), (3, 900_000));
        of("fits", CheckpointKind::Asked, 400_000).unwrap();
        let names =
            checkpoints.list(None, None).iter().map(|stored| stored.manifest.id.to_string()).collect::<Vec<_>>();
        assert_eq!(names, ["asked", "second", "fits"]);
        // What somebody still has of one that is removed is not room yet.
        let shown = checkpoints.list(None, None)[0].memory_room();
        let asked = checkpoints.list(None, None)[0].clone();
        assert!(checkpoints.remove(&asked));
        drop(asked);
        assert_eq!(checkpoints.usage(), (2, 1_000_000));
        drop(shown);
        assert_eq!(checkpoints.usage(), (2, 700_000));
    }
}
