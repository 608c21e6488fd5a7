//! What is in a folder, page by page: in the order of the bytes of its names, each folder before what is in it. A page costs
//! memory for as many names as it has, however many there are.

use std::collections::BinaryHeap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::Dir;
use rustix::io::Errno;

use super::entry::{Entry, EntryKind};
use super::error::{At, TreeLimit, WorkspaceError};
use super::folder::{Folder, look, open_folder};
use super::path::{PATH_DEPTH_MAX, WorkspacePath};

/// Names that are read for one page at most.
const NAMES_READ_MAX: usize = 1_000_000;

/// Which part of a listing is wanted.
#[derive(Debug, Clone)]
pub struct Page {
    /// Also what is in its folders, and in theirs.
    pub recursive: bool,
    pub entries_max: usize,
    /// The [`next`](Listing::next) of the page before.
    pub after: Option<Vec<u8>>,
}

/// A page of a listing.
#[derive(Debug)]
pub struct Listing {
    pub entries: Vec<Entry>,
    /// Where the next page begins; none where this is the last one.
    pub next: Option<Vec<u8>>,
    /// There is more in folders that are too deep.
    pub is_cut: bool,
}

pub(super) fn list(folder: &Folder, path: &WorkspacePath, page: &Page) -> Result<Listing, WorkspaceError> {
    let top = folder.open_folder(path.as_str())?;
    let listing = Listing { entries: Vec::new(), next: None, is_cut: false };
    let mut pass = Pass { page, base: path.as_str().as_bytes(), names_read: 0, listing, last: Vec::new() };
    let after = page.after.clone().unwrap_or_default();
    let after: Vec<&[u8]> = after.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect();
    pass.go_into(&top, &mut Vec::new(), &after, 0).at(path.as_str())??;
    Ok(pass.listing)
}

struct Pass<'a> {
    page: &'a Page,
    base: &'a [u8],
    names_read: usize,
    listing: Listing,
    /// The path of the last entry, from the folder that is listed on.
    last: Vec<u8>,
}

/// The names of a folder, with what stops a pass beside the kernel's errors.
type Found<T> = Result<Result<T, WorkspaceError>, Errno>;

impl Pass<'_> {
    /// Takes in what is in `folder` and comes after `after`, which is given from this folder on. `within` is the path of the
    /// folder. At the end the page is full, or there is nothing more in it.
    fn go_into(&mut self, folder: &OwnedFd, within: &mut Vec<u8>, after: &[&[u8]], depth: usize) -> Found<()> {
        let (first, rest) = after.split_first().map_or((None, &[][..]), |(first, rest)| (Some(*first), rest));
        // The name that the page before ended with, or in, is looked into again.
        let mut from = first.map(<[u8]>::to_vec);
        loop {
            // Beside those that there is room for, one that was seen and one to know whether there is more.
            let names_max = self.page.entries_max.saturating_sub(self.listing.entries.len()) + 2;
            let names = match self.smallest(folder, from.as_deref(), names_max)? {
                Ok(names) => names,
                Err(error) => return Ok(Err(error)),
            };
            for name in &names {
                let seen = (first == Some(name.to_bytes())).then_some(rest);
                if let Err(error) = self.visit(folder, name, within, seen, depth)? {
                    return Ok(Err(error));
                }
                if self.listing.next.is_some() {
                    return Ok(Ok(()));
                }
            }
            match names.last() {
                // Some of them were gone when they were looked at. Nothing comes between a name and that with a zero after it.
                Some(last) if names.len() == names_max => from = Some(last.to_bytes_with_nul().to_vec()),
                _ => return Ok(Ok(())),
            }
        }
    }

    /// Takes in one name, and what is in the folder that it may be of. `seen` is how far that was listed already.
    fn visit(
        &mut self,
        folder: &OwnedFd,
        name: &CStr,
        within: &mut Vec<u8>,
        seen: Option<&[&[u8]]>,
        depth: usize,
    ) -> Found<()> {
        let stat = match look(folder.as_fd(), name) {
            // It is gone, which may happen at any time.
            Err(Errno::NOENT) => return Ok(Ok(())),
            other => other?,
        };
        let length = within.len();
        if length > 0 {
            within.push(b'/');
        }
        within.extend_from_slice(name.to_bytes());
        let has_room = seen.is_some() || self.take(within, &stat);
        let mut found = Ok(Ok(()));
        if has_room && self.page.recursive && EntryKind::of(&stat) == EntryKind::Folder {
            found = self.go_into_named(folder, name, within, seen.unwrap_or_default(), depth + 1);
        }
        within.truncate(length);
        found
    }

    fn go_into_named(
        &mut self,
        folder: &OwnedFd,
        name: &CStr,
        within: &mut Vec<u8>,
        after: &[&[u8]],
        depth: usize,
    ) -> Found<()> {
        if depth >= PATH_DEPTH_MAX {
            self.listing.is_cut = true;
            return Ok(Ok(()));
        }
        match open_folder(folder.as_fd(), name) {
            Ok(inner) => self.go_into(&inner, within, after, depth),
            // Closed to the session's user, gone, or another thing by now.
            Err(Errno::ACCESS | Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(Ok(())),
            Err(error) => Err(error),
        }
    }

    /// Adds an entry. Whether there was room for it: where there was none, the page is over.
    fn take(&mut self, within: &[u8], stat: &rustix::fs::Stat) -> bool {
        if self.listing.entries.len() >= self.page.entries_max {
            self.listing.next = Some(std::mem::take(&mut self.last));
            return false;
        }
        let separator: &[u8] = if self.base.is_empty() { b"" } else { b"/" };
        self.listing.entries.push(Entry::new(&[self.base, separator, within].concat(), stat));
        self.last = within.to_vec();
        true
    }

    /// The first names of a folder from `from` on, in order.
    fn smallest(&mut self, folder: &OwnedFd, from: Option<&[u8]>, names_max: usize) -> Found<Vec<CString>> {
        let mut smallest: BinaryHeap<CString> = BinaryHeap::new();
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            self.names_read += 1;
            if self.names_read > NAMES_READ_MAX {
                return Ok(Err(WorkspaceError::TreeTooLarge(TreeLimit::Entries { entries_max: NAMES_READ_MAX })));
            }
            let is_before = from.is_some_and(|from| name.to_bytes() < from);
            if is_before || matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if smallest.len() < names_max {
                smallest.push(name.to_owned());
            } else if smallest.peek().is_some_and(|last| name < last.as_c_str()) {
                smallest.pop();
                smallest.push(name.to_owned());
            }
        }
        Ok(Ok(smallest.into_sorted_vec()))
    }
}
