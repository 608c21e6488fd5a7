//! What the keeper is given: under which keys, with which words, in which order.

use std::fs::File;
use std::os::fd::OwnedFd;

use eggbox_sandbox::plan::Plan;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::code_file::CodeFile;
use crate::history::{History, read_whole};
use crate::nest::Description;
use crate::outcome::Death;
use crate::session_id::SessionId;
use crate::session_process::SessionDescriptors;

/// The environment's plan, by which its control groups are removed where no nest is left that names them.
pub(crate) const PLAN_KEY: &str = "plan";

const NEST: &str = "nest/";
const SESSION: &str = "session/";
const GONE: &str = "gone/";
const LATE: &str = "late/";

/// Of a nest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NestNote {
    pub(crate) name: String,
    /// Of the environment's plan; see [`Plan::digest`].
    pub(crate) digest: u64,
    pub(crate) wire_version: u32,
    pub(crate) description: Description,
}

/// The descriptors of a nest.
#[derive(Debug)]
pub(crate) struct NestDescriptors {
    pub(crate) control: OwnedFd,
    pub(crate) pidfd: OwnedFd,
    pub(crate) plan: File,
    pub(crate) base: Option<OwnedFd>,
}

/// Of a session. Everything else is in its record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SessionNote {
    pub(crate) nest: String,
    pub(crate) slot: u32,
    pub(crate) created: Moment,
}

impl SessionNote {
    /// No other session's: two that have a slot after one another may be kept at the same time, for a moment.
    pub(crate) fn name(&self) -> String {
        let Self { nest, slot, created } = self;
        format!("{nest}/{slot}/{created}")
    }
}

/// Of a session that has ended without anybody having been told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct GoneNote {
    pub(crate) id: SessionId,
    pub(crate) death: Death,
}

pub(crate) fn nest_key(name: &str) -> String {
    format!("{NEST}{name}")
}

pub(crate) fn session_key(note: &SessionNote) -> String {
    format!("{SESSION}{}", note.name())
}

pub(crate) fn gone_key(id: &SessionId) -> String {
    format!("{GONE}{}", id.written())
}

/// Streams that a session has left to processes of its past.
pub(crate) fn late_key(note: &SessionNote, generation: u32) -> String {
    format!("{LATE}{}/{generation}", note.name())
}

/// The name of the session that has left such streams, and their generation.
pub(crate) fn parse_late_key(key: &str) -> Option<(&str, u32)> {
    let (name, generation) = key.strip_prefix(LATE)?.rsplit_once('/')?;
    Some((name, generation.parse().ok()?))
}

pub(crate) fn is_nest(key: &str) -> bool {
    key.starts_with(NEST)
}

pub(crate) fn is_session(key: &str) -> bool {
    key.starts_with(SESSION)
}

pub(crate) fn is_gone(key: &str) -> bool {
    key.starts_with(GONE)
}

impl NestDescriptors {
    pub(crate) fn from_kept(descriptors: Vec<OwnedFd>) -> Option<Self> {
        let mut descriptors = descriptors.into_iter();
        let [control, pidfd, plan] = std::array::from_fn(|_| descriptors.next());
        Some(Self { control: control?, pidfd: pidfd?, plan: plan?.into(), base: descriptors.next() })
    }

    /// The plan that the nest was started with.
    pub(crate) fn read_plan(&self) -> std::io::Result<Plan> {
        read_plan(&self.plan)
    }
}

pub(crate) fn read_plan(file: &File) -> std::io::Result<Plan> {
    Ok(serde_json::from_slice(&read_whole(file)?)?)
}

/// The history of a session that has ended.
pub(crate) fn history_from_kept(descriptors: Vec<OwnedFd>) -> Option<History> {
    History::from_array(descriptors.try_into().ok()?).ok()
}

/// The descriptors of a session.
pub(crate) fn session_from_kept(descriptors: Vec<OwnedFd>) -> std::io::Result<(SessionDescriptors, CodeFile, History)> {
    let missing = |_| std::io::Error::other("descriptors are missing");
    let [requests, answers, stdout, stderr, values, pidfd, code, files @ ..]: [OwnedFd; 11] =
        descriptors.try_into().map_err(missing)?;
    let process = SessionDescriptors { requests, answers, stdout, stderr, values, pidfd };
    Ok((process, CodeFile::from_kept(code)?, History::from_array(files)?))
}
