//! The nest's loop: one request, one fork; one death, one report.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::channel::Channel;
use super::python;
use crate::control;
use crate::enforce::{Descriptors, lock_down};
use crate::layers::namespaces;
use crate::plan::{Plan, SessionPlan};
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
    pub(super) plan: SessionPlan,
}

/// The two returns of a fork.
enum Spawned {
    Session(Box<Session>),
    Child(OwnedFd),
}

/// What a session exits with that could not be locked down.
const NOT_LOCKED_DOWN: i32 = 70;

/// The epoll tag of the control channel; sessions are tagged with their slots, which are 32 bits wide.
const CONTROL: u64 = u64::MAX;

impl Nest {
    /// Takes over the descriptors that the nest was started with.
    pub(super) fn adopt() -> io::Result<Self> {
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
    pub(super) fn serve(self, up: &FromNest) -> io::Result<Session> {
        let events = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&events, &self.control, epoll::EventData::new_u64(CONTROL), epoll::EventFlags::IN)?;
        self.tell(up)?;
        let mut children: HashMap<u32, OwnedFd> = HashMap::new();
        loop {
            let mut ready = [const { std::mem::MaybeUninit::uninit() }; 64];
            let ready = match epoll::wait(&events, &mut ready, None) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other?.0,
            };
            for event in ready {
                match u32::try_from(event.data.u64()) {
                    Ok(slot) => self.report_end(slot, children.remove(&slot))?,
                    Err(_) => match control::receive(self.control.as_fd())? {
                        None => sys::exit_now(0),
                        Some((ToNest::Spawn { slot }, descriptors)) => match self.spawn(slot, descriptors) {
                            Ok(Spawned::Session(session)) => {
                                // Their descriptors are closed already, and the numbers may be in use again.
                                std::mem::forget((self, events, children));
                                return Ok(*session);
                            }
                            Ok(Spawned::Child(child)) => {
                                let tag = epoll::EventData::new_u64(slot.into());
                                epoll::add(&events, &child, tag, epoll::EventFlags::IN)?;
                                control::send(self.control.as_fd(), &FromNest::Spawned { slot }, &[child.as_fd()])?;
                                children.insert(slot, child);
                            }
                            Err(error) => self.tell(&FromNest::NotSpawned { slot, cause: error.to_string() })?,
                        },
                    },
                }
            }
        }
    }

    fn spawn(&self, slot: u32, descriptors: Vec<OwnedFd>) -> io::Result<Spawned> {
        let Ok([channel, stdout, stderr]) = <[OwnedFd; 3]>::try_from(descriptors) else {
            return Err(io::Error::other("a request to fork came without its three descriptors"));
        };
        let threads = sys::inside::thread_count()?;
        if threads != 1 {
            let cause = format!("the nest has {threads} threads, so a fork of it would be broken; preload less");
            return Err(io::Error::other(cause));
        }
        match python::fork(|| sys::clone3(namespaces::SESSION))? {
            sys::Forked::Parent { child } => Ok(Spawned::Child(child)),
            sys::Forked::Child => {
                Ok(Spawned::Session(Box::new(self.become_session(slot, Descriptors { channel, stdout, stderr }))))
            }
        }
    }

    fn become_session(&self, slot: u32, descriptors: Descriptors) -> Session {
        let Plan { session: plan, session_steps: steps, .. } = &self.plan;
        let locked = lock_down(plan, steps, slot, descriptors);
        let Ok(channel) = sys::adopt_inherited(plan.channel_fd()).map(Channel::new) else {
            sys::exit_now(NOT_LOCKED_DOWN)
        };
        match locked {
            Ok(status) => {
                sys::inside::mark_session_process();
                Session { channel, status, plan: plan.clone() }
            }
            Err(failure) => {
                // The server hears of it by the exit where even this fails.
                let _ = channel.send(&FromSession::Refused(failure.to_string()));
                sys::exit_now(NOT_LOCKED_DOWN)
            }
        }
    }

    fn report_end(&self, slot: u32, child: Option<OwnedFd>) -> io::Result<()> {
        let Some(child) = child else { return Ok(()) };
        let Some(status) = waitid(WaitId::PidFd(child.as_fd()), WaitIdOptions::EXITED)? else { return Ok(()) };
        let exit = match (status.exit_status(), status.terminating_signal()) {
            (Some(status), _) => Exit::Status(status),
            (None, signal) => Exit::Signal(signal.unwrap_or_default()),
        };
        self.tell(&FromNest::Ended { slot, exit })
    }
}
