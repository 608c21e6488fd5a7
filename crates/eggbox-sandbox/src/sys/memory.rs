//! What memory another process has of its own, and what is in it.

use std::ffi::{c_ulong, c_void};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::ptr;

use rustix::process::Pid;

use super::check;

/// Memory of a file that this process alone writes to.
#[derive(Debug)]
pub(crate) struct Window {
    start: *mut c_void,
    bytes: usize,
}

// SAFETY: it owns the mapping, and gives access to it as it is given access itself.
unsafe impl Send for Window {}
// SAFETY: as above.
unsafe impl Sync for Window {}

impl Window {
    /// # Errors
    /// Where the file cannot be mapped.
    pub(crate) fn map(file: &File, bytes: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Self { start, bytes }) }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first bytes, of which there have to be so many in the file.
    ///
    /// # Safety
    /// The file is so long as long as they are used, and nobody else writes to it.
    pub(crate) unsafe fn first(&mut self, bytes: usize) -> &mut [u8] {
        // SAFETY: by contract; they are within the mapping.
        unsafe { std::slice::from_raw_parts_mut(self.start.cast(), bytes.min(self.bytes)) }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: it is mapped, and nobody else knows of it.
        unsafe { libc::munmap(self.start, self.bytes) };
    }
}

/// A mapping of a process (proc_pid_maps(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) range: Range<u64>,
    pub(crate) may_read: bool,
    pub(crate) may_write: bool,
    pub(crate) may_execute: bool,
    pub(crate) is_shared: bool,
    pub(crate) offset: u64,
    pub(crate) device: (u32, u32),
    pub(crate) inode: u64,
    /// As it is, with what the kernel says behind it.
    pub(crate) name: Vec<u8>,
}

/// All mappings of the process whose `/proc/PID/maps` this is, asked for one by one; none where the kernel does not know that
/// question (PROCMAP_QUERY, since Linux 6.11). Names cost the kernel a third of it: those that `known_name` knows are not asked for.
///
/// # Errors
/// Where it has more than so many, or the kernel does not tell.
pub(crate) fn areas(
    maps: &File,
    count_max: usize,
    mut known_name: impl FnMut(&Area) -> Option<Vec<u8>>,
) -> io::Result<Option<Vec<Area>>> {
    /// `_IOWR('f', 17, struct procmap_query)`.
    const PROCMAP_QUERY: c_ulong = 0xC068_6611;
    const THIS_OR_NEXT: u64 = 0x10;
    /// To read, to write, to execute, to share.
    const PERMISSIONS: [u64; 4] = [1, 2, 4, 8];
    /// `struct procmap_query`.
    #[repr(C)]
    #[derive(Default)]
    struct Query {
        size: u64,
        flags: u64,
        address: u64,
        start: u64,
        end: u64,
        permissions: u64,
        page_bytes: u64,
        offset: u64,
        inode: u64,
        device: [u32; 2],
        name_bytes: u32,
        build_id_bytes: u32,
        name: u64,
        build_id: u64,
    }
    let mut name = [0_u8; libc::PATH_MAX.cast_unsigned() as usize];
    // What is at that address, or behind it; none where that is nothing.
    let ask = |address, name: &mut [u8]| {
        let mut query = Query {
            size: size_of::<Query>() as u64,
            flags: THIS_OR_NEXT,
            address,
            name_bytes: u32::try_from(name.len()).map_err(io::Error::other)?,
            name: if name.is_empty() { 0 } else { name.as_mut_ptr() as u64 },
            ..Query::default()
        };
        // SAFETY: the query, and as much room for a name as it says, outlive the call.
        match check(unsafe { libc::ioctl(maps.as_raw_fd(), PROCMAP_QUERY, &raw mut query) }.into()) {
            Ok(_) => Ok(Some(query)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let (mut found, mut address) = (Vec::new(), 0);
    loop {
        let query = match ask(address, &mut []) {
            Ok(Some(query)) => query,
            Ok(None) => return Ok(Some(found)),
            Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => return Ok(None),
            Err(error) => return Err(error),
        };
        if found.len() >= count_max {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let Query { start, end, permissions, offset, inode, device: [major, minor], .. } = query;
        let may = |bit| permissions & bit != 0;
        let [may_read, may_write, may_execute, is_shared] = PERMISSIONS.map(may);
        let (range, device, none) = (start..end, (major, minor), Vec::new());
        let mut area = Area { range, may_read, may_write, may_execute, is_shared, offset, device, inode, name: none };
        area.name = match known_name(&area) {
            Some(name) => name,
            None => match ask(start, &mut name) {
                // With the byte behind it, where there is one.
                Ok(Some(Query { name_bytes, .. })) => {
                    name.get(..(name_bytes as usize).saturating_sub(1)).unwrap_or_default().to_vec()
                }
                Ok(None) => Vec::new(),
                Err(error) if error.raw_os_error() == Some(libc::ENAMETOOLONG) => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        found.push(area);
        address = end;
    }
}

/// Pages that a process has of its own where a mapping shows something else, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnPages {
    pub(crate) range: Range<u64>,
    /// Only where that is certain.
    pub(crate) are_zero: bool,
}

/// The pages of the process whose `/proc/PID/pagemap` this is that are neither a file's nor never touched: all that are in
/// `mappings`, which are in order, and maybe others between those.
///
/// # Errors
/// Where the kernel does not tell.
pub(crate) fn own_pages(pagemap: &File, mappings: &[Range<u64>]) -> io::Result<Vec<OwnPages>> {
    let (Some(first), Some(last)) = (mappings.first(), mappings.last()) else { return Ok(Vec::new()) };
    match scan_pages(pagemap, first.start..last.end) {
        // Before Linux 6.7.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTTY | libc::EINVAL)) => {
            let each = mappings.iter().map(|mapping| read_pagemap(pagemap, mapping.clone()));
            Ok(each.collect::<io::Result<Vec<_>>>()?.concat())
        }
        other => other,
    }
}

/// PAGEMAP_SCAN, see the kernel's admin-guide/mm/pagemap.
fn scan_pages(pagemap: &File, range: Range<u64>) -> io::Result<Vec<OwnPages>> {
    /// `_IOWR('f', 16, struct pm_scan_arg)`.
    const PAGEMAP_SCAN: c_ulong = 0xC060_6610;
    const OF_FILE: u64 = 1 << 2;
    const PRESENT: u64 = 1 << 3;
    const SWAPPED: u64 = 1 << 4;
    const ZERO: u64 = 1 << 5;
    const REGIONS: usize = 512;
    /// `struct pm_scan_arg`.
    #[repr(C)]
    struct Arguments {
        size: u64,
        flags: u64,
        start: u64,
        end: u64,
        walk_end: u64,
        regions: u64,
        regions_length: u64,
        pages_max: u64,
        inverted: u64,
        all_of: u64,
        any_of: u64,
        told: u64,
    }
    let mut found = Vec::new();
    let mut start = range.start;
    while start < range.end {
        // Each as start, end, categories.
        let mut regions = [[0_u64; 3]; REGIONS];
        let mut arguments = Arguments {
            size: size_of::<Arguments>() as u64,
            flags: 0,
            start,
            end: range.end,
            walk_end: 0,
            regions: regions.as_mut_ptr() as u64,
            regions_length: REGIONS as u64,
            pages_max: 0,
            inverted: OF_FILE,
            all_of: OF_FILE,
            any_of: PRESENT | SWAPPED,
            told: ZERO,
        };
        // SAFETY: the arguments and as many regions as they say outlive the call.
        let count = unsafe { libc::ioctl(pagemap.as_raw_fd(), PAGEMAP_SCAN, &raw mut arguments) };
        let count = usize::try_from(check(count.into())?).unwrap_or_default();
        for &[start, end, categories] in regions.iter().take(count) {
            found.push(OwnPages { range: start..end, are_zero: categories & ZERO != 0 });
        }
        check_pieces(&found)?;
        if arguments.walk_end <= start {
            return Err(io::Error::other("the kernel does not come to an end of its pages"));
        }
        start = arguments.walk_end;
    }
    Ok(found)
}

/// Pieces of memory that a process has of its own, each apart from the others: every second page of 2 GiB.
const PIECES_MAX: usize = 1 << 18;

fn check_pieces(found: &[OwnPages]) -> io::Result<()> {
    if found.len() > PIECES_MAX { Err(io::ErrorKind::QuotaExceeded.into()) } else { Ok(()) }
}

/// How many pieces of memory one call takes (readv(2), IOV_MAX).
pub(crate) const VECTOR_MAX: usize = 1024;

/// Reads memory of another process, piece after piece, into `bytes`, which has room for all of them. Returns how much was read.
///
/// # Errors
/// Where this process may not do that, or the first piece is not there.
#[expect(clippy::cast_possible_truncation, reason = "an address is 64 bits wide, as is asserted below")]
pub(crate) fn read_process(pid: Pid, pieces: &[Range<u64>], bytes: &mut [u8]) -> io::Result<usize> {
    let own = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let there = |piece: &Range<u64>| libc::iovec {
        iov_base: ptr::with_exposed_provenance_mut(piece.start as usize),
        iov_len: (piece.end - piece.start) as usize,
    };
    let theirs: Vec<_> = pieces.iter().take(VECTOR_MAX).map(there).collect();
    // SAFETY: the kernel writes to `bytes` alone, as far as they go, and takes the other addresses for the other process's.
    let count = unsafe {
        libc::process_vm_readv(pid.as_raw_pid(), &raw const own, 1, theirs.as_ptr(), theirs.len() as c_ulong, 0)
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// The same one by one.
fn read_pagemap(pagemap: &File, range: Range<u64>) -> io::Result<Vec<OwnPages>> {
    use std::os::unix::fs::FileExt;
    const PRESENT_OR_SWAPPED: u64 = 1 << 63 | 1 << 62;
    const OF_FILE_OR_SHARED: u64 = 1 << 61;
    const AT_ONCE: u64 = 1 << 16;
    let page = rustix::param::page_size() as u64;
    let mut found: Vec<OwnPages> = Vec::new();
    let mut start = range.start;
    while start < range.end {
        let count = ((range.end - start) / page).min(AT_ONCE);
        let mut entries = vec![0; usize::try_from(count * size_of::<u64>() as u64).map_err(io::Error::other)?];
        pagemap.read_exact_at(&mut entries, start / page * size_of::<u64>() as u64)?;
        for (entry, at) in entries.as_chunks().0.iter().zip((start..).step_by(rustix::param::page_size())) {
            let entry = u64::from_le_bytes(*entry);
            if entry & PRESENT_OR_SWAPPED == 0 || entry & OF_FILE_OR_SHARED != 0 {
                continue;
            }
            match found.last_mut() {
                Some(last) if last.range.end == at => last.range.end = at + page,
                _ => found.push(OwnPages { range: at..at + page, are_zero: false }),
            }
        }
        check_pieces(&found)?;
        start += count * page;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_ask_for_a_processs_own_pages_say_the_same() {
        let page = rustix::param::page_size();
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping that this test alone has.
        let memory = unsafe { libc::mmap(ptr::null_mut(), 64 * page, protection, flags, -1, 0) };
        assert_ne!(memory, libc::MAP_FAILED);
        let start = memory.expose_provenance() as u64;
        for index in [0, 1, 2, 7, 30, 31, 63] {
            // SAFETY: within the mapping. One page of large ones would be all of them.
            unsafe {
                libc::madvise(memory, 64 * page, libc::MADV_NOHUGEPAGE);
                memory.cast::<u8>().add(index * page).write_volatile(1);
            }
        }
        let page = page as u64;
        let expected: Vec<_> =
            [0..3, 7..8, 30..32, 63..64].map(|pages| start + pages.start * page..start + pages.end * page).into();
        let pagemap = File::open("/proc/self/pagemap").unwrap();
        let all = start..start + 64 * page;
        let read = read_pagemap(&pagemap, all.clone()).unwrap();
        assert_eq!(read.iter().map(|own| own.range.clone()).collect::<Vec<_>>(), expected);
        match scan_pages(&pagemap, all) {
            Ok(scanned) => assert_eq!(scanned, read),
            Err(error) => println!("left out, as this kernel has no PAGEMAP_SCAN: {error}"),
        }
        // SAFETY: nobody else has it.
        unsafe { libc::munmap(memory, 64 * rustix::param::page_size()) };
    }
}
