//! A session's end of its channel, in blocking calls.

use std::fs::File;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recv, recvmsg};

use super::loading;
use super::streams::Streams;
use super::surroundings::Surroundings;
use super::{base, denial, standing};
use crate::checkpoint::Place;
use crate::layers::rlimits;
use crate::sys::{self, inside, suspension};
use crate::wire::{
    ENVIRONMENT_BYTES, EXECUTE_BYTES, Ending, FromSession, HEADER_BYTES, INPUT_BYTES, KIND_BECOME, KIND_ENVIRONMENT,
    KIND_EXECUTE, KIND_INPUT, KIND_LOWER, KIND_RESUME, KIND_SHOW, KIND_STAND_STILL, KIND_WARM_UP, LOWER_BYTES, NO_TEXT,
    RESUME_BYTES, SHOW_RUNS_MAX, ValueHeader, ValueKind, parse_header,
};

/// The channel, and how far its executions have come.
#[derive(Debug)]
pub(super) struct Channel {
    requests: File,
    answers: File,
    /// One value at a time.
    values: Mutex<File>,
    values_number: RawFd,
    code: File,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    /// The execution that is still to be answered.
    unanswered: Option<u64>,
    /// How many lines it has asked for.
    lines_asked: u64,
    /// A server's question how far it is, which came while it waited for a line.
    resumed: Option<u64>,
    /// The last one that was.
    answered: (u64, Ending),
    streams: Streams,
}

/// In what a process is told that has become another's image, beside the server's number, which is smaller: that it may delete in its
/// workspace.
const WORKSPACE_IS_FREE: u64 = 1 << 63;

/// What the server wants.
pub(super) enum Request {
    /// This code run.
    Execute { code: Vec<u8>, stdin: Option<Vec<u8>>, options: u64 },
    /// This JSON object added to the environment, and to be told as for a warm-up.
    Environment { variables: Vec<u8>, asked: u64 },
    /// To be told by [`Channel::say_how_far`] of this number when the session is warm.
    WarmUp(u64),
    /// To stand still for an image; see [`Channel::stand_still`].
    StandStill(u64),
    /// Nothing more: it is gone.
    End,
}

impl Channel {
    pub(super) fn new(requests: OwnedFd, answers: OwnedFd, values: OwnedFd, code: OwnedFd) -> Self {
        let (answered, streams) = ((0, Ending::Ok), Streams::default());
        let progress = Progress { unanswered: None, lines_asked: 0, resumed: None, answered, streams };
        let [requests, answers, values, code] = [requests, answers, values, code].map(File::from);
        let values_number = values.as_raw_fd();
        Self { requests, answers, values: Mutex::new(values), values_number, code, progress: Mutex::new(progress) }
    }

    pub(super) fn send(&self, frame: &FromSession) -> io::Result<()> {
        let bytes = frame.encode().map_err(io::Error::other)?;
        (&self.answers).write_all(&bytes)
    }

    /// Answers the execution that runs, if one does.
    pub(super) fn finish(&self, ending: Ending) -> io::Result<()> {
        let Ok(mut progress) = self.progress.lock() else { return Ok(()) };
        let Some(sequence) = progress.unanswered.take() else { return Ok(()) };
        progress.answered = (sequence, ending);
        progress.streams.renew_if_shared();
        self.send_with_news(&progress.streams, &FromSession::Done { sequence, ending })
    }

    /// The next request. Interrupted by a signal before it has begun, it has read nothing.
    pub(super) fn receive(&self) -> io::Result<Request> {
        let resumed = self.progress.lock().ok().and_then(|mut progress| progress.resumed.take());
        resumed.map_or(Ok(()), |asked| self.say_how_far(asked))?;
        loop {
            let Some(header) = self.receive_header()? else { return Ok(Request::End) };
            match header {
                (EXECUTE_BYTES, KIND_EXECUTE) => return self.receive_execution(),
                (RESUME_BYTES, KIND_RESUME) => {
                    let [asked] = self.receive_numbers()?;
                    self.say_how_far(asked)?;
                }
                (RESUME_BYTES, KIND_WARM_UP) => return self.receive_numbers().map(|[asked]| Request::WarmUp(asked)),
                (RESUME_BYTES, KIND_STAND_STILL) => {
                    return self.receive_numbers().map(|[asked]| Request::StandStill(asked));
                }
                (RESUME_BYTES, KIND_BECOME) => self.become_image()?,
                (ENVIRONMENT_BYTES, KIND_ENVIRONMENT) => {
                    let [asked, length] = self.receive_numbers()?;
                    return Ok(Request::Environment { variables: self.read_code_file(0, length)?, asked });
                }
                // Whoever waited for that line has been interrupted.
                (INPUT_BYTES, KIND_INPUT) => drop(self.receive_numbers::<3>()?),
                (LOWER_BYTES, KIND_LOWER) => self.lower_limits()?,
                _ => return Err(io::Error::other("the server sent what is no request")),
            }
        }
    }

    /// The length and the kind of what comes; none where the server is gone.
    fn receive_header(&self) -> io::Result<Option<(usize, u8)>> {
        let mut header = [0; HEADER_BYTES];
        // One call, so that a signal is reported and nothing is lost to it.
        match rustix::io::read(self.requests.as_fd(), &mut header)? {
            0 => return Ok(None),
            count => (&self.requests).read_exact(&mut header[count..])?,
        }
        Ok(Some(parse_header(header)))
    }

    fn receive_numbers<const COUNT: usize>(&self) -> io::Result<[u64; COUNT]> {
        let mut numbers = [[0; size_of::<u64>()]; COUNT];
        (&self.requests).read_exact(numbers.as_flattened_mut())?;
        Ok(numbers.map(u64::from_le_bytes))
    }

    fn read_code_file(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut text = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.code.read_exact_at(&mut text, offset)?;
        Ok(text)
    }

    /// Has the server know that the execution waits for a line. `body` says more, as JSON.
    pub(super) fn ask_for_line(&self, body: &[u8], stdout_bytes: u64) -> io::Result<()> {
        // Nobody else reads requests meanwhile: its main thread waits for none while code runs.
        if !inside::is_main_thread() {
            return Err(io::Error::other("only the main thread can ask for a line"));
        }
        if let Ok(mut progress) = self.progress.lock() {
            progress.lines_asked += 1;
        }
        self.show(ValueKind::InputRequest, body, stdout_bytes)
    }

    /// The line that was asked for last; none at the end of input, or where the server is gone. Interrupted by a signal
    /// before it has come, it has read nothing.
    pub(super) fn receive_line(&self) -> io::Result<Option<Vec<u8>>> {
        loop {
            match self.receive_header()? {
                Some((INPUT_BYTES, KIND_INPUT)) => {
                    let [sequence, ordinal, length] = self.receive_numbers()?;
                    let is_wanted = self
                        .progress
                        .lock()
                        .is_ok_and(|progress| progress.unanswered == Some(sequence) && progress.lines_asked == ordinal);
                    if is_wanted {
                        let line = (length != NO_TEXT).then(|| self.read_code_file(0, length));
                        return line.transpose();
                    }
                }
                Some((RESUME_BYTES, KIND_RESUME)) => {
                    let [asked] = self.receive_numbers()?;
                    if let Ok(mut progress) = self.progress.lock() {
                        progress.resumed = Some(asked);
                    }
                }
                Some(_) => return Err(io::Error::other("the server sent what is no line")),
                None => return Ok(None),
            }
        }
    }

    /// Writes a value to the stream of values. One of a process that user code forked off would get between others.
    pub(super) fn show(&self, kind: ValueKind, body: &[u8], stdout_bytes: u64) -> io::Result<()> {
        if !inside::is_session_process() {
            return Err(io::Error::other("only the session's first process can show values"));
        }
        if !self.progress.lock().is_ok_and(|progress| progress.unanswered.is_some()) {
            return Err(io::Error::other("nothing runs that a value could be of"));
        }
        let header = ValueHeader { kind, length: body.len(), stdout_bytes }.encode().map_err(io::Error::other)?;
        let Ok(mut values) = self.values.lock() else { return Err(io::ErrorKind::BrokenPipe.into()) };
        values.write_all(&[&header[..], body].concat())
    }

    fn lower_limits(&self) -> io::Result<()> {
        let [asked, data_bytes_less, processes_max] = self.receive_numbers()?;
        let processes_max = u32::try_from(processes_max).map_err(io::Error::other)?;
        match rlimits::lower(data_bytes_less, (processes_max > 0).then_some(processes_max)) {
            Ok(()) => {
                standing::note();
                self.say_how_far(asked)
            }
            Err(error) => self.send(&FromSession::Refused(error.to_string())),
        }
    }

    /// Becomes what the image says that comes with the rest of the request. Where it cannot, it says why.
    fn become_image(&self) -> io::Result<()> {
        // What it becomes has to know what this one may do.
        let flags = if denial::is_workspace_free() { WORKSPACE_IS_FREE } else { 0 };
        let error = loading::become_image(self.requests.as_fd(), self.descriptors(), flags)?;
        self.send(&FromSession::Refused(error.to_string()))
    }

    /// Stands still until the next request comes, or says why it cannot: with `obstacle`, where there is one, or for what the
    /// process has. None in the process that goes on; in one that has become an image of it, the number that it was given.
    pub(super) fn stand_still(&self, asked: u64, obstacle: Option<String>) -> io::Result<Option<u64>> {
        if let Ok(mut progress) = self.progress.lock() {
            // The server has had them since it heard of them.
            progress.streams.are_claimed();
        }
        let surroundings = match obstacle {
            Some(why) => Err(why),
            None => match self.progress.lock() {
                Ok(progress) => Surroundings::read(&self.numbers(), progress.streams.inodes()),
                Err(_) => Err("it has failed before".to_owned()),
            },
        };
        let surroundings = match surroundings {
            Ok(surroundings) => surroundings,
            Err(why) => return self.send(&FromSession::Cannot { asked, why }).map(|()| None),
        };
        // A handler would write to memory while it is copied; they come when this goes on.
        let blocked = inside::blocked_signals()?;
        inside::block_signals(u64::MAX)?;
        let mut told = Ok(());
        let (descriptors, mut files) = (self.descriptors(), surroundings.open_files());
        // Out here whoever goes on gives it back, here or elsewhere.
        let mut frame = Vec::new();
        let goes_on = suspension::stand_still(|stack| {
            let (program_break, thread_pointer) = (suspension::program_break(), suspension::thread_pointer());
            let place = Place { stack, program_break, thread_pointer, descriptors };
            let encoded = FromSession::StandsStill { asked, place, files: std::mem::take(&mut files) }.encode();
            told = encoded.map_err(io::Error::other).and_then(|encoded| {
                frame = encoded;
                (&self.answers).write_all(&frame)?;
                // From here on the image may be being taken: nothing is written to but the stack below, and nothing given back.
                self.wait_for_request()
            });
        });
        if goes_on.told == 0 {
            inside::block_signals(blocked)?;
            return told.map(|()| None);
        }
        suspension::leave_arena(goes_on);
        base::wipe()?;
        denial::set_workspace_free(goes_on.told & WORKSPACE_IS_FREE != 0);
        inside::mark_session_process();
        if let Ok(mut progress) = self.progress.lock() {
            progress.streams = Streams::default();
        }
        if let Err(error) = surroundings.put_up() {
            self.send(&FromSession::Refused(error.to_string()))?;
            return Err(error);
        }
        Ok(Some(goes_on.told & !WORKSPACE_IS_FREE))
    }

    /// Stands for the numbers of its descriptors.
    fn descriptors(&self) -> u64 {
        self.numbers().iter().fold(0, |sum, number| sum * 65_536 + u64::from(number.cast_unsigned()))
    }

    fn numbers(&self) -> [RawFd; 4] {
        [self.requests.as_raw_fd(), self.answers.as_raw_fd(), self.code.as_raw_fd(), self.values_number]
    }

    /// Returns as soon as there is one, or the server is gone. Reads nothing but what is for one that stands still. Up to the first of
    /// those, writes to no memory but the stack.
    fn wait_for_request(&self) -> io::Result<()> {
        loop {
            match poll(&mut [PollFd::new(&self.requests, PollFlags::IN)], None) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other?,
            };
            let mut header = [0; HEADER_BYTES];
            let (seen, _) = recv(&self.requests, &mut header, RecvFlags::PEEK)?;
            match parse_header(header) {
                (length, KIND_SHOW) if seen == HEADER_BYTES => self.show_parts_and_say(length)?,
                _ => return Ok(()),
            }
        }
    }

    /// Has parts of this process's memory come from the image that has the same in them.
    fn show_parts(&self, length: usize) -> io::Result<u64> {
        const WORDS_MAX: usize = 1 + 4 * SHOW_RUNS_MAX;
        let mut header = [0; HEADER_BYTES];
        recv(&self.requests, &mut header, RecvFlags::WAITALL)?;
        let mut words = [[0_u8; size_of::<u64>()]; WORDS_MAX];
        let bytes = words.as_flattened_mut().get_mut(..length).ok_or(io::ErrorKind::InvalidData)?;
        // On the stack, all of it: what was written to the heap would be undone.
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [io::IoSliceMut::new(bytes)];
        recvmsg(&self.requests, &mut parts, &mut ancillary, RecvFlags::WAITALL | RecvFlags::CMSG_CLOEXEC)?;
        let image = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        let (asked, runs) = words.split_first().ok_or(io::ErrorKind::InvalidData)?;
        let count = (length / size_of::<u64>()).saturating_sub(1) / 4;
        if let Some(image) = &image {
            for run in runs.as_chunks::<4>().0.iter().take(count) {
                let [start, end, place, protection] = run.map(u64::from_le_bytes);
                if !suspension::show(start, end, image.as_fd(), place, protection) {
                    // It has its own, as before.
                    break;
                }
            }
        }
        Ok(u64::from_le_bytes(*asked))
    }

    fn show_parts_and_say(&self, length: usize) -> io::Result<()> {
        let asked = self.show_parts(length)?;
        self.say_how_far(asked)
    }

    fn receive_execution(&self) -> io::Result<Request> {
        let [sequence, code_bytes, stdin_bytes, options] = self.receive_numbers()?;
        let code = self.read_code_file(0, code_bytes)?;
        let stdin = (stdin_bytes != NO_TEXT).then(|| self.read_code_file(code_bytes, stdin_bytes)).transpose()?;
        if let Ok(mut progress) = self.progress.lock() {
            progress.unanswered = Some(sequence);
            progress.lines_asked = 0;
            progress.streams.are_claimed();
        }
        Ok(Request::Execute { code, stdin, options })
    }

    pub(super) fn say_how_far(&self, asked: u64) -> io::Result<()> {
        let Ok(progress) = self.progress.lock() else { return Ok(()) };
        let (sequence, ending) = progress.answered;
        self.send_with_news(&progress.streams, &FromSession::Idle { asked, sequence, ending })
    }

    fn send_with_news(&self, streams: &Streams, frame: &FromSession) -> io::Result<()> {
        streams.news().map_or(Ok(()), |news| self.send(&news))?;
        self.send(frame)
    }
}

/// Ends a process that user code forked off and that has come to the end of that code.
pub(super) fn end_if_forked(status: i32) {
    if !inside::is_session_process() {
        inside::flush_c_streams();
        sys::exit_now(status);
    }
}
