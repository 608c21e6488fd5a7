//! A session as what others are made of, and as what is made of another.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eggbox_sandbox::checkpoint::{
    Bounds, CaptureError, LargeRun, Layout, OpenFile, Place as ImagePlace, Survey, Target, UsualPages, survey,
};
use eggbox_sandbox::wire::{
    BECOME_IMAGES_MAX, FromSession, KIND_BECOME, KIND_RESUME, KIND_STAND_STILL, LAYOUT_HAS_CHANGED, OPEN_FILES_MAX,
    numbered_request, show_request,
};

use rustix::process::Pid;

use super::{Session, SessionError};
use crate::checkpoint_id::CheckpointId;
use crate::checkpoints::Base;
use crate::clock::Moment;
use crate::engine::chain;
use crate::environment::IN_MEMORY_BYTES_MAX;
use crate::history::History;
use crate::image::SessionImage;
use crate::nest::Nest;
use crate::session_id::SessionId;
use crate::session_process::pid_of;
use crate::wanted::Checkpointing;

/// What an image has beside the memory that a session may have: its tables, and what was never its own.
const IMAGE_BYTES_BESIDE: u64 = 64 * 1024 * 1024;

/// How long it may take to stand still; others wait for what it is needed for.
const STAND_STILL_MAX: Duration = Duration::from_secs(3);

/// How long nobody has used a session that takes a checkpoint when it is idle.
const ON_IDLE: Duration = Duration::from_millis(500);

/// Where a session stands still, and since when.
#[derive(Debug)]
pub(crate) struct StandsStill {
    pub(crate) place: ImagePlace,
    pub(crate) files: Vec<OpenFile>,
    pub(crate) since: Instant,
}

/// What an image is of, and what there is beside it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ImageOf<'a> {
    /// Where the session stands still.
    pub(crate) place: ImagePlace,
    /// Of the session.
    pub(crate) base: &'a File,
    /// Beneath it are images that the session may have been loaded from.
    pub(crate) kept: &'a Path,
    /// Images that are there where this one is loaded.
    pub(crate) shown: &'a [Arc<SessionImage>],
    /// Where others are to find what it has mapped.
    pub(crate) nest: &'a Arc<Nest>,
    /// It may be loaded long after the nest is gone.
    pub(crate) is_kept: bool,
}

impl Session {
    /// Has it stand still between two executions, until its next request. Returns where it does.
    ///
    /// # Errors
    /// Where it has what no image can carry, which it goes on with; or where it does not say so.
    pub(crate) async fn stand_still(&mut self, wait_max: Duration) -> Result<StandsStill, SessionError> {
        let asked = Moment::now().nanos();
        let refused = |why: &str| Err(SessionError::NotCarried { why: why.to_owned() });
        if !self.process.ask(&numbered_request(KIND_STAND_STILL, asked)?) {
            return refused("it has ended, or does not listen");
        }
        match self.next_frame(wait_max.min(STAND_STILL_MAX)).await {
            Ok(FromSession::StandsStill { asked: of, place, mut files }) if of == asked => {
                // Each is open while copies are made.
                files.truncate(OPEN_FILES_MAX);
                Ok(StandsStill { place, files, since: Instant::now() })
            }
            Ok(FromSession::Cannot { asked: of, why }) if of == asked => refused(&why),
            Err(SessionError::Slow) => {
                self.given_up = Some(asked);
                refused("it does not stand still: something runs between its executions")
            }
            _ => refused("it has ended, or has broken its channel"),
        }
    }

    /// Looks at its memory, for an image of it.
    ///
    /// # Errors
    /// Where it has what no image can carry.
    pub(crate) fn survey(
        &self,
        ImageOf { place, base, kept, shown, nest, is_kept }: ImageOf<'_>,
    ) -> Result<Survey, SessionError> {
        let pid = self.process.pid().ok_or(SessionError::Closed)?;
        let shown: Vec<_> = shown.iter().map(|image| image.file()).collect();
        let bytes_max = self.limits.memory_bytes_max.saturating_add(IMAGE_BYTES_BESIDE);
        let surveyed = on_this_thread(|| {
            let names = if is_kept { nest.fresh_names() } else { nest.names()? };
            let survey = survey(pid, base, place, Bounds { bytes_max, kept, shown: &shown, names: &names })?;
            nest.is_usual(survey.image());
            let files = nest.check_files(survey.image());
            Ok::<_, CaptureError>(files.map(|()| survey))
        });
        let refused = |why| SessionError::NotCarried { why };
        surveyed.map_err(|error| refused(chain(&error)))?.map_err(refused)
    }

    /// Copies what was found of it there.
    ///
    /// # Errors
    /// Where its memory cannot be read, or there is no room.
    pub(crate) fn copy(&self, survey: &Survey, target: Target<'_>) -> Result<(), SessionError> {
        on_this_thread(|| {
            survey.copy(target, |_| Ok(()))?;
            check_is(self.process.handle().as_fd(), survey.pid())
        })
        .map_err(not_copied)
    }

    /// Whether it has more memory than is held twice.
    pub(crate) fn is_large(&self) -> bool {
        self.meter.memory_bytes().is_none_or(|bytes| bytes > IN_MEMORY_BYTES_MAX)
    }

    /// Those that it may be shown parts of: another image of it need not have what is in them.
    pub(crate) fn images(&self) -> &[Arc<SessionImage>] {
        // Where there are too many, all of them are given up for the next one.
        if self.images.len() < BECOME_IMAGES_MAX { &self.images } else { &[] }
    }

    /// Has the largest parts of its memory come from the image that was just taken of it, so that they are its and its forks'
    /// together until one of them writes to them. It stands still.
    ///
    /// # Errors
    /// Where it does not say that it has done so.
    pub(crate) async fn share(
        &mut self,
        image: &Arc<SessionImage>,
        large: Vec<LargeRun>,
        wait_max: Duration,
    ) -> Result<(), SessionError> {
        let asked = Moment::now().nanos();
        if !self.process.ask_with(&show_request(asked, large)?, &[image.as_fd()]) {
            return Err(SessionError::Closed);
        }
        match self.next_frame(wait_max).await? {
            FromSession::Idle { asked: of, .. } if of == asked => {
                if self.images.len() >= BECOME_IMAGES_MAX {
                    self.images.clear();
                }
                self.images.push(Arc::clone(image));
                Ok(())
            }
            _ => Err(SessionError::Unready),
        }
    }

    /// How its memory lies, as one of that nest which has run no code: as it was when somebody looked, or now.
    pub(crate) async fn layout(&mut self, nest: &Arc<Nest>, is_now: bool) -> Result<Arc<Layout>, SessionError> {
        match self.layout.take_if(|_| !is_now) {
            Some(layout) => Ok(layout),
            None => self.read_layout(nest, None).await,
        }
    }

    /// Looks how its memory lies, and has pages of its own where others have had them, so that nobody has to wait for either later.
    pub(crate) async fn look_ahead(&mut self, nest: &Arc<Nest>) -> Result<(), SessionError> {
        if nest.base().is_some() {
            self.layout = Some(self.read_layout(nest, Some(nest.usual_pages())).await?);
        }
        Ok(())
    }

    async fn read_layout(
        &mut self,
        nest: &Arc<Nest>,
        usual: Option<Arc<UsualPages>>,
    ) -> Result<Arc<Layout>, SessionError> {
        // From its answer on it writes to nothing but what it has written to: it was asked in the midst of waiting for a request.
        let asked = Moment::now().nanos();
        self.ask_and_wait(&numbered_request(KIND_RESUME, asked)?, asked).await?;
        let pid = self.process.pid().ok_or(SessionError::Closed)?;
        let (nest, process) = (Arc::clone(nest), self.process.handle());
        let read = tokio::task::spawn_blocking(move || {
            let base = nest.base().ok_or(io::ErrorKind::NotFound)?;
            let mut layout = Layout::read(pid, base, &*nest.names()?)?;
            if let Some(usual) = usual {
                let memory = File::options().read(true).write(true).open(format!("/proc/{}/mem", pid.as_raw_pid()))?;
                // Of no other that has its number now.
                check_is(process.as_fd(), pid)?;
                layout.own(&memory, &usual)?;
            }
            Ok::<_, io::Error>(nest.shared_layout(layout))
        });
        Ok(read.await.map_err(io::Error::other)??)
    }

    /// Becomes what the image says by that work, which is of that base and has parts of those others. Where the image is still coming,
    /// `arrival` says how far it has.
    ///
    /// # Errors
    /// Where it does not; it must not be used then, but where its layout has changed.
    pub(crate) async fn become_image(
        &mut self,
        work: BorrowedFd<'_>,
        image: &Arc<SessionImage>,
        base: BorrowedFd<'_>,
        arrival: Option<BorrowedFd<'_>>,
        shown: &[Arc<SessionImage>],
        wait_max: Duration,
    ) -> Result<(), SessionError> {
        let asked = Moment::now().nanos();
        self.images = shown.to_vec();
        if image.may_be_shown() {
            self.images.push(Arc::clone(image));
        }
        let others = shown.iter().map(|image| image.as_fd());
        let descriptors: Vec<_> = [work, image.as_fd(), base].into_iter().chain(arrival).chain(others).collect();
        if !self.process.ask_with(&numbered_request(KIND_BECOME, asked)?, &descriptors) {
            return Err(SessionError::Closed);
        }
        match self.next_frame(wait_max).await {
            Ok(FromSession::Idle { asked: of, .. }) if of == asked => Ok(()),
            Ok(FromSession::Refused(why)) if why == LAYOUT_HAS_CHANGED => Err(SessionError::LayoutChanged),
            Ok(FromSession::Refused(why)) => Err(SessionError::NotLoaded { why }),
            Err(SessionError::Closed | SessionError::Slow) => {
                Err(SessionError::NotLoaded { why: "its memory could not be laid out again".to_owned() })
            }
            _ => Err(SessionError::Unready),
        }
    }

    /// The memory that it has in common with others, where that is another nest's than the one that it is in.
    pub(crate) fn base(&self) -> Option<&Arc<Base>> {
        self.base.as_ref()
    }

    pub(crate) fn set_base(&mut self, base: Option<Arc<Base>>) -> io::Result<()> {
        let name = base.as_ref().map(|base| base.name.clone());
        self.base = base;
        self.history.update(|record| record.base = name)
    }

    /// Makes one that has become the image of another, which was called `parent`, the session of that name.
    pub(crate) async fn begin_as_child(
        &mut self,
        id: SessionId,
        parent: SessionId,
        checkpoint: Option<CheckpointId>,
    ) -> io::Result<()> {
        let process = self.note.created;
        self.id = id.clone();
        self.history.update(|record| {
            record.id = id;
            record.process = Some(process);
            record.parent = Some(parent);
            record.checkpoint = checkpoint;
        })?;
        self.keep_or_say().await;
        Ok(())
    }

    /// Makes one that has become the image of a session which sleeps that session, with what it has run.
    pub(crate) async fn begin_awake(&mut self, history: Arc<History>) -> io::Result<()> {
        let (kills_before, process) = (self.history.kills_before(), self.note.created);
        let base = self.history.record().base;
        self.history = history;
        self.history.update(|record| record.base = base)?;
        self.id = self.history.record().id;
        self.history.wake(kills_before, process)?;
        self.keep_or_say().await;
        Ok(())
    }

    /// Goes on as a session of which it has become an earlier image.
    pub(crate) async fn go_back_as(&mut self, other: &Self) -> io::Result<()> {
        let checkpoint = self.history.record().checkpoint;
        self.take_over(other, |record| record.checkpoint = checkpoint).await
    }

    /// Returns when it is to take a checkpoint by itself, as nobody has used it for a moment.
    pub(crate) fn is_due_for_checkpoint(&self) -> impl Future<Output = ()> + use<> {
        let is_wanted = self.history.record().checkpoints == Checkpointing::OnIdle;
        let is_new = is_wanted && self.tried != Some(self.what_it_is());
        let due = self.history.idle_since().filter(|_| is_new).map(|since| since.after(ON_IDLE));
        async move {
            match due {
                Some(due) => due.reached().await,
                None => std::future::pending().await,
            }
        }
    }

    async fn keep_or_say(&mut self) {
        if let Err(error) = self.keep().await {
            tracing::error!(%error, "a session is not kept: it would end with this server");
        }
    }
}

/// Does what takes the kernel some milliseconds. Others are served by another thread meanwhile; to have that do this, it would have to be
/// woken first.
pub(crate) fn on_this_thread<T>(act: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(act)
}

/// That this is the process of that number, which may have become another's only once it was gone.
pub(crate) fn check_is(process: BorrowedFd<'_>, pid: Pid) -> io::Result<()> {
    if pid_of(process) == Some(pid) { Ok(()) } else { Err(io::Error::other("it has ended")) }
}

pub(crate) fn not_copied(error: io::Error) -> SessionError {
    if is_no_room(&error) {
        SessionError::NoDiskSpace
    } else if error.kind() == io::ErrorKind::WouldBlock {
        // There is no thread for it, or whatever else of the kernel's goes by.
        SessionError::ForksBusy
    } else {
        SessionError::NotCarried { why: format!("its memory cannot be read: {error}") }
    }
}

/// The disk is full, or what may be written to it.
pub(crate) fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
