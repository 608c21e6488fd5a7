//! The keeper's own process: one thread, no runtime, next to no memory.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use eggbox_sandbox::control;
use eggbox_sandbox::leftovers;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with};

use super::messages::{FromKeeper, ToKeeper};
use crate::kept::{self, NestDescriptors};
use crate::state_dir::StateDir;

/// The socket's name in the state directory.
const SOCKET_NAME: &str = "keeper.sock";
/// How long the lock on the state directory is tried for.
const LOCK_MAX: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// How long what is left of nests may take to go once nobody holds it any more.
const CLEAR_MAX: Duration = Duration::from_secs(20);

struct Kept {
    note: String,
    descriptors: Vec<OwnedFd>,
}

struct Process {
    listener: OwnedFd,
    server: Option<OwnedFd>,
    entries: BTreeMap<String, Kept>,
    /// Since when there is no server.
    alone_since: Instant,
    abandoned_max: Duration,
}

/// Calls `act` with the address of the keeper of this folder, however long the folder's path is.
pub(super) fn with_address<T>(state_dir: &Path, act: impl FnOnce(&SocketAddrUnix) -> io::Result<T>) -> io::Result<T> {
    let folder = open(state_dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    // sun_path holds 108 bytes (unix(7)).
    act(&SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET_NAME}", folder.as_raw_fd()))?)
}

/// The whole life of a keeper, whose first server is at the other end of `server`.
///
/// # Errors
/// Where it cannot be one.
pub fn run(state_dir: &Path, abandoned_max: Duration, server: OwnedFd) -> io::Result<()> {
    // A terminal that interrupts the server does not mean its keeper.
    rustix::process::setsid()?;
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let socket = state_dir.join(SOCKET_NAME);
    remove_socket(&socket)?;
    let listener = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    with_address(state_dir, |address| Ok(bind(&listener, address)?))?;
    listen(&listener, 4)?;
    let own = std::fs::symlink_metadata(&socket)?.ino();
    let (entries, server) = (BTreeMap::new(), Some(server));
    let mut process = Process { listener, server, entries, alone_since: Instant::now(), abandoned_max };
    process.serve()?;
    // From here on a server that comes finds none, and starts another. Where one has been started already, it is that
    // one's.
    if std::fs::symlink_metadata(&socket).is_ok_and(|now| now.ino() == own) {
        remove_socket(&socket)?;
    }
    process.clear(state_dir);
    Ok(())
}

/// Whether something is there to be heard of a server, the end of its line included.
fn has_message_now(server: Option<&OwnedFd>) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let is_ready = |server| poll(&mut [PollFd::new(server, PollFlags::IN)], Some(&now)).is_ok_and(|count| count > 0);
    server.is_some_and(is_ready)
}

fn remove_socket(socket: &Path) -> io::Result<()> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Process {
    /// Until a server ends it, or none has been there for too long.
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let mut wait = None;
            if self.server.is_none() {
                let left = self.abandoned_max.saturating_sub(self.alone_since.elapsed());
                if left.is_zero() || self.entries.is_empty() {
                    return Ok(());
                }
                wait = Timespec::try_from(left).ok();
            }
            let (has_caller, has_message) = {
                let mut ready = vec![PollFd::new(&self.listener, PollFlags::IN)];
                ready.extend(self.server.iter().map(|server| PollFd::new(server, PollFlags::IN)));
                match poll(&mut ready, wait.as_ref()) {
                    Err(Errno::INTR) => continue,
                    other => other?,
                };
                let is_ready = |at: usize| ready.get(at).is_some_and(|entry| !entry.revents().is_empty());
                (is_ready(0), is_ready(1))
            };
            if has_message && self.hear_server() {
                return Ok(());
            }
            if has_caller {
                // What the server before has said is heard to its end first.
                while has_message_now(self.server.as_ref()) {
                    if self.hear_server() {
                        return Ok(());
                    }
                }
                // The lock on the folder has one server at a time: the one before is gone, whether we have heard so or
                // not.
                self.server = accept_with(&self.listener, SocketFlags::CLOEXEC).ok();
            }
        }
    }

    /// Takes one message. Returns whether it was the last.
    fn hear_server(&mut self) -> bool {
        let Some(server) = &self.server else { return false };
        let heard = match control::receive(server.as_fd()) {
            Ok(Some((ToKeeper::Put { key, note }, descriptors))) => {
                self.entries.insert(key, Kept { note, descriptors });
                Ok(())
            }
            Ok(Some((ToKeeper::Remove { key }, _))) => {
                self.entries.remove(&key);
                Ok(())
            }
            Ok(Some((ToKeeper::Take, _))) => self.tell_everything(server),
            Ok(Some((ToKeeper::Wait { millis }, _))) => {
                self.abandoned_max = Duration::from_millis(millis);
                Ok(())
            }
            Ok(Some((ToKeeper::Abandon, _))) => return true,
            Ok(Some((ToKeeper::End, _))) => {
                // It has cleared everything away itself.
                self.entries.clear();
                return true;
            }
            Ok(None) => Err(io::ErrorKind::ConnectionReset.into()),
            Err(error) => Err(error),
        };
        match heard {
            Ok(()) => {}
            // Of one message that cannot be made out, as of a newer server's, and no reason to give up the others.
            Err(error) if error.raw_os_error().is_none() && error.kind() != io::ErrorKind::ConnectionReset => {}
            Err(_) => {
                self.server = None;
                self.alone_since = Instant::now();
            }
        }
        false
    }

    fn tell_everything(&self, server: &OwnedFd) -> io::Result<()> {
        for (key, Kept { note, descriptors }) in &self.entries {
            let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            control::send(server.as_fd(), &FromKeeper::Entry { key: key.clone(), note: note.clone() }, &descriptors)?;
        }
        control::send(server.as_fd(), &FromKeeper::All, &[])
    }

    /// Lets go of everything, at which nests end and their sessions with them, and clears away what they leave.
    fn clear(self, state_dir: &Path) {
        let (mut nests, mut environments) = (Vec::new(), Vec::new());
        for (key, Kept { descriptors, .. }) in self.entries {
            if key == kept::PLAN_KEY {
                let plan = descriptors.into_iter().next().and_then(|file| kept::read_plan(&file.into()).ok());
                environments.extend(plan);
                continue;
            }
            if !kept::is_nest(&key) {
                continue;
            }
            let Some(nest) = NestDescriptors::from_kept(descriptors) else { continue };
            let plan = nest.read_plan();
            drop(nest.control);
            nests.push((nest.pidfd, plan));
        }
        let end = Instant::now() + CLEAR_MAX;
        for (pidfd, plan) in nests {
            let left = Timespec::try_from(end.saturating_duration_since(Instant::now())).ok();
            // Where it takes longer, its groups are busy and stay; the next server uses them again.
            let gone = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], left.as_ref());
            if let (Ok(1..), Ok(plan)) = (gone, plan) {
                // There is nobody to tell.
                let _ = leftovers::clear_folder(&plan);
                environments.push(plan);
            }
        }
        if environments.is_empty() {
            // The server that said so waits for this process.
            return;
        }
        // A server that has come meanwhile uses the same groups; one that is about to end still has the lock.
        let end = Instant::now() + LOCK_MAX;
        let mut lock = StateDir::lock(state_dir);
        while lock.is_err() && Instant::now() < end {
            std::thread::sleep(LOCK_PAUSE);
            lock = StateDir::lock(state_dir);
        }
        if let Ok(_alone) = lock {
            for plan in &environments {
                let _ = leftovers::clear_groups(plan);
            }
        }
    }
}
