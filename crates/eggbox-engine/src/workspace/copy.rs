//! Trees of files made anew: one thread reads them as the one session's user, another writes them as the other's, or as the
//! server's where they are kept.

mod numbered;
mod parts;
mod writer;

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use eggbox_sandbox::checkpoint::OpenFile;
use rustix::fs::{Mode, readlinkat};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use self::numbered::{Numbered, Numbers, PASSED_MAX, Wanted};
use self::parts::{Made, Part, Parts, PartsEnd, Unread, Word, given_up};
use self::writer::Writer;
pub(crate) use self::writer::copy_content;
use super::Workspace;
use super::entry::{bytes, modified};
use super::error::{At, WorkspaceError};
use super::folder::{Folder, open_closed};
use super::place::{Files, Tree, Trees};
use super::removal;
use super::walk::{Closed, Reach, Step, What, present, text, walk};
use super::workers::{Workers, internal, start, start_with_all};

/// How large files are whose content comes instead of them, so that whatever they are of need not wait until it is written.
const SMALL_BYTES_MAX: u64 = 64 << 10;
/// What stat(2) counts the room of a file in.
const STAT_BLOCK_BYTES: u64 = 512;
/// What a copy keeps of a mode: nothing that gives whoever runs it another's rights.
const MODE: u32 = 0o1777;
pub(super) async fn copy(from: &Workspace, to: &Workspace) -> Result<(), WorkspaceError> {
    let _walk = from.workers.walk().await?;
    let bytes_max = from.workers.workspace_bytes_max;
    let (mut sender, parts, _) = Parts::new();
    start(from.place.clone(), move |folder| {
        let read = folder
            .and_then(|folder| read(&folder, &Reach::all(Closed::Opened, bytes_max), &Numbers::default(), &mut sender));
        sender.end(read);
    })?;
    let (reply, written) = oneshot::channel();
    start(to.place.clone(), move |folder| {
        let _ = reply.send(folder.and_then(|folder| Writer::new(folder, Numbered::default())?.write(parts)));
    })?;
    written.await.unwrap_or_else(|_| Err(broken()))?;
    Ok(())
}

/// All trees that code can write to, being copied. It does not begin before it is told to.
#[derive(Debug)]
pub(crate) struct Copying {
    begin: Option<oneshot::Sender<(OwnedSemaphorePermit, Vec<Wanted>)>>,
    /// Where those are that a session has, in whose place they are made.
    tree: Option<Tree>,
    read: mpsc::Receiver<Infallible>,
    written: Written,
}

#[derive(Debug)]
enum Written {
    Later(oneshot::Receiver<Result<u64, WorkspaceError>>),
    /// So many.
    Bytes(u64),
}

impl Copying {
    /// Makes ready for it. What is there where they are copied to, is gone, where that is a session.
    pub(crate) fn prepare(from: &Files, to: &Files, workers: &Workers) -> Result<Self, WorkspaceError> {
        let bytes_max = workers.workspace_bytes_max.max(workers.scratch_bytes_max);
        let (mut sender, parts, read) = Parts::new();
        let (begin, begun) = oneshot::channel();
        start_with_all(from.clone(), move |trees| {
            let begun = begun.blocking_recv().map_err(|_| given_up());
            let read = trees.and_then(|trees| Ok((trees, begun?)));
            // Its turn is over when all of it is read, whatever becomes of that.
            let read = read.and_then(|(trees, (_walk, wanted))| read_all(trees, wanted, bytes_max, &mut sender));
            sender.end(read);
        })?;
        let (reply, written) = oneshot::channel();
        start_with_all(to.clone(), move |trees| {
            let _ = reply.send(trees.and_then(|trees| write_all(trees, parts)));
        })?;
        let tree = match to {
            Files::OfSession(place) => Some(place.tree.clone()),
            Files::Kept(_) => None,
        };
        Ok(Self { begin: Some(begin), tree, read, written: Written::Later(written) })
    }

    /// Has it begin, when it is its turn. Copies of files that are open get the numbers that those have, where a session has them and they
    /// can still be had.
    pub(crate) async fn begin(&mut self, workers: &Workers, open: &[OpenFile]) -> Result<(), WorkspaceError> {
        if let Some(begin) = self.begin.take() {
            let wanted = self.tree.as_ref().map(|tree| wanted(tree, open)).unwrap_or_default();
            let _ = begin.send((workers.walk().await?, wanted));
        }
        Ok(())
    }

    /// Returns when all of it is read, or nothing more is: whatever it is of may change then.
    pub(crate) async fn read(&mut self) {
        let _ = self.read.recv().await;
    }

    /// Returns when all of it is written, and how many bytes that are.
    pub(crate) async fn written(&mut self) -> Result<u64, WorkspaceError> {
        match &mut self.written {
            Written::Bytes(bytes) => Ok(*bytes),
            Written::Later(later) => {
                let written = later.await.unwrap_or_else(|_| Err(broken()));
                // It is told once why it could not be written.
                self.written = Written::Bytes(written.as_ref().copied().unwrap_or_default());
                written
            }
        }
    }

    /// Returns when nothing more is written. What has begun comes to its end.
    pub(crate) async fn give_up(&mut self) {
        self.begin = None;
        let _ = self.written().await;
    }
}

/// Which of those files are in which tree.
fn wanted(tree: &Tree, open: &[OpenFile]) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for OpenFile { path, inode } in open {
        if let Some((number, path)) = tree.find(Path::new(path)) {
            wanted.resize_with(wanted.len().max(number + 1), Wanted::new);
            wanted[number].insert(*inode, path.as_os_str().as_bytes().to_vec());
        }
    }
    wanted
}

fn read_all(trees: Trees, wanted: Vec<Wanted>, bytes_max: u64, parts: &mut Parts) -> Result<(), WorkspaceError> {
    let (mut number, mut wanted) = (0, wanted.into_iter());
    while let Some((folder, shown)) = trees.get(number)? {
        let numbers = Numbers::find(&folder, &wanted.next().unwrap_or_default());
        parts.send(Word::Tree(number, numbers.all()))?;
        read(&folder, &Reach { closed: Closed::Opened, bytes_max, left_out: &shown }, &numbers, parts)?;
        number += 1;
    }
    Ok(())
}

fn write_all(trees: Trees, mut parts: PartsEnd) -> Result<u64, WorkspaceError> {
    let (mut writer, mut bytes, mut left) = (None::<Writer>, 0, PASSED_MAX);
    while let Some(words) = parts.blocking_recv() {
        for word in words? {
            match (word, &mut writer) {
                (Word::Part(part), Some(writer)) => writer.make(part)?,
                (Word::Part(_), None) => return Err(internal("a part came before its tree")),
                (Word::Tree(number, wanted), before) => {
                    bytes += before.take().map_or(Ok(0), Writer::end)?;
                    let (folder, shown) = trees.get_or_make(number)?;
                    if shown.is_empty() {
                        removal::empty(&folder)?;
                    }
                    let numbered = Numbered::make(&folder, wanted, &mut left);
                    writer = Some(Writer::new(folder, numbered)?);
                }
            }
        }
    }
    Ok(bytes + writer.map_or(Ok(0), Writer::end)?)
}

fn broken() -> WorkspaceError {
    internal("a thread that copied files has panicked")
}

fn read(folder: &Folder, reach: &Reach<'_>, numbers: &Numbers, parts: &mut Parts) -> Result<(), WorkspaceError> {
    // The first names of files that have several.
    let mut first_names: HashMap<u64, Vec<u8>> = HashMap::new();
    walk(folder.open_folder("")?, reach, |step| {
        let Some(made) = part(&step, &mut first_names, &parts.unread)? else { return Ok(()) };
        let mode = Mode::from_raw_mode(step.stat.st_mode & MODE);
        let number = numbers.get(step.stat.st_ino);
        let part = Part { name: step.name.clone(), made, mode, modified: modified(step.stat), number };
        parts.send(Word::Part(part))
    })
}

fn part(
    step: &Step<'_>,
    first_names: &mut HashMap<u64, Vec<u8>>,
    unread: &Unread,
) -> Result<Option<Made>, WorkspaceError> {
    Ok(match step.what {
        What::Folder => Some(Made::Folder),
        What::FolderEnd => Some(Made::FolderEnd),
        What::Link => {
            let target = present(readlinkat(step.folder, &**step.name, Vec::new())).at(&text(step.path))?;
            target.map(Made::Link)
        }
        What::File => {
            if let Some(first) = first_names.get(&step.stat.st_ino) {
                return Ok(Some(Made::Same(first.clone())));
            }
            let opened = present(open_closed(step.folder, step.name)).at(&text(step.path))?.flatten();
            let Some(file) = opened else { return Ok(None) };
            if step.stat.st_nlink > 1 {
                first_names.insert(step.stat.st_ino, step.path.to_vec());
            }
            let size = bytes(step.stat);
            // One with holes is copied as such.
            let is_whole = step.stat.st_blocks.cast_unsigned() * STAT_BLOCK_BYTES >= size;
            Some(if size <= SMALL_BYTES_MAX && is_whole {
                let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
                file.take(size).read_to_end(&mut content).map_err(WorkspaceError::Internal)?;
                Made::Content(content)
            } else {
                Made::File(file, unread.clone())
            })
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fs::{self, File};
    use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
    use std::path::Path;
    use std::sync::Arc;

    use rustix::fs::{AtFlags, CWD, FileType, OFlags, mknodat, open, utimensat};

    use super::super::place::Shown;
    use super::parts::{FILES_MAX, WORDS_MAX};
    use super::writer::{BLOCK_BYTES, BUFFER_BYTES, times};
    use super::*;

    /// The users that read and write, where the test may be two.
    const USERS: [u32; 2] = [0x7100_0001, 0x7100_0002];

    fn become_user(user: u32) {
        if rustix::process::geteuid().is_root() {
            eggbox_sandbox::reach_files_as(user).unwrap();
        }
    }

    #[test]
    fn all_trees_are_kept_and_come_back_in_the_place_of_what_is_there() {
        let kept = tempfile::tempdir().unwrap();
        let trees: [_; 2] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
        let opened = || Trees::OfSession(trees.iter().map(|tree| (handle(tree.path()), Shown::default())).collect());
        let copy_trees = |from: Trees, to: Trees| {
            let (mut sender, parts, _) = Parts::new();
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    let read = read_all(from, Vec::new(), 1 << 20, &mut sender);
                    sender.end(read);
                });
                scope.spawn(move || write_all(to, parts)).join().unwrap()
            })
        };
        fs::write(trees[0].path().join("a"), "12345").unwrap();
        fs::create_dir_all(trees[1].path().join("b/c")).unwrap();
        let open_kept = || Files::Kept(kept.path().to_owned()).open().unwrap();
        assert_eq!(copy_trees(opened(), open_kept()).unwrap(), 4 * BLOCK_BYTES);
        fs::write(trees[0].path().join("a"), "other").unwrap();
        fs::write(trees[0].path().join("new"), "").unwrap();
        fs::remove_dir_all(trees[1].path().join("b")).unwrap();
        assert_eq!(copy_trees(open_kept(), opened()).unwrap(), 4 * BLOCK_BYTES);
        assert_eq!(fs::read_to_string(trees[0].path().join("a")).unwrap(), "12345");
        assert!(!trees[0].path().join("new").exists() && trees[1].path().join("b/c").is_dir());
        // What is shown, and the way to it, is neither taken along nor touched.
        let shown = Arc::new(HashSet::from([b"way/shown".to_vec(), b"link".to_vec()]));
        let with_shown: [_; 2] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
        for (tree, text) in with_shown.iter().zip(["theirs", "its own"]) {
            fs::create_dir_all(tree.path().join("way/shown/in it")).unwrap();
            fs::write(tree.path().join("way/shown/file"), text).unwrap();
            symlink(text, tree.path().join("link")).unwrap();
        }
        fs::write(with_shown[0].path().join("code's"), "1").unwrap();
        set_mode(&with_shown[0].path().join("way"), 0o700);
        set_mode(&with_shown[1].path().join("way"), 0o755);
        let [from, to] =
            with_shown.each_ref().map(|tree| Trees::OfSession(vec![(handle(tree.path()), Arc::clone(&shown))]));
        copy_trees(from, to).unwrap();
        let came = |path: &str| fs::read_to_string(with_shown[1].path().join(path)).unwrap();
        assert_eq!((came("code's"), came("way/shown/file")), ("1".to_owned(), "its own".to_owned()));
        assert_eq!(fs::metadata(with_shown[1].path().join("way")).unwrap().mode() & 0o777, 0o755);
        // One that has no such tree.
        assert!(copy_trees(open_kept(), Trees::OfSession(Vec::new())).is_err());
    }

    /// A folder for that user alone.
    fn folder_of(user: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        if rustix::process::geteuid().is_root() {
            chown(folder.path(), Some(user), Some(user)).unwrap();
        }
        folder
    }

    fn handle(path: &Path) -> Folder {
        Folder::new(open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap())
    }

    fn copy(from: &Path, to: &Path, bytes_max: u64) -> Result<(), WorkspaceError> {
        let (from, to) = (handle(from), handle(to));
        let (mut sender, parts, _) = Parts::new();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                become_user(USERS[0]);
                let read = read(&from, &Reach::all(Closed::Opened, bytes_max), &Numbers::default(), &mut sender);
                sender.end(read);
            });
            let writer = scope.spawn(move || {
                become_user(USERS[1]);
                Writer::new(to, Numbered::default())?.write(parts).map(drop)
            });
            writer.join().unwrap()
        })
    }

    fn as_user<T: Send>(user: u32, act: impl FnOnce() -> T + Send) -> T {
        let acting = || {
            become_user(user);
            act()
        };
        std::thread::scope(|scope| scope.spawn(acting).join().unwrap())
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn files_folders_and_links_are_made_anew_as_they_were() {
        let (from, to) = (folder_of(USERS[0]), folder_of(USERS[1]));
        let at = |name: &str| from.path().join(name);
        as_user(USERS[0], || {
            fs::create_dir_all(at("shut/inner")).unwrap();
            fs::write(at("shut/inner/secret"), "secret").unwrap();
            fs::write(at("plain"), vec![7; 3 * BUFFER_BYTES + 5]).unwrap();
            fs::hard_link(at("plain"), at("shut/other name")).unwrap();
            // More than come together.
            fs::create_dir(at("many")).unwrap();
            for number in 0..=WORDS_MAX {
                fs::write(at(&format!("many/{number}")), number.to_string()).unwrap();
            }
            for size in [0, SMALL_BYTES_MAX, SMALL_BYTES_MAX + 1] {
                for number in 0..=FILES_MAX {
                    fs::write(at(&format!("{number} of {size}")), vec![3; usize::try_from(size).unwrap()]).unwrap();
                }
            }
            symlink("/etc/passwd", at("absolute")).unwrap();
            symlink("nowhere", at("dangling")).unwrap();
            mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
            let sparse = File::create(at("sparse")).unwrap();
            sparse.write_all_at(b"end", 1 << 30).unwrap();
            sparse.set_len((1 << 30) + 10).unwrap();
            File::create(at("small hole")).unwrap().set_len(60_000).unwrap();
            for path in ["plain", "shut/inner", "absolute"] {
                utimensat(CWD, at(path), &times((1_000_000_000, 5000)), AtFlags::SYMLINK_NOFOLLOW).unwrap();
            }
            for (path, mode) in [("shut/inner/secret", 0), ("shut/inner", 0o111), ("shut", 0), ("plain", 0o751)] {
                set_mode(&at(path), mode);
            }
        });
        copy(from.path(), to.path(), 2 << 30).unwrap();
        // Whoever they are of goes on with them.
        let before = |path: &str| fs::symlink_metadata(at(path)).unwrap().mode() & 0o7777;
        as_user(USERS[0], || {
            assert_eq!(before("shut"), 0);
            set_mode(&at("shut"), 0o700);
            assert_eq!(before("shut/inner"), 0o111);
            set_mode(&at("shut/inner"), 0o700);
            assert_eq!(before("shut/inner/secret"), 0);
        });
        let at = |name: &str| to.path().join(name);
        let mode = |path: &str| fs::symlink_metadata(at(path)).unwrap().mode() & 0o7777;
        assert_eq!((mode("shut"), mode("plain")), (0, 0o751));
        as_user(USERS[1], || {
            set_mode(&at("shut"), 0o700);
            assert_eq!(mode("shut/inner"), 0o111);
            let mtime = |path: &str| fs::symlink_metadata(at(path)).unwrap().mtime();
            assert_eq!(["plain", "shut/inner", "absolute"].map(mtime), [1_000_000_000; 3]);
            set_mode(&at("shut/inner"), 0o700);
            assert_eq!(mode("shut/inner/secret"), 0);
            set_mode(&at("shut/inner/secret"), 0o600);
            assert_eq!(fs::read_to_string(at("shut/inner/secret")).unwrap(), "secret");
            assert_eq!(fs::read(at("plain")).unwrap(), vec![7; 3 * BUFFER_BYTES + 5]);
            let same = |path: &str| fs::metadata(at(path)).unwrap().ino();
            assert_eq!(same("plain"), same("shut/other name"));
            assert_eq!(fs::read_link(at("absolute")).unwrap(), Path::new("/etc/passwd"));
            assert_eq!(fs::read_link(at("dangling")).unwrap(), Path::new("nowhere"));
            for number in 0..=WORDS_MAX {
                assert_eq!(fs::read_to_string(at(&format!("many/{number}"))).unwrap(), number.to_string());
            }
            for size in [0, SMALL_BYTES_MAX, SMALL_BYTES_MAX + 1] {
                let content = vec![3; usize::try_from(size).unwrap()];
                assert!((0..=FILES_MAX).all(|number| fs::read(at(&format!("{number} of {size}"))).unwrap() == content));
            }
            assert!(!at("fifo").exists());
            let sparse = fs::metadata(at("sparse")).unwrap();
            assert!(sparse.len() == (1 << 30) + 10 && sparse.blocks() * 512 < 1 << 20, "{sparse:?}");
            let small = fs::metadata(at("small hole")).unwrap();
            assert!(small.len() == 60_000 && small.blocks() == 0, "{small:?}");
            let mut end = [0; 10];
            File::open(at("sparse")).unwrap().read_exact_at(&mut end, 1 << 30).unwrap();
            assert_eq!(&end, b"end\0\0\0\0\0\0\0");
        });
    }

    #[test]
    fn what_is_too_large_is_refused_and_what_stands_in_the_way_too() {
        let (from, to) = (folder_of(USERS[0]), folder_of(USERS[1]));
        as_user(USERS[0], || fs::write(from.path().join("file"), "12345").unwrap());
        assert!(matches!(copy(from.path(), to.path(), 4), Err(WorkspaceError::TreeTooLarge(_))));
        copy(from.path(), to.path(), 5).unwrap();
        assert!(matches!(copy(from.path(), to.path(), 5), Err(WorkspaceError::Exists { .. })));
        let outside = tempfile::tempdir().unwrap();
        as_user(USERS[0], || {
            fs::create_dir(from.path().join("a")).unwrap();
            fs::write(from.path().join("a/b"), "").unwrap();
        });
        as_user(USERS[1], || symlink(outside.path(), to.path().join("a")).unwrap());
        assert!(copy(from.path(), to.path(), 5).is_err());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
