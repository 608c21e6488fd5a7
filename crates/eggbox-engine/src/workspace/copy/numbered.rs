//! Files that are to have the numbers that others have had, as whoever has those open tells them by it.
//!
//! A file system in memory counts its files, and gives no number twice: whoever makes files until it is that one's turn has it. So this
//! comes before anything else is made in there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;

use rustix::fs::{FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use crate::workspace::folder::Folder;

/// How many numbers are passed over for the sake of all files of a copy: each costs some microseconds.
pub(super) const PASSED_MAX: u64 = 20_000;

/// The paths of such files in one tree, by the numbers that they are to have.
pub(super) type Wanted = BTreeMap<u64, Vec<u8>>;

/// What the files of a tree that is read are to be numbered, by the numbers that they have there: once for all of a file's names.
#[derive(Debug, Default)]
pub(super) struct Numbers(HashMap<u64, u64>);

impl Numbers {
    /// Those of the files that are there.
    pub(super) fn find(folder: &Folder, wanted: &Wanted) -> Self {
        let regular = |path: &[u8]| {
            let stat = fstat(folder.handle(path)?)?;
            Ok::<_, Errno>((FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then_some(stat.st_ino))
        };
        let found = wanted.iter().filter_map(|(number, path)| Some((regular(path).ok().flatten()?, *number)));
        Self(found.collect())
    }

    pub(super) fn get(&self, inode: u64) -> Option<u64> {
        self.0.get(&inode).copied()
    }

    pub(super) fn all(&self) -> BTreeSet<u64> {
        self.0.values().copied().collect()
    }
}

/// By their numbers; they have no names yet.
#[derive(Debug, Default)]
pub(super) struct Numbered(HashMap<u64, File>);

impl Numbered {
    /// Makes those of `wanted` that can still be had, for which `left` numbers more may be passed over.
    pub(super) fn make(folder: &Folder, mut wanted: BTreeSet<u64>, left: &mut u64) -> Self {
        let mut made = HashMap::new();
        while let Some(first) = wanted.first().copied() {
            let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
            let file = openat(folder.root(), ".", flags, Mode::RUSR | Mode::WUSR);
            let Ok((file, stat)) = file.and_then(|file| fstat(&file).map(|stat| (file, stat))) else {
                // There is no room, or it is a file system of another kind. Whoever makes files hears of it.
                break;
            };
            if wanted.remove(&stat.st_ino) {
                made.insert(stat.st_ino, file.into());
            } else if first.saturating_sub(stat.st_ino) >= *left {
                // Those that follow are as far at least.
                break;
            } else {
                *left -= 1;
            }
            wanted = wanted.split_off(&stat.st_ino);
        }
        Self(made)
    }

    /// That which is to have this number.
    pub(super) fn take(&mut self, number: u64) -> Option<File> {
        self.0.remove(&number)
    }

    /// Does what makes something in that tree; where there is no room for it, again without those that are not used yet.
    pub(super) fn with_room<T>(&mut self, make: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
        match make() {
            Err(Errno::NOSPC) if !self.0.is_empty() => {
                self.0.clear();
                make()
            }
            other => other,
        }
    }
}
