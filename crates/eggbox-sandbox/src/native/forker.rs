//! The nest's loop: one request, one fork; one death, one report.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use super::channel::Channel;
use super::leftovers::end_orphans;
use super::{python, standing};
use crate::cgroup::Version;
use crate::control;
use crate::enforce::{Descriptors, lock_down};
use crate::layers::{folders, namespaces, rlimits};
use crate::plan::{GroupsPlan, OwnTrees, Plan, TreesPlan};
use crate::policy::WorkspacePolicy;
use crate::status::Status;
use crate::sys;
use crate::wire::{Exit, FromNest, FromSession, NEST_CONTROL_FD, NEST_PLAN_FD, NestFailure, ToNest};

/// The nest's own state; a session leaves it behind.
#[derive(Debug)]
pub(super) struct Nest {
    control: OwnedFd,
    plan: Plan,
}

/// What a fork finds itself to be.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) channel: Channel,
    pub(super) status: Status,
    pub(super) trees: OwnTrees,
}

/// A fork of the nest.
#[derive(Debug)]
struct Child {
    pidfd: OwnedFd,
    pid: Pid,
    slot: u32,
    role: Role,
}

#[derive(Debug, Clone, Copy)]
enum Role {
    Session,
    /// Removes the folders of a session that has ended.
    Cleaner,
}

/// The two returns of a fork.
enum Spawned {
    Session(Box<Session>),
    Child(Child),
}

/// What a session exits with that could not be locked down.
const NOT_LOCKED_DOWN: i32 = 70;

/// Between two looks for processes that ended sessions have left behind.
const ORPHANS_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
/// How long a nest that ends goes on ending such.
const ORPHANS_MAX: Duration = Duration::from_secs(5);

/// Slots in one message of a report: about 7 KiB.
const REPORTED_AT_ONCE: usize = 1024;

/// The epoll tag of the control channel.
const CONTROL: u64 = u64::MAX;

impl Nest {
    /// Takes over the descriptors that the nest was started with.
    pub(super) fn adopt() -> io::Result<Self> {
        rlimits::restore_first_stack()?;
        let mut text = String::new();
        File::from(sys::adopt_inherited(NEST_PLAN_FD)?).read_to_string(&mut text)?;
        Ok(Self { control: sys::adopt_inherited(NEST_CONTROL_FD)?, plan: serde_json::from_str(&text)? })
    }

    /// Says why there will be no nest.
    pub(super) fn refuse(&self, cause: String) -> io::Result<()> {
        self.tell(&FromNest::Failed(NestFailure::Preload { cause }))
    }

    fn tell(&self, message: &FromNest) -> io::Result<()> {
        control::send(self.control.as_fd(), message, &[])
    }

    /// Forks sessions until the server is gone, which ends this process and with it all of them.
    /// Returns in each session, locked down.
    pub(super) fn serve(self, up: &FromNest, base: Option<OwnedFd>) -> Session {
        let mut children = HashMap::new();
        match self.run(up, base, &mut children) {
            Ok(Some(session)) => {
                // Their descriptors are closed already, and the numbers may be in use again.
                std::mem::forget((self, children));
                session
            }
            // The server is gone, or cannot be talked to.
            Ok(None) | Err(_) => {
                // Nobody is left to hear of a failure.
                let _ = self.leave(&children);
                sys::exit_now(0)
            }
        }
    }

    /// The loop; ends in a session, or where the server is gone.
    fn run(
        &self,
        up: &FromNest,
        base: Option<OwnedFd>,
        children: &mut HashMap<u64, Child>,
    ) -> io::Result<Option<Session>> {
        let events = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&events, &self.control, epoll::EventData::new_u64(CONTROL), epoll::EventFlags::IN)?;
        control::send(self.control.as_fd(), up, &base.iter().map(AsFd::as_fd).collect::<Vec<_>>())?;
        // Whoever wants it has it from there; what is mapped stays mapped.
        drop(base);
        // A tag is never used twice: an event of a fork that is gone cannot be taken for its successor's.
        let mut tags = 0_u64..CONTROL;
        // Slots whose sessions have ended and may have left processes behind.
        let mut orphaned: Vec<u32> = Vec::new();
        let mut watch = |child: &Child| -> io::Result<u64> {
            let tag = tags.next().ok_or(io::ErrorKind::QuotaExceeded)?;
            epoll::add(&events, &child.pidfd, epoll::EventData::new_u64(tag), epoll::EventFlags::IN)?;
            Ok(tag)
        };
        loop {
            let mut ready = [const { MaybeUninit::uninit() }; 64];
            let pause = (!orphaned.is_empty()).then_some(ORPHANS_PAUSE);
            let ready = match epoll::wait(&events, &mut ready, pause.as_ref()) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other?.0,
            };
            if !orphaned.is_empty() && !end_orphans(&children.values().map(|child| child.pid).collect::<Vec<_>>())? {
                for slot in std::mem::take(&mut orphaned) {
                    let cleaner = self.start_cleaner(slot)?;
                    children.insert(watch(&cleaner)?, cleaner);
                }
            }
            for event in ready {
                let tag = event.data.u64();
                if tag == CONTROL {
                    let (slot, files, descriptors) = match control::receive(self.control.as_fd())? {
                        None => return Ok(None),
                        Some((ToNest::Spawn { slot, files }, descriptors)) => (slot, files, descriptors),
                        Some((ToNest::Report, _)) => {
                            self.report(children)?;
                            continue;
                        }
                    };
                    match self.spawn(slot, files, descriptors) {
                        Ok(Spawned::Session(session)) => {
                            std::mem::forget(events);
                            return Ok(Some(*session));
                        }
                        Ok(Spawned::Child(child)) => match watch(&child) {
                            Ok(tag) => {
                                let pidfd = child.pidfd.as_fd();
                                control::send(self.control.as_fd(), &FromNest::Spawned { slot }, &[pidfd])?;
                                children.insert(tag, child);
                            }
                            Err(error) => {
                                end_unwatched(&child)?;
                                self.tell(&FromNest::NotSpawned { slot, cause: error.to_string() })?;
                            }
                        },
                        Err(error) => self.tell(&FromNest::NotSpawned { slot, cause: error.to_string() })?,
                    }
                    continue;
                }
                let Some(exit) = children.get(&tag).map(|child| reap(&child.pidfd)).transpose()?.flatten() else {
                    continue;
                };
                let Some(ended) = children.remove(&tag) else { continue };
                // The server holds the pidfd as well, so that closing ours does not take it out.
                epoll::delete(&events, &ended.pidfd)?;
                let slot = ended.slot;
                if let Role::Session = ended.role {
                    self.tell(&FromNest::Ended { slot, exit })?;
                    if let TreesPlan::Folders { .. } = self.plan.session.trees {
                        orphaned.push(slot);
                        continue;
                    }
                }
                let is_cleared = matches!((ended.role, exit), (Role::Session, _) | (Role::Cleaner, Exit::Status(0)));
                let told = if is_cleared { FromNest::Cleared { slot } } else { FromNest::NotCleared { slot } };
                self.tell(&told)?;
            }
        }
    }

    fn report(&self, children: &HashMap<u64, Child>) -> io::Result<()> {
        let sessions = children.values().filter(|child| matches!(child.role, Role::Session));
        let slots: Vec<u32> = sessions.map(|child| child.slot).collect();
        for some in slots.chunks(REPORTED_AT_ONCE) {
            self.tell(&FromNest::Holding { slots: some.to_vec(), is_all: false })?;
        }
        self.tell(&FromNest::Holding { slots: Vec::new(), is_all: true })
    }

    /// A process that removes the folders of a session, however long that takes.
    fn start_cleaner(&self, slot: u32) -> io::Result<Child> {
        match sys::clone3(0, None)? {
            sys::Forked::Parent { child, pid } => Ok(Child { pidfd: child, pid, slot, role: Role::Cleaner }),
            sys::Forked::Child => {
                let folder = self.plan.session.trees.of(slot).workspace.path;
                let removed = folder.parent().map_or(Ok(()), folders::remove);
                sys::exit_now(removed.is_err().into())
            }
        }
    }

    /// Ends what no namespace ends with this process.
    fn leave(&self, children: &HashMap<u64, Child>) -> io::Result<()> {
        let TreesPlan::Folders { beneath, .. } = &self.plan.session.trees else { return Ok(()) };
        for child in children.values() {
            // One that has ended is what we want.
            let _ = rustix::process::pidfd_send_signal(&child.pidfd, Signal::KILL);
        }
        let end = Instant::now() + ORPHANS_MAX;
        while end_orphans(&[])? && Instant::now() < end {}
        folders::remove(beneath)
    }

    fn spawn(&self, slot: u32, files: Option<WorkspacePolicy>, descriptors: Vec<OwnedFd>) -> io::Result<Spawned> {
        let mut descriptors = descriptors.into_iter();
        let [Some(requests), Some(answers), Some(stdout), Some(stderr), Some(values), Some(code)] =
            std::array::from_fn(|_| descriptors.next())
        else {
            return Err(io::Error::other("a request to fork came without its descriptors"));
        };
        let entrances: Vec<OwnedFd> = descriptors.collect();
        let threads = sys::inside::thread_count()?;
        if threads != 1 {
            let cause = format!("the nest has {threads} threads, so a fork of it would be broken; preload less");
            return Err(io::Error::other(cause));
        }
        let group = match &self.plan.groups {
            GroupsPlan::Own(group) if group.version == Version::Two => entrances.first().map(AsFd::as_fd),
            _ => None,
        };
        let namespaces = namespaces::of_session(&self.plan.session);
        // The first of its own pid namespace, as the nest is of its own, and so is its thread.
        let is_alike = rustix::process::getpid().as_raw_pid() == 1 && namespaces & libc::CLONE_NEWPID as u64 != 0;
        match python::fork(is_alike, || sys::clone3(namespaces, group))? {
            sys::Forked::Parent { child, pid } => {
                Ok(Spawned::Child(Child { pidfd: child, pid, slot, role: Role::Session }))
            }
            sys::Forked::Child => Ok(Spawned::Session(Box::new(self.become_session(
                slot,
                files,
                Descriptors { requests, answers, stdout, stderr, values, code, entrances },
            )))),
        }
    }

    fn become_session(&self, slot: u32, files: Option<WorkspacePolicy>, descriptors: Descriptors) -> Session {
        let plan = &self.plan.session;
        // Should the channel not get to its place, this is what is left to say so.
        let spare = descriptors.answers.try_clone();
        let locked = lock_down(&self.plan, slot, files, descriptors);
        if let (Err(failure), Ok(spare)) = (&locked, &spare)
            && !failure.channel_is_placed
        {
            let refused = FromSession::Refused(failure.to_string()).encode().unwrap_or_default();
            let _ = rustix::io::write(spare, &refused);
            sys::exit_now(NOT_LOCKED_DOWN);
        }
        // Closed with everything else that the nest had open.
        std::mem::forget(spare);
        let [Ok(requests), Ok(answers), Ok(values), Ok(code)] = plan.channel_fds().map(sys::adopt_inherited) else {
            sys::exit_now(NOT_LOCKED_DOWN)
        };
        let channel = Channel::new(requests, answers, values, code);
        match locked {
            Ok(status) => {
                sys::inside::mark_session_process();
                standing::note();
                Session { channel, status, trees: plan.trees.of(slot).with_policy(files) }
            }
            Err(failure) => {
                // The server hears of it by the exit where even this fails.
                let _ = channel.send(&FromSession::Refused(failure.to_string()));
                sys::exit_now(NOT_LOCKED_DOWN)
            }
        }
    }
}

/// Ends a session that has just been forked and that nothing would tell the end of.
fn end_unwatched(child: &Child) -> io::Result<()> {
    rustix::process::pidfd_send_signal(&child.pidfd, Signal::KILL)?;
    waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED)?;
    Ok(())
}

/// How the process ended; none where it has not.
fn reap(pidfd: &OwnedFd) -> io::Result<Option<Exit>> {
    let status = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)?;
    Ok(status.map(|status| match (status.exit_status(), status.terminating_signal()) {
        (Some(status), _) => Exit::Status(status),
        (None, signal) => Exit::Signal(signal.unwrap_or_default()),
    }))
}
