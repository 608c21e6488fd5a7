//! What a process has beside its memory: read before an image is taken, into that memory, and put up again where the image was
//! loaded. What cannot be is refused by name.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    CWD, FileType, MemfdFlags, Mode, OFlags, fcntl_getfl, fcntl_setfl, fstat, memfd_create, open, readlinkat, seek,
};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_getfd, fcntl_setfd};

use self::locks::Lock;
use super::standing;
use crate::checkpoint;
use crate::layers::rlimits;
use crate::sys::{self, inside};
use crate::wire::{OPEN_FILES_BYTES_MAX, OPEN_FILES_MAX};

mod locks;

/// Of one thread.
#[derive(Debug)]
pub(super) struct Surroundings {
    folder: PathBuf,
    umask: Mode,
    signals: inside::Signals,
    timers: inside::Timers,
    standing: standing::Changes,
    files: Vec<OpenFile>,
    locks: Vec<Lock>,
    /// The session's own streams, where they are still there.
    streams: Vec<Stream>,
    /// Those of them that code has closed.
    closed: Vec<RawFd>,
}

#[derive(Debug)]
struct Stream {
    number: RawFd,
    flags: OFlags,
    is_inherited: bool,
}

#[derive(Debug)]
struct OpenFile {
    number: RawFd,
    origin: Origin,
    flags: OFlags,
    at: u64,
    is_inherited: bool,
}

/// Where a file is had from again.
#[derive(Debug)]
enum Origin {
    Path {
        path: PathBuf,
        inode: u64,
    },
    /// It is the one that is open on this descriptor, too, which comes before it.
    Same(RawFd),
    /// It has no name that anybody could open it by: this is in it.
    Content {
        name: CString,
        content: Vec<u8>,
    },
}

/// How much files without a name may have in them together: it is in the session's memory while an image is taken.
const CONTENT_BYTES_MAX: u64 = 64 << 20;

/// What the kernel says before the name of a file in memory.
const MEMORY: &str = "/memfd:";
/// Of a name of such (memfd_create(2)).
const MEMORY_NAME_BYTES_MAX: usize = 249;
/// What the kernel says after the path of a file that is not there any more.
const DELETED: &str = " (deleted)";

/// Flags that a file is opened with again: those that say how it is used, not how it came to be.
const KEPT_FLAGS: OFlags = OFlags::RDWR
    .union(OFlags::WRONLY)
    .union(OFlags::APPEND)
    .union(OFlags::NONBLOCK)
    .union(OFlags::DIRECTORY)
    .union(OFlags::PATH)
    .union(OFlags::SYNC)
    .union(OFlags::DSYNC);

/// Devices that are the same for whoever opens them.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

impl Surroundings {
    /// Those of this process, but for the descriptors in `channel`; or why no image can have them.
    pub(super) fn read(channel: &[RawFd], streams: [u64; 3]) -> Result<Self, String> {
        let failed = |error: io::Error| format!("its surroundings cannot be read: {error}");
        let threads = inside::thread_count().map_err(failed)?;
        if threads != 1 {
            let (others, run) = (threads - 1, if threads == 2 { "thread runs" } else { "threads run" });
            return Err(format!("{others} {run} that Python does not know"));
        }
        if let Some(names) = children().map_err(failed)? {
            return Err(names);
        }
        match std::fs::read("/proc/self/timers") {
            Ok(none) if none.is_empty() => {}
            // Their numbers are the kernel's, and another process's might be others.
            Ok(_) => return Err("it has a timer of timer_create".to_owned()),
            // This kernel does not say.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        if !has_room_for_work().map_err(failed)? {
            return Err("its memory is full: what it goes on in elsewhere would find no room to begin".to_owned());
        }
        let folder = std::env::current_dir().map_err(|error| format!("its working directory is gone: {error}"))?;
        rustix::process::chdir(&folder).map_err(|error| {
            format!("its working directory, {}, could not be entered again: {error}", folder.display())
        })?;
        let umask = rustix::process::umask(Mode::empty());
        rustix::process::umask(umask);
        let signals = inside::Signals::read().map_err(failed)?;
        let timers = inside::Timers::read().map_err(failed)?;
        let standing = standing::Changes::read().map_err(failed)?;
        let numbers = open_numbers(channel)?;
        let own = |number: &RawFd| {
            let inode = usize::try_from(*number).ok().and_then(|index| streams.get(index));
            inode.is_some_and(|inode| fstat(inside::borrowed(*number)).is_ok_and(|stat| stat.st_ino == *inode))
        };
        let (own, others): (Vec<_>, Vec<_>) = numbers.iter().copied().partition(own);
        let closed = (0..3).filter(|number| !numbers.contains(number)).collect();
        let others = with_same(&others).map_err(|error| failed(error.into()))?;
        let different: Vec<_> = others.iter().filter(|(_, same)| same.is_none()).map(|(number, _)| *number).collect();
        let locks = locks::held(&different)?;
        let mut room = CONTENT_BYTES_MAX;
        let open = |(number, same): (RawFd, Option<RawFd>)| match same {
            Some(same) => same_file(number, same),
            None => file(number, &mut room),
        };
        let files: Result<_, _> = others.into_iter().map(open).collect();
        // Files were opened a second time, and closed.
        locks.iter().filter(|lock| lock.is_lost_easily()).try_for_each(Lock::take).map_err(failed)?;
        let streams = own.into_iter().map(stream).collect::<Result<_, _>>()?;
        Ok(Self { folder, umask, signals, timers, standing, files: files?, locks, streams, closed })
    }

    /// Its files that copies are to be had of, as far as they can be told of.
    pub(super) fn open_files(&self) -> Vec<checkpoint::OpenFile> {
        let mut room = OPEN_FILES_BYTES_MAX;
        let said = self.files.iter().filter_map(|file| match &file.origin {
            Origin::Path { path, inode } if !file.flags.contains(OFlags::DIRECTORY) => {
                let said = checkpoint::OpenFile { path: path.to_str()?.to_owned(), inode: *inode };
                room = room.checked_sub(serde_json::to_vec(&said).ok()?.len() + 1)?;
                Some(said)
            }
            _ => None,
        });
        said.take(OPEN_FILES_MAX).collect()
    }

    /// Gives them to this process, which has become the other but for its descriptors, and its place among files and signals.
    pub(super) fn put_up(&self) -> io::Result<()> {
        let Self { folder, umask, signals, timers, standing, files, locks, streams, closed } = self;
        rustix::process::chdir(folder)
            .map_err(|error| io::Error::other(format!("its working directory, {}: {error}", folder.display())))?;
        rustix::process::umask(*umask);
        for Stream { number, flags, is_inherited } in streams {
            fcntl_setfl(inside::borrowed(*number), *flags)?;
            let inherited = if *is_inherited { FdFlags::empty() } else { FdFlags::CLOEXEC };
            fcntl_setfd(inside::borrowed(*number), inherited)?;
        }
        for number in closed {
            sys::close_range(number.cast_unsigned(), number.cast_unsigned())?;
        }
        for OpenFile { number, origin, flags, at, is_inherited } in files {
            let file = origin
                .open(*flags)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", origin.name())))?;
            if *at > 0 {
                seek(&file, rustix::fs::SeekFrom::Start(*at))?;
            }
            sys::place_at(std::os::fd::AsFd::as_fd(&file), *number, *is_inherited)?;
            if file.as_raw_fd() == *number {
                // It has its place already.
                std::mem::forget(file);
            }
        }
        for lock in locks {
            match lock.take() {
                // Nobody else has these files: it holds this one already, by a descriptor that a kernel before Linux 6.10 does not
                // tell from another's.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                taken => taken.map_err(|error| io::Error::new(error.kind(), format!("{lock}: {error}")))?,
            }
        }
        standing.put_up()?;
        timers.set()?;
        // Last, so that none comes before everything is there.
        signals.set()
    }
}

impl Origin {
    fn open(&self, flags: OFlags) -> io::Result<OwnedFd> {
        match self {
            Self::Path { path, .. } => Ok(open(path, flags | OFlags::CLOEXEC, Mode::empty())?),
            Self::Same(number) => Ok(fcntl_dupfd_cloexec(inside::borrowed(*number), 0)?),
            Self::Content { name, content } => {
                let memory = File::from(memfd_create(name, MemfdFlags::CLOEXEC)?);
                memory.write_all_at(content, 0)?;
                // With the flags that the other had; one that never had a name has this one, too.
                let flags = flags.difference(OFlags::DIRECTORY) | OFlags::CLOEXEC;
                Ok(open(format!("/proc/self/fd/{}", memory.as_raw_fd()), flags, Mode::empty())?)
            }
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Path { path, .. } => path.display().to_string(),
            Self::Same(number) => format!("descriptor {number}"),
            Self::Content { name, .. } => name.to_string_lossy().into_owned(),
        }
    }
}

/// How much memory it takes to become something else, for which there has to be room beside everything that the other has: the work,
/// and a stack to do it on.
const WORK_BYTES: usize = 2 << 20;

fn has_room_for_work() -> io::Result<bool> {
    let own = rlimits::allow_all_memory()?;
    let has_room = inside::may_have_more_memory(WORK_BYTES);
    rlimits::allow_memory(own)?;
    Ok(has_room)
}

/// What the processes are called that this one has started, if there are any.
fn children() -> io::Result<Option<String>> {
    if !inside::has_children() {
        return Ok(None);
    }
    let text = std::fs::read_to_string("/proc/self/task/1/children").unwrap_or_default();
    let is_over = |pid: &&str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
    };
    if let Some(pid) = text.split_whitespace().find(is_over) {
        return Ok(Some(format!("child process {pid} has ended and has not been waited for")));
    }
    let name = |pid: &str| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        format!("{pid} ({})", name.trim_end())
    };
    let names: Vec<_> = text.split_whitespace().map(name).collect();
    Ok(Some(match names.len() {
        0 => "a child process has not been waited for".to_owned(),
        1 => format!("child process {} is alive", names[0]),
        _ => format!("child processes {} are alive", names.join(", ")),
    }))
}

/// Those that are open, but for the channel's.
fn open_numbers(channel: &[RawFd]) -> Result<Vec<RawFd>, String> {
    let failed = |error: rustix::io::Errno| format!("its open files cannot be read: {error}");
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = open("/proc/self/fd", flags, Mode::empty()).map_err(failed)?;
    let own = folder.as_raw_fd();
    let mut numbers = Vec::new();
    for entry in rustix::fs::Dir::new(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        numbers.extend(entry.file_name().to_str().ok().and_then(|name| name.parse::<RawFd>().ok()));
    }
    numbers.retain(|number| *number != own && !channel.contains(number));
    numbers.sort_unstable();
    Ok(numbers)
}

fn stream(number: RawFd) -> Result<Stream, String> {
    let descriptor = inside::borrowed(number);
    let looked = fcntl_getfl(descriptor).and_then(|flags| Ok((flags, fcntl_getfd(descriptor)?)));
    let (flags, own) = looked.map_err(|error| format!("descriptor {number} cannot be looked at: {error}"))?;
    Ok(Stream { number, flags, is_inherited: !own.contains(FdFlags::CLOEXEC) })
}

/// Beside each of these descriptors the first that has the same open file, if one has: a place in it, flags and locks are then theirs
/// together.
fn with_same(numbers: &[RawFd]) -> Result<Vec<(RawFd, Option<RawFd>)>, rustix::io::Errno> {
    let mut firsts: Vec<(RawFd, (u64, u64))> = Vec::new();
    let mut with_same = Vec::with_capacity(numbers.len());
    for number in numbers {
        let stat = fstat(inside::borrowed(*number))?;
        let identity = (stat.st_dev, stat.st_ino);
        let is_same = |(first, of): &&(RawFd, _)| *of == identity && inside::is_same_open_file(*first, *number);
        let same = firsts.iter().find(is_same).map(|(first, _)| *first);
        if same.is_none() {
            firsts.push((*number, identity));
        }
        with_same.push((*number, same));
    }
    Ok(with_same)
}

fn same_file(number: RawFd, same: RawFd) -> Result<OpenFile, String> {
    let is_inherited =
        is_inherited(number).map_err(|error| format!("descriptor {number} cannot be looked at: {error}"))?;
    Ok(OpenFile { number, origin: Origin::Same(same), flags: OFlags::empty(), at: 0, is_inherited })
}

fn is_inherited(number: RawFd) -> Result<bool, rustix::io::Errno> {
    Ok(!fcntl_getfd(inside::borrowed(number))?.contains(FdFlags::CLOEXEC))
}

fn file(number: RawFd, room: &mut u64) -> Result<OpenFile, String> {
    let failed = |error: rustix::io::Errno| format!("descriptor {number} cannot be looked at: {error}");
    // It was open a moment ago, and there is one thread.
    let descriptor = inside::borrowed(number);
    let stat = fstat(descriptor).map_err(failed)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let path = path_of(number).map_err(failed)?;
    let shown = path.display();
    let what = match kind {
        FileType::RegularFile if stat.st_nlink == 0 => {
            let shown = path.to_string_lossy();
            let name = shown.trim_end_matches(DELETED);
            let is_of_memory = shown.starts_with(MEMORY);
            let bytes = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
            let Some(rest) = room.checked_sub(bytes) else {
                let what = if is_of_memory { "the file in memory" } else { "the deleted file" };
                return Err(format!(
                    "{what} {name}, with more than {CONTENT_BYTES_MAX} bytes, is open on descriptor {number}"
                ));
            };
            *room = rest;
            let content =
                content(number, bytes).map_err(|error| format!("descriptor {number} cannot be read: {error}"))?;
            let mut name = name.rsplit(['/', ':']).next().unwrap_or_default().as_bytes();
            name = name.get(..MEMORY_NAME_BYTES_MAX).unwrap_or(name);
            let name = CString::new(name).unwrap_or_default();
            return open_file(number, descriptor, Origin::Content { name, content }).map_err(failed);
        }
        FileType::RegularFile | FileType::Directory => {
            check_path(number, &path, &stat, fcntl_getfl(descriptor).map_err(failed)? & KEPT_FLAGS)?;
            return open_file(number, descriptor, Origin::Path { path, inode: stat.st_ino }).map_err(failed);
        }
        FileType::CharacterDevice if DEVICES.iter().any(|device| path == Path::new(device)) => {
            return open_file(number, descriptor, Origin::Path { path, inode: stat.st_ino }).map_err(failed);
        }
        FileType::Socket => "a socket".to_owned(),
        FileType::Fifo => "a pipe".to_owned(),
        // Of no kind that a mode has: eventpoll, eventfd and their like.
        _ => path
            .to_string_lossy()
            .strip_prefix("anon_inode:")
            .map_or_else(|| format!("{shown}"), |name| format!("an {}", name.trim_matches(['[', ']']))),
    };
    Err(format!("{what} is open on descriptor {number}"))
}

/// All that is in a file, whatever it was opened for.
fn content(number: RawFd, bytes: u64) -> io::Result<Vec<u8>> {
    let path = format!("/proc/self/fd/{number}");
    let file = File::from(open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?);
    let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
    let mut content = Vec::new();
    // Where there is no room for it the session goes on without an image.
    content.try_reserve_exact(bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
    content.resize(bytes, 0);
    file.read_exact_at(&mut content, 0)?;
    Ok(content)
}

/// That a file can be had again by its path, with what it was opened for.
fn check_path(number: RawFd, path: &Path, stat: &rustix::fs::Stat, flags: OFlags) -> Result<(), String> {
    let refused = |why: String| Err(format!("{}, open on descriptor {number}, {why}", path.display()));
    match rustix::fs::stat(path) {
        Ok(there) if (there.st_dev, there.st_ino) == (stat.st_dev, stat.st_ino) => {}
        Ok(_) => return refused("is not the file of that name any more".to_owned()),
        Err(_) => return refused("is not there any more".to_owned()),
    }
    match open(path, flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(_) => Ok(()),
        Err(error) => refused(format!("could not be opened again: {error}")),
    }
}

fn open_file(number: RawFd, descriptor: BorrowedFd<'_>, origin: Origin) -> Result<OpenFile, rustix::io::Errno> {
    let flags = fcntl_getfl(descriptor)? & KEPT_FLAGS;
    // What has no place has none to be set.
    let at = seek(descriptor, rustix::fs::SeekFrom::Current(0)).unwrap_or_default();
    Ok(OpenFile { number, origin, flags, at, is_inherited: is_inherited(number)? })
}

fn path_of(number: RawFd) -> Result<PathBuf, rustix::io::Errno> {
    use std::os::unix::ffi::OsStringExt;
    let link: CString = readlinkat(CWD, format!("/proc/self/fd/{number}"), Vec::new())?;
    Ok(PathBuf::from(std::ffi::OsString::from_vec(link.into_bytes())))
}
