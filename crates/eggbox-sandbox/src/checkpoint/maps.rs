//! `/proc/PID/maps`, and what each line of it is to an image (proc_pid_maps(5)).

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::process::Pid;

use super::image::{Mapping, Protection, Source};
use super::relocation::MappedFile;
use crate::sys;
use crate::sys::memory::{Area, OwnPages, areas, own_pages};

/// Of the text of all mappings: some 100,000 of them, or fewer with long names.
const MAPS_BYTES_MAX: u64 = 16 << 20;
const AREAS_MAX: usize = 100_000;

/// Which file something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Identity {
    pub(crate) device: (u32, u32),
    pub(crate) inode: u64,
}

/// What a mapping is to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// One that an image has; its pages are in it where they are its own, or all of them `is_whole`.
    Private { mapping: Mapping, is_whole: bool },
    /// One that others may write to as well, by its name.
    Shared(String),
}

/// A mapping, and where it is.
pub(crate) type Own = (Range<u64>, Found);

impl Identity {
    /// Of the device, as one word.
    pub(crate) fn device_word(&self) -> u64 {
        u64::from(self.device.0) << 32 | u64::from(self.device.1)
    }

    /// Of that device and inode.
    pub(crate) fn of_words(device: u64, inode: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
        let device = ((device >> 32) as u32, device as u32);
        Self { device, inode }
    }

    /// As the kernel names it where it is mapped.
    pub(crate) fn of(file: impl AsFd) -> io::Result<Self> {
        Self::of_plain(&file)?.map_or_else(|| Self::as_mapped(&file), Ok)
    }

    /// The same, but none where it takes a look at this process's mappings. Writes to no memory but the stack.
    pub(crate) fn of_plain(file: impl AsFd) -> io::Result<Option<Self>> {
        let kind = rustix::fs::fstatfs(&file)?.f_type;
        if OTHERWISE_NAMED.contains(&kind) {
            return Ok(None);
        }
        let stat = rustix::fs::fstat(file)?;
        let device = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
        Ok(Some(Self { device, inode: stat.st_ino }))
    }

    fn as_mapped(file: impl AsFd) -> io::Result<Self> {
        let mapped = sys::Shown::map(&file)?;
        // As text, which a session may read, too.
        let areas = read_text(&File::open("/proc/self/maps")?)?;
        let there = areas.into_iter().find(|area| area.range.start == mapped.start());
        let there = there.ok_or_else(|| io::Error::other("a file that is mapped is not in maps"))?;
        Ok(Self { device: there.device, inode: there.inode })
    }
}

/// File systems whose files stat(2) gives other numbers than the kernel's list of mappings.
const OTHERWISE_NAMED: [rustix::fs::FsWord; 3] = [OVERLAYFS, BTRFS, BCACHEFS];

/// As statfs(2) has them.
const OVERLAYFS: rustix::fs::FsWord = 0x794c_7630;
const BTRFS: rustix::fs::FsWord = 0x9123_683e;
const BCACHEFS: rustix::fs::FsWord = 0xca45_1a4e;

/// File systems in which two files can have the same numbers in the kernel's list of mappings, as each volume in them has its own.
const VOLUMES_WITHIN: [rustix::fs::FsWord; 2] = [BTRFS, BCACHEFS];

/// What files are called that sessions of one nest have mapped.
#[derive(Debug, Default)]
pub struct Names(HashMap<Identity, Vec<u8>>);

impl Names {
    /// Of files that the process has mapped: of each that no other can be taken for.
    pub fn of(pid: Pid, files: &[MappedFile]) -> Self {
        let root = format!("/proc/{}/root", pid.as_raw_pid()).into_bytes();
        let has_own_numbers = |path: &[u8]| {
            let kind = rustix::fs::statfs([&root, path].concat()).map(|of| of.f_type);
            kind.is_ok_and(|kind| !VOLUMES_WITHIN.contains(&kind))
        };
        let named = files.iter().filter(|file| has_own_numbers(&file.path));
        Self(named.map(|MappedFile { path, identity }| (*identity, path.clone())).collect())
    }

    /// Whether that file is one of them, by that name.
    pub(super) fn has(&self, path: &[u8], identity: &Identity) -> bool {
        self.0.get(identity).is_some_and(|name| name == path)
    }
}

/// Files that no path leads to from inside a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    /// What it shares with its nest.
    pub(crate) base: Identity,
    /// What lies beneath it is an image.
    pub(crate) kept: Option<&'a Path>,
    /// Images that are there where another is loaded.
    pub(crate) shown: &'a [Identity],
    /// What others are called.
    pub(crate) names: &'a Names,
}

/// All mappings of a process, from its open `maps`.
pub(crate) fn read_maps(maps: &File, known: Known<'_>) -> io::Result<Vec<Own>> {
    let name = |area: &Area| {
        let identity = Identity { device: area.device, inode: area.inode };
        let has_none = !area.is_shared && (identity == known.base || known.shown.contains(&identity));
        if has_none { Some(Vec::new()) } else { known.names.0.get(&identity).cloned() }
    };
    let areas = match areas(maps, AREAS_MAX, name)? {
        Some(areas) => areas,
        None => read_text(maps)?,
    };
    Ok(areas.into_iter().map(|area| (area.range.clone(), found(area, known))).collect())
}

fn read_text(mut maps: &File) -> io::Result<Vec<Area>> {
    let mut text = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(&mut maps, MAPS_BYTES_MAX), &mut text)?;
    if text.len() as u64 == MAPS_BYTES_MAX {
        return Err(io::ErrorKind::QuotaExceeded.into());
    }
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| parse(line).ok_or_else(|| io::Error::other("a line of maps is of no known form"))).collect()
}

/// The same, and the pages that are the process's own.
pub(super) fn read_memory(maps: &File, pagemap: &File, known: Known<'_>) -> io::Result<(Vec<Own>, Vec<OwnPages>)> {
    // One after the other: two threads at the same memory hold each other up for longer.
    let mappings = read_maps(maps, known)?;
    let is_scanned =
        |found: &Found| !matches!(found, Found::Private { mapping, .. } if mapping.source == Source::Kernels);
    let scanned = mappings.iter().filter(|(_, found)| is_scanned(found));
    let own = own_pages(pagemap, &scanned.map(|(range, _)| range.clone()).collect::<Vec<_>>())?;
    Ok((mappings, own))
}

fn parse(line: &[u8]) -> Option<Area> {
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let mut text = || fields.next().and_then(|field| std::str::from_utf8(field).ok());
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    let (start, end) = text()?.split_once('-')?;
    let range = number(start)?..number(end)?;
    let permissions = text()?;
    let offset = number(text()?)?;
    let (major, minor) = text()?.split_once(':')?;
    let device = (u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
    let inode = text()?.parse().ok()?;
    let name = unescaped(fields.next().unwrap_or_default().trim_ascii_start());
    let [may_read, may_write, may_execute, is_shared] = ['r', 'w', 'x', 's'].map(|letter| permissions.contains(letter));
    Some(Area { range, may_read, may_write, may_execute, is_shared, offset, device, inode, name })
}

/// What it is to an image.
fn found(area: Area, Known { base, kept, shown, names: _ }: Known<'_>) -> Found {
    let Area { range, may_read, may_write, may_execute, is_shared, offset, device, inode, name } = area;
    let identity = Identity { device, inode };
    let protection = Protection { may_read, may_write, may_execute };
    let private = |source, is_whole| Found::Private { mapping: Mapping { range, protection, source }, is_whole };
    if identity == base && !is_shared {
        private(Source::Base { offset }, false)
    } else if let (false, Some(file)) = (is_shared, shown.iter().position(|shown| *shown == identity)) {
        private(Source::Image { file: file as u64, offset }, false)
    } else if identity.inode != 0 {
        let is_kept = kept
            .and_then(|kept| name.strip_prefix(kept.as_os_str().as_bytes()))
            .is_some_and(|beneath| beneath.starts_with(b"/"));
        let is_deleted = name.ends_with(b" (deleted)") || name.starts_with(b"/memfd:");
        let has_path = name.starts_with(b"/") && !is_deleted && !is_kept;
        match (is_shared, has_path) {
            // Where nobody may write through it, it is as good as private.
            (true, true) if !may_write => private(Source::File { path: name, identity, offset }, false),
            (true, _) => Found::Shared(String::from_utf8_lossy(&name).into_owned()),
            (false, true) => private(Source::File { path: name, identity, offset }, false),
            // A file that nobody can open again: an image that this process was loaded from, for one.
            (false, false) => private(Source::Nothing, true),
        }
    } else if name == b"[stack]" {
        private(Source::Stack, false)
    } else if name.starts_with(b"[v") || name.starts_with(b"[uprobes") {
        private(Source::Kernels, false)
    } else if is_shared {
        Found::Shared(String::from_utf8_lossy(&name).into_owned())
    } else {
        private(Source::Nothing, false)
    }
}

/// A name as it is, of which the kernel writes line breaks in octal.
fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((byte, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(b"\\012") {
            plain.push(b'\n');
            rest = after;
        } else {
            plain.push(*byte);
            rest = after;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_ask_for_mappings_say_the_same() {
        // One that does nothing.
        let child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(100));
        let maps = || File::open(format!("/proc/{}/maps", child.id())).unwrap();
        let (text, asked) = (read_text(&maps()).unwrap(), areas(&maps(), AREAS_MAX, |_| None).unwrap());
        let mut child = child;
        child.kill().unwrap();
        child.wait().unwrap();
        let Some(asked) = asked else {
            println!("left out, as this kernel has no PROCMAP_QUERY");
            return;
        };
        // What the kernel shows to whoever asks for that address, but is no mapping of the process's.
        let own: Vec<_> = text.into_iter().filter(|area| area.name != b"[vsyscall]").collect();
        assert_eq!(asked, own);
    }

    #[test]
    fn a_file_is_the_same_by_both_its_names() {
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        let kind = rustix::fs::fstatfs(&file).unwrap().f_type;
        assert!(OTHERWISE_NAMED.contains(&kind) || Identity::as_mapped(&file).unwrap() == Identity::of(&file).unwrap());
    }

    #[test]
    fn each_mapping_is_what_it_is_to_an_image() {
        let base = Identity { device: (0, 1), inode: 77 };
        let shown = [Identity { device: (0, 1), inode: 80 }];
        let (kept, names) = (Some(Path::new("/state/kept")), Names::default());
        let known = Known { base, kept, shown: &shown, names: &names };
        let found_in = |line: &str| found(parse(line.as_bytes()).unwrap(), known);
        let source = |line: &str| match found_in(line) {
            Found::Private { mapping, is_whole } => (mapping.source, is_whole),
            other => panic!("{other:?}"),
        };
        let file = Identity { device: (0xfe, 0), inode: 12 };
        let (path, offset) = (b"/lib/a b.so".to_vec(), 0x3000);
        assert_eq!(
            source("1000-2000 r-xp 00003000 fe:00 12                 /lib/a b.so"),
            (Source::File { path: path.clone(), identity: file, offset }, false)
        );
        assert_eq!(
            source("1000-2000 r--s 00003000 fe:00 12   /lib/a b.so").0,
            Source::File { path, identity: file, offset }
        );
        assert_eq!(
            source("1000-2000 rw-p 00005000 00:01 77   /memfd:base (deleted)"),
            (Source::Base { offset: 0x5000 }, false)
        );
        assert_eq!(source("1000-2000 rw-p 00005000 00:01 78   /memfd:base (deleted)"), (Source::Nothing, true));
        assert_eq!(source("1000-2000 rw-p 00005000 fe:00 78   /state/kept/1/memory"), (Source::Nothing, true));
        assert_eq!(
            source("1000-2000 rw-p 00005000 00:01 80   /memfd:checkpoint (deleted)"),
            (Source::Image { file: 0, offset: 0x5000 }, false)
        );
        assert!(!source("1000-2000 rw-p 00005000 fe:00 78   /state/kept1/memory").1);
        assert_eq!(source("1000-2000 rw-p 00000000 00:00 0 "), (Source::Nothing, false));
        assert_eq!(source("1000-2000 rw-p 00000000 00:00 0   [heap]"), (Source::Nothing, false));
        assert_eq!(source("1000-2000 rw-p 00000000 00:00 0   [stack]"), (Source::Stack, false));
        assert_eq!(source("1000-2000 r-xp 00000000 00:00 0   [vdso]"), (Source::Kernels, false));
        assert_eq!(
            found_in("1000-2000 rw-s 00000000 00:01 5   /dev/zero (deleted)"),
            Found::Shared("/dev/zero (deleted)".to_owned())
        );
        for line in ["", "1000", "1000-2000 rw-p", "x-2000 rw-p 0 00:00 0", "1000-2000 rw-p 0 00 0"] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }
}
