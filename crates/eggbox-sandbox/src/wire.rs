//! What travels between server, nest and session, in the one place that both ends are built from.
//!
//! A session's channel is a socket that the server writes to and a pipe that it reads from, each a byte stream of frames.
//! A socket carries descriptors, whose closing can hold the closer up: the server's end of this one is shut for whatever comes
//! the other way. Whatever a session sends is hostile, so every length has a limit
//! and every frame is parsed into a value or refused. A nest's control channel is a SOCK_SEQPACKET of JSON messages
//! between two programs of ours, with descriptors beside them.

mod value;

use serde::{Deserialize, Serialize};

pub use self::value::{VALUE_BYTES_MAX, VALUE_HEADER_BYTES, ValueHeader, ValueKind};
use crate::checkpoint::{LargeRun, OpenFile, Place};
use crate::policy::WorkspacePolicy;
use crate::status::Status;
use crate::steps::NestStep;

/// Where a nest finds its control channel, and its [`Plan`](crate::plan::Plan) as JSON, when the server starts it:
/// as its standard input and output, which any way of starting a process can set.
pub const NEST_CONTROL_AT_START_FD: i32 = 0;
pub const NEST_PLAN_AT_START_FD: i32 = 1;
/// Where the interpreter that the nest becomes finds them.
pub const NEST_CONTROL_FD: i32 = 3;
pub const NEST_PLAN_FD: i32 = 4;

/// The largest frame a session may send, in bytes after the header: a status report is about 2 KiB.
pub const SESSION_FRAME_BYTES_MAX: usize = 16 * 1024;
/// The largest message on a control channel, in bytes.
pub const CONTROL_MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// What a session exits with whose code has closed the channel, so that its end cannot be told.
pub const CHANNEL_LOST_STATUS: i32 = 71;
/// Bytes of a frame's header: the length of the body (u32, little endian), then its kind.
pub const HEADER_BYTES: usize = 5;

/// The kind of an execution request. Body: its sequence number, the length of its code, which stands in the session's
/// code file in UTF-8, the length of its standard input, which stands there behind it ([`NO_TEXT`] where it has none), and
/// its options (four u64, little endian): a request is small enough to be sent whole or not at all.
pub const KIND_EXECUTE: u8 = b'X';
/// The kind of the answer to code that waits for a line. Body: the sequence number of the execution, how many lines it
/// has asked for with this one, and the length of the line in the code file, [`NO_TEXT`] for the end of input (three u64,
/// little endian). What nobody waits for is dropped.
pub const KIND_INPUT: u8 = b'T';
/// Bytes of that body.
pub const INPUT_BYTES: usize = 24;
/// The kind of the order to a session that has run no code to have more in its environment. Body: a number of the
/// server's, as for [`KIND_RESUME`], and the length of a JSON object in the code file (two u64, little endian). It answers
/// as to [`KIND_RESUME`].
pub const KIND_ENVIRONMENT: u8 = b'E';
/// Bytes of that body.
pub const ENVIRONMENT_BYTES: usize = 16;
/// The length of text that is not there.
pub const NO_TEXT: u64 = u64::MAX;
/// Of an execution: its result, what it displays and its exception are wanted as values.
pub const OPTION_RICH: u64 = 1;
/// Of an execution: somebody may answer when it asks for a line.
pub const OPTION_INTERACTIVE: u64 = 2;
/// The kind of the question of a server that has taken a session over: what it did last. Body: a number of that server's
/// (u64, little endian), which tells its answer from those to servers before it.
pub const KIND_RESUME: u8 = b'S';
/// The kind of the wish that a session that waits for its first code get ready for it. Body and answer as for
/// [`KIND_RESUME`].
pub const KIND_WARM_UP: u8 = b'W';
/// Bytes of that body.
pub const RESUME_BYTES: usize = 8;
/// The kind of the order to a session that has run no code to have less from now on. Body: a number of the server's, as for
/// [`KIND_RESUME`]; how many bytes fewer each process may have of its own; how many processes its uid may have, 0 where that
/// is not counted (three u64, little endian). It answers as to [`KIND_RESUME`], or that it refuses.
pub const KIND_LOWER: u8 = b'L';
/// Bytes of that body.
pub const LOWER_BYTES: usize = 24;
/// The kind of the wish that a session stand still for an image to be taken of it. Body as for [`KIND_RESUME`]. It goes on with the
/// next request.
pub const KIND_STAND_STILL: u8 = b'P';
/// The kind of the order to become what an image says. Body as for [`KIND_RESUME`], sent by itself and with three descriptors and more:
/// the work that this takes (see [`work`](crate::checkpoint::work)), the pages of the image, the base that it is of, what says how far
/// those pages have come, if they are still coming, and other images that it shows parts of. What the session has become answers as to [`KIND_RESUME`]; where it cannot become that, it refuses and is what
/// it was.
pub const KIND_BECOME: u8 = b'B';
/// What it says where the work is for it as it was before, but not as it is.
pub const LAYOUT_HAS_CHANGED: &str = "its memory lies otherwise than it did";
/// How many descriptors beside those of other images, at most.
pub const BECOME_DESCRIPTORS: usize = 4;
/// How many further images at most.
pub const BECOME_IMAGES_MAX: usize = 8;
/// The kind of the order to a session that stands still to have parts of its memory from the image that was taken of it, which has the
/// same in them. Body: a number of the server's, as for [`KIND_RESUME`], then for each part where it begins and ends, where it is in
/// the image, and its protection (four u64 each, all little endian), sent by itself and with the image. It answers as to
/// [`KIND_RESUME`], whether it could or not, and stands still.
pub const KIND_SHOW: u8 = b'V';
/// How many parts at most.
pub const SHOW_RUNS_MAX: usize = 32;
/// Bytes of an execution request's body.
pub const EXECUTE_BYTES: usize = 32;
/// How many files a session that stands still tells of, and bytes of JSON, at most.
pub const OPEN_FILES_MAX: usize = 32;
pub const OPEN_FILES_BYTES_MAX: usize = 8 * 1024;
/// How much of a reason is told: it may have names in it that code has chosen.
const REASON_BYTES_MAX: usize = 4 * 1024;
/// What both ends of the channels must agree on, for a server to take over what another build has left.
pub const WIRE_VERSION: u32 = 8;
const KIND_READY: u8 = b'R';
const KIND_REFUSED: u8 = b'F';
const KIND_DONE: u8 = b'D';
const KIND_IDLE: u8 = b'I';
const KIND_RENEWED: u8 = b'N';
const KIND_STANDS_STILL: u8 = b'P';
const KIND_CANNOT: u8 = b'C';

/// What a session tells the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromSession {
    /// It is locked down, has checked itself and waits for code.
    Ready(Status),
    /// A layer could not be put up; it has ended itself.
    Refused(String),
    /// The execution of this number is over.
    Done { sequence: u64, ending: Ending },
    /// It has other processes, so that the streams it had belong to the past: from now on it writes to others, whose ends
    /// for the server are its descriptors `stdout` and `stderr` until the next request. Said just before `Done` or `Idle`.
    /// Generations count from 1, the first streams being 0.
    Renewed { generation: u32, stdout: i32, stderr: i32 },
    /// The answer to [`KIND_RESUME`] of this `asked`: it waits for code, and the execution of this number was the last. 0
    /// before the first.
    Idle { asked: u64, sequence: u64, ending: Ending },
    /// The answer to [`KIND_STAND_STILL`] of this `asked`: it stands still there, and has those files open.
    StandsStill { asked: u64, place: Place, files: Vec<OpenFile> },
    /// The same: it has what no image can carry.
    Cannot { asked: u64, why: String },
}

/// How the runner saw code end. A session can lie here, about nothing but itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    Ok,
    Exception,
    Denied,
    Interrupted,
    /// An exception that says that there was no memory left.
    OutOfMemory,
}

/// Why bytes from a session are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {bytes} bytes, more than {SESSION_FRAME_BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error("a frame of unknown kind {kind}")]
    Kind { kind: u8 },
    #[error("a malformed frame of kind {kind}")]
    Body { kind: u8 },
}

impl Ending {
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Ok, Self::Exception, Self::Denied, Self::Interrupted, Self::OutOfMemory].get(usize::from(code)).copied()
    }

    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// The header of a frame with a body of `length` bytes.
///
/// # Errors
/// Where the length does not fit its field.
pub fn header(kind: u8, length: usize) -> Result<[u8; HEADER_BYTES], FrameError> {
    let length = u32::try_from(length).map_err(|_| FrameError::TooLong { bytes: length })?.to_le_bytes();
    Ok([length[0], length[1], length[2], length[3], kind])
}

/// The body's length and the kind that a header announces.
#[must_use]
pub fn parse_header(header: [u8; HEADER_BYTES]) -> (usize, u8) {
    let [a, b, c, d, kind] = header;
    (u32::from_le_bytes([a, b, c, d]) as usize, kind)
}

impl FromSession {
    /// The whole frame.
    ///
    /// # Errors
    /// Where it would be longer than [`SESSION_FRAME_BYTES_MAX`].
    pub fn encode(&self) -> Result<Vec<u8>, FrameError> {
        let (kind, body) = match self {
            Self::Ready(status) => {
                (KIND_READY, serde_json::to_vec(status).map_err(|_| FrameError::Body { kind: KIND_READY })?)
            }
            Self::Refused(why) => (KIND_REFUSED, reason(why).as_bytes().to_vec()),
            Self::Done { sequence, ending } => (KIND_DONE, ending_body(*sequence, *ending)),
            Self::Idle { asked, sequence, ending } => {
                (KIND_IDLE, [&asked.to_le_bytes()[..], &ending_body(*sequence, *ending)].concat())
            }
            Self::StandsStill { asked, place: Place { stack, program_break, thread_pointer, descriptors }, files } => {
                let words = [*asked, *stack, *program_break, *thread_pointer, *descriptors];
                let files = serde_json::to_vec(files).map_err(|_| FrameError::Body { kind: KIND_STANDS_STILL })?;
                (KIND_STANDS_STILL, [words.map(u64::to_le_bytes).concat(), files].concat())
            }
            Self::Cannot { asked, why } => (KIND_CANNOT, [&asked.to_le_bytes(), reason(why).as_bytes()].concat()),
            Self::Renewed { generation, stdout, stderr } => {
                (KIND_RENEWED, [generation.to_le_bytes(), stdout.to_le_bytes(), stderr.to_le_bytes()].concat())
            }
        };
        if body.len() > SESSION_FRAME_BYTES_MAX {
            return Err(FrameError::TooLong { bytes: body.len() });
        }
        let mut frame = header(kind, body.len())?.to_vec();
        frame.extend(body);
        Ok(frame)
    }

    /// The first frame of `bytes` and how many of them it takes, or none where more bytes are needed.
    ///
    /// # Errors
    /// Where no continuation could make it a frame.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, FrameError> {
        let Some((head, rest)) = bytes.split_first_chunk() else { return Ok(None) };
        let (length, kind) = parse_header(*head);
        if length > SESSION_FRAME_BYTES_MAX {
            return Err(FrameError::TooLong { bytes: length });
        }
        const KINDS: [u8; 7] =
            [KIND_READY, KIND_REFUSED, KIND_DONE, KIND_IDLE, KIND_RENEWED, KIND_STANDS_STILL, KIND_CANNOT];
        if !KINDS.contains(&kind) {
            return Err(FrameError::Kind { kind });
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let frame = Self::decode_body(kind, body).ok_or(FrameError::Body { kind })?;
        Ok(Some((frame, HEADER_BYTES + length)))
    }

    fn decode_body(kind: u8, body: &[u8]) -> Option<Self> {
        match kind {
            KIND_READY => serde_json::from_slice(body).ok().map(Self::Ready),
            KIND_REFUSED => String::from_utf8(body.to_vec()).ok().map(Self::Refused),
            KIND_STANDS_STILL => {
                let (words, files) = body.split_first_chunk::<{ 5 * size_of::<u64>() }>()?;
                let words: [_; 5] = words.as_chunks().0.try_into().ok()?;
                let [asked, stack, program_break, thread_pointer, descriptors] = words.map(u64::from_le_bytes);
                let place = Place { stack, program_break, thread_pointer, descriptors };
                Some(Self::StandsStill { asked, place, files: serde_json::from_slice(files).ok()? })
            }
            KIND_CANNOT => {
                let (asked, why) = body.split_first_chunk()?;
                let why = String::from_utf8(why.to_vec()).ok()?;
                Some(Self::Cannot { asked: u64::from_le_bytes(*asked), why })
            }
            KIND_RENEWED => {
                let (words, rest) = body.as_chunks();
                let &[generation, stdout, stderr] = words else { return None };
                let [stdout, stderr] = [stdout, stderr].map(i32::from_le_bytes);
                let is_valid = rest.is_empty() && stdout >= 0 && stderr >= 0;
                is_valid.then(|| Self::Renewed { generation: u32::from_le_bytes(generation), stdout, stderr })
            }
            _ => {
                let (asked, body) = if kind == KIND_IDLE { body.split_first_chunk()? } else { (&[0; 8], body) };
                let asked = u64::from_le_bytes(*asked);
                let (sequence, ending) = body.split_first_chunk()?;
                let &[ending] = ending else { return None };
                let (sequence, ending) = (u64::from_le_bytes(*sequence), Ending::from_code(ending)?);
                Some(if kind == KIND_DONE {
                    Self::Done { sequence, ending }
                } else {
                    Self::Idle { asked, sequence, ending }
                })
            }
        }
    }
}

fn reason(why: &str) -> &str {
    let end = (0..=why.len().min(REASON_BYTES_MAX)).rev().find(|at| why.is_char_boundary(*at));
    &why[..end.unwrap_or_default()]
}

fn ending_body(sequence: u64, ending: Ending) -> Vec<u8> {
    [&sequence.to_le_bytes()[..], &[ending.code()]].concat()
}

/// The request to execute what stands in the code file; see [`KIND_EXECUTE`].
///
/// # Errors
/// Never: its length fits.
pub fn execute_request(
    sequence: u64,
    code_bytes: u64,
    stdin_bytes: Option<u64>,
    options: u64,
) -> Result<Vec<u8>, FrameError> {
    let numbers = [sequence, code_bytes, stdin_bytes.unwrap_or(NO_TEXT), options];
    Ok([&header(KIND_EXECUTE, EXECUTE_BYTES)?[..], &numbers.map(u64::to_le_bytes).concat()].concat())
}

/// The line that stands in the code file, for the execution of that number that has asked for so many lines; see
/// [`KIND_INPUT`].
///
/// # Errors
/// Never: its length fits.
pub fn input_request(sequence: u64, ordinal: u64, length: Option<u64>) -> Result<Vec<u8>, FrameError> {
    let numbers = [sequence, ordinal, length.unwrap_or(NO_TEXT)];
    Ok([&header(KIND_INPUT, INPUT_BYTES)?[..], &numbers.map(u64::to_le_bytes).concat()].concat())
}

/// The order to add what stands in the code file to the environment; see [`KIND_ENVIRONMENT`].
///
/// # Errors
/// Never: its length fits.
pub fn environment_request(asked: u64, length: u64) -> Result<Vec<u8>, FrameError> {
    let numbers = [asked, length];
    Ok([&header(KIND_ENVIRONMENT, ENVIRONMENT_BYTES)?[..], &numbers.map(u64::to_le_bytes).concat()].concat())
}

/// The order to have parts of memory from an image; see [`KIND_SHOW`]. Of more than [`SHOW_RUNS_MAX`] the largest.
///
/// # Errors
/// Never: its length fits.
pub fn show_request(asked: u64, mut runs: Vec<LargeRun>) -> Result<Vec<u8>, FrameError> {
    runs.sort_unstable_by_key(|run| std::cmp::Reverse(run.end - run.start));
    runs.truncate(SHOW_RUNS_MAX);
    let words = runs.iter().flat_map(|run| [run.start, run.end, run.place, run.protection]);
    let body: Vec<u8> = std::iter::once(asked).chain(words).flat_map(u64::to_le_bytes).collect();
    Ok([&header(KIND_SHOW, body.len())?[..], &body].concat())
}

/// A request of `kind` that has a number of the server's for its body, whole.
///
/// # Errors
/// Never: its length fits.
pub fn numbered_request(kind: u8, asked: u64) -> Result<Vec<u8>, FrameError> {
    Ok([&header(kind, RESUME_BYTES)?[..], &asked.to_le_bytes()].concat())
}

/// The order to have less, whole; see [`KIND_LOWER`].
///
/// # Errors
/// Never: its length fits.
pub fn lower_request(asked: u64, data_bytes_less: u64, processes_max: Option<u32>) -> Result<Vec<u8>, FrameError> {
    let numbers = [asked, data_bytes_less, processes_max.unwrap_or(0).into()];
    Ok([&header(KIND_LOWER, LOWER_BYTES)?[..], &numbers.map(u64::to_le_bytes).concat()].concat())
}

/// What the server asks of a nest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToNest {
    /// Fork a session. Beside it: the socket that it reads requests from, the one that it writes answers to, those for
    /// stdout, stderr and values, the file with its code, and the entrances of its control group, if it has one.
    /// No two living sessions have the same slot; it picks the session's uid. `files` is what holds for its workspace, where
    /// that is not what the plan says.
    Spawn { slot: u32, files: Option<WorkspacePolicy> },
    /// Say which sessions there are.
    Report,
}

/// What a nest tells the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromNest {
    /// The first process of the nest lives; beside it: a pidfd of that process.
    Started,
    /// There will be no nest; it has ended itself.
    Failed(NestFailure),
    /// It has imported and exercised its preload list and takes requests. Beside it: its base, where there is one.
    Up {
        python: String,
        preloaded: Vec<String>,
        missing: Vec<String>,
        /// How much of its memory forks share as a file, or why none: they take longer then.
        base_bytes: Result<u64, String>,
    },
    /// A session was forked; beside it: a pidfd of the session.
    Spawned { slot: u32 },
    /// No session could be forked.
    NotSpawned { slot: u32, cause: String },
    /// A session's process has ended and was reaped.
    Ended { slot: u32, exit: Exit },
    /// Nothing of the session is left, and the slot can be used again.
    Cleared { slot: u32 },
    /// Something of it could not be cleared away, and the slot is not to be used again.
    NotCleared { slot: u32 },
    /// Some of the slots whose sessions have not ended; the last such message of a report says so.
    Holding { slots: Vec<u32>, is_all: bool },
}

/// Why there is no nest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum NestFailure {
    #[error("the plan handed to it is of no use: {cause}")]
    Plan { cause: String },
    #[error("{}step `{step}`: {cause}; {}", layer_prefix(*step), step.mend())]
    Step { step: NestStep, cause: String },
    #[error("the preload list: {cause}; each module on it must import cleanly in this interpreter, without threads")]
    Preload { cause: String },
}

fn layer_prefix(step: NestStep) -> String {
    step.layer().map(|layer| format!("the {layer} cannot be put up, ")).unwrap_or_default()
}

/// How a process ended, from its wait status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    Status(i32),
    Signal(i32),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_survive_the_wire_in_any_cut() {
        let frames = [
            FromSession::Ready(Status::default()),
            FromSession::Refused("step `seccomp`: not permitted".into()),
            FromSession::Done { sequence: u64::MAX, ending: Ending::Denied },
            FromSession::Idle { asked: 7, sequence: 0, ending: Ending::OutOfMemory },
            FromSession::Renewed { generation: 1, stdout: 3, stderr: i32::MAX },
            FromSession::StandsStill {
                asked: 1,
                place: Place { stack: u64::MAX, program_break: 7, thread_pointer: 8, descriptors: 9 },
                files: vec![OpenFile { path: "/workspace/db".into(), inode: 12 }],
            },
            FromSession::Cannot { asked: 2, why: "a socket is open on descriptor 7".into() },
        ];
        for frame in frames {
            let bytes = frame.encode().unwrap();
            for cut in 0..bytes.len() {
                assert_eq!(FromSession::decode(&bytes[..cut]), Ok(None), "cut at {cut}");
            }
            assert_eq!(FromSession::decode(&bytes), Ok(Some((frame, bytes.len()))));
        }
    }

    #[test]
    fn what_is_long_unknown_or_malformed_is_refused_before_its_body_arrives() {
        let huge = header(KIND_DONE, SESSION_FRAME_BYTES_MAX + 1).unwrap();
        assert!(matches!(FromSession::decode(&huge), Err(FrameError::TooLong { .. })));
        assert_eq!(FromSession::decode(&header(b'?', 1).unwrap()), Err(FrameError::Kind { kind: b'?' }));
        for body in [&b""[..], &[0; 8], &[0; 10], &[0, 0, 0, 0, 0, 0, 0, 0, 9]] {
            let mut bytes = header(KIND_DONE, body.len()).unwrap().to_vec();
            bytes.extend(body);
            assert_eq!(FromSession::decode(&bytes), Err(FrameError::Body { kind: KIND_DONE }), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_take_more_than_there_is(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Some((_, taken))) = FromSession::decode(&bytes) {
                prop_assert!(taken <= bytes.len());
            }
        }
    }
}
