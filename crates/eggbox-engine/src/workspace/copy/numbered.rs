//! Files that are to have the numbers that others have had, as whoever has those open tells them by it.
//!
//! A file system in memory counts its files, and gives no number twice: whoever makes files until it is that one's turn has it. So this
//! comes before anything else is made in there.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;

use rustix::fs::{Mode, OFlags, fstat, openat};

use crate::workspace::folder::Folder;

/// How far they may lie behind the first number that can be had: each that is passed over costs some microseconds.
const PASSED_MAX: u64 = 20_000;

/// The paths of such files in one tree, by their numbers.
pub(super) type Wanted = BTreeMap<u64, Vec<u8>>;

/// By their paths; they have no names yet.
#[derive(Debug, Default)]
pub(super) struct Numbered(HashMap<Vec<u8>, File>);

impl Numbered {
    /// Makes those of `wanted` that can still be had.
    pub(super) fn make(folder: &Folder, wanted: Wanted) -> Self {
        let mut made = HashMap::new();
        let mut wanted = wanted.into_iter().peekable();
        let mut first = None;
        while let Some((number, _)) = wanted.peek() {
            let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
            let file = openat(folder.root(), ".", flags, Mode::RUSR | Mode::WUSR);
            let Ok((file, stat)) = file.and_then(|file| fstat(&file).map(|stat| (file, stat))) else {
                // There is no room, or it is a file system of another kind. Whoever makes files hears of it.
                break;
            };
            match stat.st_ino.cmp(number) {
                // Those that follow are as far at least.
                Ordering::Less if number - *first.get_or_insert(stat.st_ino) > PASSED_MAX => break,
                Ordering::Less => {}
                Ordering::Equal => {
                    made.extend(wanted.next().map(|(_, path)| (path, file.into())));
                }
                Ordering::Greater => {
                    while wanted.next_if(|(number, _)| *number < stat.st_ino).is_some() {}
                    made.extend(
                        wanted.next_if(|(number, _)| *number == stat.st_ino).map(|(_, path)| (path, file.into())),
                    );
                }
            }
        }
        Self(made)
    }

    /// That which is to be at `path`.
    pub(super) fn take(&mut self, path: &[u8]) -> Option<File> {
        self.0.remove(path)
    }
}
