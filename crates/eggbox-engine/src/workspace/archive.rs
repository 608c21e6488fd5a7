//! A folder as a tar archive, made while it is sent: a thread of its own writes it, as far ahead as its client has fallen
//! behind, and ends with it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::task::{Context, Poll};

use bytes::Bytes;
use rustix::fs::{Stat, readlinkat};
use rustix::io::Errno;
use tar::{Builder, EntryType, Header};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::Workspace;
use super::entry::{bytes, modified};
use super::error::{At, WorkspaceError};
use super::folder::{Folder, open_regular};
use super::path::WorkspacePath;
use super::walk::{Closed, Reach, Step, What, present, text, walk};
use super::workers::{internal, start};

/// What is collected before it is sent, and how many such pieces wait for the client.
const PIECE_BYTES: usize = 128 * 1024;
const PIECES_MAX: usize = 4;

/// A tar archive that is being made. Its files have the sizes that they had when their turn came: one that shrinks meanwhile
/// has zeros at its end, one that grows is cut.
#[derive(Debug)]
pub struct Archive {
    pieces: mpsc::Receiver<Result<Bytes, WorkspaceError>>,
    _transfer: OwnedSemaphorePermit,
}

impl Archive {
    pub(super) async fn begin(workspace: &Workspace, path: WorkspacePath) -> Result<Self, WorkspaceError> {
        let transfer = workspace.workers.transfer().await?;
        let walking = workspace.workers.walk().await?;
        let bytes_max = workspace.workers.workspace_bytes_max;
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let (reply, begun) = oneshot::channel();
        start(workspace.place.clone(), move |folder| {
            let _walking = walking;
            match folder.and_then(|folder| check(&folder, &path, bytes_max).map(|()| folder)) {
                Err(error) => drop(reply.send(Err(error))),
                Ok(folder) => {
                    let _ = reply.send(Ok(()));
                    write(&folder, &path, bytes_max, &sender);
                }
            }
        })?;
        begun.await.unwrap_or_else(|_| Err(internal("a thread that made an archive has panicked")))?;
        Ok(Self { pieces, _transfer: transfer })
    }

    /// The next piece; none at the end. After an error there is nothing more, and the archive is not whole.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, WorkspaceError>>> {
        self.pieces.poll_recv(context)
    }
}

/// Goes through it once before anything is sent, as a refusal is worth more than half an archive.
fn check(folder: &Folder, path: &WorkspacePath, bytes_max: u64) -> Result<(), WorkspaceError> {
    walk(folder.open_folder(path.as_str())?, &Reach::all(Closed::LeftOut, bytes_max), |_| Ok(()))
}

fn write(folder: &Folder, path: &WorkspacePath, bytes_max: u64, sender: &mpsc::Sender<Result<Bytes, WorkspaceError>>) {
    let mut archive = Builder::new(Pieces { sender, collected: Vec::new() });
    let walked = folder
        .open_folder(path.as_str())
        .and_then(|top| walk(top, &Reach::all(Closed::LeftOut, bytes_max), |step| add(&mut archive, &step)));
    let written = walked.and_then(|()| archive.finish().and_then(|()| archive.get_mut().flush()).map_err(failed));
    if let Err(error) = written {
        // Where the client is gone, nobody wants to know.
        let _ = sender.blocking_send(Err(error));
    }
    // What is still collected belongs to an archive that is not whole.
    archive.get_mut().collected.clear();
}

fn failed(error: io::Error) -> WorkspaceError {
    WorkspaceError::Internal(error)
}

fn add(archive: &mut Builder<Pieces<'_>>, step: &Step<'_>) -> Result<(), WorkspaceError> {
    let path = Path::new(std::ffi::OsStr::from_bytes(step.path));
    match step.what {
        What::FolderEnd => Ok(()),
        What::Folder => {
            let mut header = header(EntryType::Directory, step.stat, 0);
            archive.append_data(&mut header, path, io::empty()).map_err(failed)
        }
        What::Link => {
            let target = present(readlinkat(step.folder, &**step.name, Vec::new())).at(&text(step.path))?;
            let Some(target) = target else { return Ok(()) };
            let mut header = header(EntryType::Symlink, step.stat, 0);
            // As it is written, where it fits: the other way puts it in order.
            if header.set_link_name_literal(target.to_bytes()).is_ok() {
                return archive.append_data(&mut header, path, io::empty()).map_err(failed);
            }
            let target = Path::new(std::ffi::OsStr::from_bytes(target.to_bytes()));
            archive.append_link(&mut header, path, target).map_err(failed)
        }
        What::File => {
            let opened = match open_regular(step.folder.as_fd(), &**step.name) {
                Err(Errno::ACCESS) => Ok(None),
                other => present(other).map(Option::flatten),
            };
            let Some((file, stat)) = opened.at(&text(step.path))? else { return Ok(()) };
            let size = bytes(&stat);
            let mut header = header(EntryType::Regular, &stat, size);
            archive.append_data(&mut header, path, Exactly { file, left: size }).map_err(failed)
        }
    }
}

fn header(kind: EntryType, stat: &Stat, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(stat.st_mode & 0o7777);
    // The ids mean nothing elsewhere, and a time before 1970 is none that a header can have.
    header.set_mtime(u64::try_from(modified(stat).0).unwrap_or(0));
    header.set_size(size);
    header
}

/// A file of a size that was announced: what is missing at its end is read as zeros.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..wanted];
        let count = match self.file.read(buffer)? {
            0 => {
                buffer.fill(0);
                wanted
            }
            count => count,
        };
        self.left -= count as u64;
        Ok(count)
    }
}

/// Sends what is written, in pieces, and waits for room.
struct Pieces<'a> {
    sender: &'a mpsc::Sender<Result<Bytes, WorkspaceError>>,
    collected: Vec<u8>,
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.collected.extend_from_slice(bytes);
        if self.collected.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = Bytes::from(std::mem::take(&mut self.collected));
        if piece.is_empty() {
            return Ok(());
        }
        self.sender.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
