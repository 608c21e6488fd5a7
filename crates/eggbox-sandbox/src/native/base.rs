//! The base: the nest's memory, moved into one file and mapped back privately at the same addresses.
//!
//! A fork copies the page tables of every mapping that has pages of its own, and none of one that only shows a file: what
//! a session needs of it, it finds again when it touches it. What a process has written since is what it has anonymous
//! pages of.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

use crate::sys::inside;

/// A mapping of this process.
#[derive(Debug, PartialEq, Eq)]
struct Mapping {
    range: Range<usize>,
    may_write: bool,
    may_execute: bool,
    /// It shows a file where it was not written to.
    is_of_file: bool,
}

/// Properties that a mapping of a file cannot have, or that mean the kernel's own or another's memory
/// (proc_pid_smaps(5), VmFlags): it grows down, is wiped or left out at a fork, is a device's, is by page frame.
const NOT_MOVED: [&str; 5] = ["gd", "wf", "dc", "io", "pf"];

/// Moves every private mapping that has pages of its own, but for the stack that this runs on, of which it lets go of what is not in use.
///
/// Returns the file, and how many bytes it has. For a process with one thread. Where it fails part of it is moved, and everything is as it was to whoever reads it.
///
/// # Errors
/// Where the kernel refuses a file in memory, or there is no room for it.
pub(super) fn rehome() -> io::Result<(OwnedFd, u64)> {
    let Seen { own, wiped, stack } = Seen::read(BufReader::new(File::open("/proc/self/smaps")?))?;
    // Nobody else has looked.
    let _ = WIPED.set(wiped);
    let bytes: usize = own.iter().map(|mapping| mapping.range.len()).sum();
    let file = memfd_create(c"base", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    // What nobody has written to stays a hole.
    ftruncate(&file, bytes as u64)?;
    let mut offset = 0;
    for Mapping { range, may_write, may_execute, is_of_file } in own {
        let length = range.len() as u64;
        inside::move_into_file(range, &file, offset, inside::Protection { may_write, may_execute }, is_of_file)?;
        offset += length;
    }
    // Nobody writes to it any more, whoever gets hold of it: sessions have their copies.
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    if let Some(stack) = stack {
        inside::wipe_stack(stack)?;
    }
    Ok((file, offset))
}

/// Has what every fork finds empty be empty here, too: a process that has become another's image is a fork to whoever relies on that. The
/// C library keeps its random numbers there (glibc from 2.41 on, getrandom(3)).
pub(super) fn wipe() -> io::Result<()> {
    WIPED.get().into_iter().flatten().try_for_each(|range| match inside::wipe(range.clone()) {
        // It has been given up.
        Err(error) if error.kind() == io::ErrorKind::OutOfMemory => Ok(()),
        wiped => wiped,
    })
}

/// What of the nest's memory forks find empty.
static WIPED: OnceLock<Vec<Range<usize>>> = OnceLock::new();

/// What there is to do with this process's memory.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// The mappings to move.
    own: Vec<Mapping>,
    /// Where forks find nothing.
    wiped: Vec<Range<usize>>,
    /// That of its first thread.
    stack: Option<Range<usize>>,
}

impl Seen {
    /// From the text of `/proc/PID/smaps`, a line at a time: half a megabyte of it at once would be memory of the nest's that is not in the
    /// base, and so be in every image of its sessions.
    fn read(mut smaps: impl BufRead) -> io::Result<Self> {
        let mut seen = Self::default();
        let mut current = None;
        let mut has_own_pages = false;
        let mut line = String::new();
        while smaps.read_line(&mut line)? > 0 {
            let (first, rest) = line.trim_end().split_once(' ').unwrap_or((&line, ""));
            match first {
                "Anonymous:" | "Swap:" => has_own_pages |= !rest.trim().starts_with("0 "),
                // The last line of each.
                "VmFlags:" => {
                    let has_any = |flags: &[&str]| rest.split_whitespace().any(|flag| flags.contains(&flag));
                    if let Some(mapping) = current.take() {
                        seen.add(mapping, has_own_pages && !has_any(&NOT_MOVED), has_any(&["wf"]));
                    }
                }
                _ if !first.ends_with(':') => {
                    if rest.ends_with(" [stack]") {
                        seen.stack = range(first);
                    }
                    current = mapping(first, rest);
                    has_own_pages = false;
                }
                _ => {}
            }
            line.clear();
        }
        Ok(seen)
    }

    fn add(&mut self, mapping: Mapping, is_own: bool, is_wiped: bool) {
        if is_wiped {
            self.wiped.push(mapping.range.clone());
        }
        if is_own {
            self.own.push(mapping);
        }
    }
}

/// That of the first line about one; none where it is shared, cannot be read or is the kernel's.
fn mapping(addresses: &str, rest: &str) -> Option<Mapping> {
    let range = range(addresses)?;
    let mut fields = rest.split_whitespace();
    let (permissions, _offset, _device, inode) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let name = fields.next().unwrap_or_default();
    let may = |letter| permissions.contains(letter);
    let is_kernels = name.starts_with("[v") || name == "[stack]";
    (may('r') && may('p') && !is_kernels).then_some(Mapping {
        range,
        may_write: may('w'),
        may_execute: may('x'),
        is_of_file: inode != "0",
    })
}

fn range(addresses: &str) -> Option<Range<usize>> {
    let (start, end) = addresses.split_once('-')?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    Some(number(start)?..number(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_mappings_with_pages_of_their_own_are_moved() {
        let text = "\
            1000-3000 rw-p 00001000 fe:00 12   /lib/libm.so.6\nAnonymous: 4 kB\nSwap: 0 kB\nVmFlags: rd wr mr mw me\n\
            3000-4000 r--p 00001000 fe:00 12   /lib/libm.so.6\nAnonymous: 0 kB\nSwap: 0 kB\nVmFlags: rd mr mw me\n\
            4000-6000 rw-p 00000000 00:00 0   [heap]\nAnonymous: 0 kB\nSwap: 8 kB\nVmFlags: rd wr mr mw me\n\
            6000-7000 rw-s 00000000 00:01 9   /dev/shm/x\nAnonymous: 4 kB\nSwap: 0 kB\nVmFlags: rd wr sh\n\
            7000-8000 ---p 00000000 00:00 0\nAnonymous: 4 kB\nSwap: 0 kB\nVmFlags: mr mw me\n\
            8000-9000 rw-p 00000000 00:00 0\nAnonymous: 4 kB\nSwap: 0 kB\nVmFlags: rd wr wf\n\
            9000-a000 rw-p 00000000 00:00 0   [stack]\nAnonymous: 4 kB\nSwap: 0 kB\nVmFlags: rd wr gd\n\
            a000-b000 r-xp 00000000 00:00 0   [vdso]\nAnonymous: 4 kB\nSwap: 0 kB\nVmFlags: rd ex\n";
        let expected = [(0x1000..0x3000, true), (0x4000..0x6000, false)].map(|(range, is_of_file)| Mapping {
            range,
            may_write: true,
            may_execute: false,
            is_of_file,
        });
        let seen = Seen::read(text.as_bytes()).unwrap();
        assert_eq!(
            seen,
            Seen {
                own: expected.into(),
                wiped: std::iter::once(0x8000..0x9000).collect(),
                stack: Some(0x9000..0xa000)
            }
        );
    }
}
