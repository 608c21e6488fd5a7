//! What goes from the thread that reads a tree to the one that makes it anew.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ffi::CString;
use std::fs::File;

use rustix::fs::Mode;
use tokio::sync::mpsc;

use crate::workspace::error::WorkspaceError;
use crate::workspace::workers::internal;

/// Files that come together from the thread that reads, each with a descriptor.
pub(super) const FILES_MAX: usize = 8;
/// What comes together of anything else.
pub(super) const WORDS_MAX: usize = 1024;
/// The same of the content of small files.
const CONTENT_BYTES_MAX: usize = 1 << 20;

/// A part of a tree, in the order in which it is made anew: its name, in the folder that was begun last.
pub(super) struct Part {
    pub(super) name: CString,
    pub(super) made: Made,
    pub(super) mode: Mode,
    pub(super) modified: (i64, u32),
    /// That it is to have, where that matters to somebody.
    pub(super) number: Option<u64>,
}

pub(super) enum Made {
    Folder,
    /// Nothing more comes into it.
    FolderEnd,
    /// With what says, when it is gone, that the file was read.
    File(File, Unread),
    /// A small file with this in it.
    Content(Vec<u8>),
    /// Another name of a file that has come, by its path.
    Same(Vec<u8>),
    Link(CString),
}

/// What comes from the thread that reads.
pub(super) enum Word {
    Part(Part),
    /// What comes now is of the tree of this number, in which there are to be files of those numbers.
    Tree(usize, BTreeSet<u64>),
}

/// Something is not read yet as long as there is one.
pub(super) type Unread = mpsc::Sender<Infallible>;

/// What is read and comes together, as each message wakes whoever writes. One waits at most while others are read and written.
pub(super) struct Parts {
    sender: mpsc::Sender<Result<Vec<Word>, WorkspaceError>>,
    words: Vec<Word>,
    files: usize,
    content_bytes: usize,
    pub(super) unread: Unread,
}

pub(super) type PartsEnd = mpsc::Receiver<Result<Vec<Word>, WorkspaceError>>;

impl Parts {
    /// Beside it, where they come, and what ends when all of it was read.
    pub(super) fn new() -> (Self, PartsEnd, mpsc::Receiver<Infallible>) {
        let (sender, end) = mpsc::channel(1);
        let (unread, read) = mpsc::channel(1);
        (Self { sender, words: Vec::new(), files: 0, content_bytes: 0, unread }, end, read)
    }

    pub(super) fn send(&mut self, word: Word) -> Result<(), WorkspaceError> {
        match &word {
            Word::Part(Part { made: Made::File(..), .. }) => self.files += 1,
            Word::Part(Part { made: Made::Content(content), .. }) => self.content_bytes += content.len(),
            _ => {}
        }
        self.words.push(word);
        let is_much = self.files >= FILES_MAX || self.content_bytes >= CONTENT_BYTES_MAX;
        if is_much || self.words.len() >= WORDS_MAX { self.send_all() } else { Ok(()) }
    }

    fn send_all(&mut self) -> Result<(), WorkspaceError> {
        (self.files, self.content_bytes) = (0, 0);
        let words = std::mem::take(&mut self.words);
        self.sender.blocking_send(Ok(words)).map_err(|_| given_up())
    }

    /// The last of them, or why there are no more.
    pub(super) fn end(mut self, read: Result<(), WorkspaceError>) {
        if let Err(error) = read.and_then(|()| self.send_all()) {
            let _ = self.sender.blocking_send(Err(error));
        }
    }
}

pub(super) fn given_up() -> WorkspaceError {
    internal("what was to write files has given up")
}
