//! What sessions go on from, as another: taken for a moment, or to be written down.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use eggbox_sandbox::checkpoint::{Image, OpenFile, Survey, Target};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::Environment;
use super::likeness::{base_in, not_carried, refused};
use crate::checkpoints::{Drawn, Home, Stored};
use crate::history::Record;
use crate::image::{SessionImage, read_only};
use crate::nest::Nest;
use crate::session::{ImageOf, Session, SessionError, StandsStill, check_is, is_no_room};
use crate::workspace::{Copying, Files, Workers};

/// The image of a session that has more memory than this is put on the disk, where it may be as large as it likes.
pub(crate) const IN_MEMORY_BYTES_MAX: u64 = 64 << 20;
/// The same of an image, which has what its session has in swap as well.
const IMAGE_IN_MEMORY_BYTES_MAX: u64 = 2 * IN_MEMORY_BYTES_MAX;

/// What a session goes on from.
#[derive(Debug)]
pub(crate) struct Original {
    pub(crate) record: Record,
    pub(crate) variables: BTreeMap<String, String>,
    pub(super) image: Arc<SessionImage>,
    /// Where it is not whole yet.
    pub(super) coming: Option<Coming>,
    /// What stands at its beginning, where that was read.
    pub(super) tables: Option<Arc<Image>>,
    /// Others that it has parts of.
    pub(super) shown: Vec<Arc<SessionImage>>,
    /// The nest behind which it was taken, and that which has its base.
    pub(super) nest: String,
    pub(super) base: String,
    pub(super) files: Files,
    pub(super) open_files: Vec<OpenFile>,
}

/// An image whose pages are being copied into it. Whoever becomes what it says can begin meanwhile.
#[derive(Debug)]
pub(super) struct Coming {
    /// Says to one of them how far it is there, and ends where it does not come.
    pub(super) arrival: OwnedFd,
    /// Taken by whoever waits for it.
    pub(super) copied: Option<JoinHandle<io::Result<()>>>,
}

impl Coming {
    fn begin(survey: Survey, of: &Session, image: Arc<SessionImage>, turn: OwnedSemaphorePermit) -> io::Result<Self> {
        let (arrival, says) = pipe_with(PipeFlags::CLOEXEC)?;
        let process = of.process.handle();
        let copied = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let bytes = survey.bytes();
            let say = |there: u64| {
                if there == bytes {
                    // Before the last of it is.
                    check_is(process.as_fd(), survey.pid())?;
                }
                // There is room for all that is said. Where nobody hears it, nobody needs it.
                let _ = rustix::io::write(&says, &there.to_ne_bytes());
                Ok(())
            };
            image.fill(|memory| survey.copy(Target::Memory(memory), say))
        });
        Ok(Self { arrival, copied: Some(copied) })
    }
}

impl Original {
    /// That which is kept.
    pub(crate) fn of_stored(stored: &Stored) -> io::Result<Self> {
        let manifest = &stored.manifest;
        Ok(Self {
            record: manifest.record.clone(),
            variables: manifest.variables.clone(),
            image: Arc::new(SessionImage::kept(stored.memory()?, stored.memory_room())),
            coming: None,
            tables: None,
            shown: Vec::new(),
            nest: manifest.nest.clone(),
            base: manifest.base.clone(),
            files: stored.files(),
            open_files: manifest.open_files.clone(),
        })
    }
}

impl Environment {
    /// Whether others can go on from that session, as far as it need not be asked.
    pub(crate) async fn check_original(&self, session: &Session) -> Result<(), SessionError> {
        base_for(session, &*self.living_nest().await?).map(drop)
    }

    /// What others go on from as that session, which stands still there, until its next request. It has to stand still until the
    /// original is whole, too.
    pub(crate) async fn original(
        &self,
        session: &mut Session,
        StandsStill { place, files, .. }: StandsStill,
        wait_max: Duration,
    ) -> Result<Original, SessionError> {
        let nest = self.living_nest().await?;
        let (base, base_name) = base_for(session, &nest)?;
        let (checkpoints, images) = (&self.common.checkpoints, &self.common.images);
        let shown = session.images().to_vec();
        let turn = images.turn().await.ok_or(SessionError::ForksBusy)?;
        let of = ImageOf { place, base: &base, kept: checkpoints.folder(), shown: &shown, nest: &nest, is_kept: false };
        let survey = session.survey(of)?;
        let tables = Arc::clone(survey.image());
        let is_small = has_room_in_memory(session, &survey);
        let (image, coming) = if is_small && tables.is_only_copied() {
            let image = Arc::new(images.lend(images.memory()?)?);
            let coming = Coming::begin(survey, session, Arc::clone(&image), turn)?;
            (image, Some(coming))
        } else {
            let scratch = if is_small { None } else { checkpoints.scratch_file().ok() };
            let image = match scratch {
                Some(file) => {
                    check_room(&survey, checkpoints.room())?;
                    session.copy(&survey, Target::File(&file))?;
                    let scratch = checkpoints.scratch(file.metadata()?.len());
                    SessionImage::on_disk(read_only(&file)?, scratch.map_err(|_| SessionError::NoDiskSpace)?)
                }
                // Or where the file system has no such files.
                None => {
                    let mut memory = images.memory()?;
                    session.copy(&survey, Target::Memory(&mut memory))?;
                    images.hold(memory)?
                }
            };
            let image = Arc::new(image);
            let large = tables.large_runs();
            if !large.is_empty() && image.may_be_shown() {
                session.share(&image, large, wait_max).await?;
            }
            (image, None)
        };
        Ok(Original {
            shown,
            record: session.history.record(),
            variables: session.history.variables(),
            image,
            coming,
            tables: Some(tables),
            nest: nest.note.name.clone(),
            base: base_name,
            files: Files::OfSession(session.place()),
            open_files: files,
        })
    }

    /// Takes down what others go on from as that session, which is at rest, and stands still until its next request; where it goes on
    /// then. Its files were read by then, and may still be being written.
    pub(crate) async fn draw(
        &self,
        session: &mut Session,
        goes_on: bool,
        workers: &Workers,
        wait_max: Duration,
    ) -> Result<(Drawn, Copying), SessionError> {
        let nest = self.living_nest().await?;
        let (base, base_name) = base_for(session, &nest)?;
        let home = Home { base: base_name, ..nest.home(&self.common.config.build)? };
        let (checkpoints, images) = (&self.common.checkpoints, &self.common.images);
        // There is room for it elsewhere until it is on the disk.
        let is_in_memory = goes_on && !session.is_large();
        let storing =
            if is_in_memory { Some(images.turn_to_store().await.ok_or(SessionError::ForksBusy)?) } else { None };
        let files = Files::OfSession(session.place());
        let begin = async {
            let begun = Arc::clone(checkpoints);
            // It waits for the disk.
            let draft = tokio::task::spawn_blocking(move || begun.draft()).await.map_err(io::Error::other)?;
            let draft = draft.map_err(|error| match error {
                full if is_no_room(&full) => SessionError::NoDiskSpace,
                error => SessionError::NoDraft(error),
            })?;
            let copying = Copying::prepare(&files, &draft.files(), workers).map_err(not_carried)?;
            Ok::<_, SessionError>((draft, copying))
        };
        let (still, begun) = tokio::join!(session.stand_still(wait_max), begin);
        let ((draft, mut copying), StandsStill { place, files: open_files, since }) = (begun?, still?);
        // Not before: it may take its time, and others have theirs.
        let turn = images.turn().await.ok_or(SessionError::ForksBusy)?;
        // Where it has an obstacle it is likely to have it still, and its files would be copied in vain.
        if !session.obstacle.is_there() {
            copying.begin(workers, &open_files).await.map_err(not_carried)?;
        }
        let take = || {
            // It has to have everything itself.
            let kept = checkpoints.folder();
            let of = ImageOf { place, base: &base, kept, shown: &[], nest: &nest, is_kept: true };
            let survey = session.survey(of)?;
            if is_in_memory && has_room_in_memory(session, &survey) {
                let mut memory = images.memory()?;
                session.copy(&survey, Target::Memory(&mut memory))?;
                Ok((survey, Some(images.lend(memory)?)))
            } else {
                check_room(&survey, checkpoints.room())?;
                session.copy(&survey, Target::File(draft.memory()))?;
                Ok((survey, None))
            }
        };
        let taken = take();
        // Others need not wait for its files.
        drop(turn);
        let (survey, memory) = match taken {
            Ok(taken) => taken,
            Err(error) => {
                // Nothing more may come into the draft when it is cleared away.
                copying.give_up().await;
                return Err(error);
            }
        };
        copying.begin(workers, &open_files).await.map_err(not_carried)?;
        copying.read().await;
        if goes_on {
            self.common.counts.stood_still(since.elapsed());
        }
        let image = Arc::clone(survey.image());
        Ok((Drawn { draft, home, base, image, open_files, memory, _turn: storing }, copying))
    }
}

/// The base that an image of that session is of, and its name, where the session is this nest's.
fn base_for(session: &Session, nest: &Nest) -> Result<(File, String), SessionError> {
    if !session.is_living_in(nest) {
        return Err(refused("it was begun by a server with other settings"));
    }
    let own = base_in(nest)?;
    Ok(match session.base() {
        Some(base) => (base.as_fd().try_clone_to_owned()?.into(), base.name.clone()),
        None => (own.try_clone_to_owned()?.into(), nest.note.name.clone()),
    })
}

/// Whether an image of it can be in memory, beside the session.
fn has_room_in_memory(session: &Session, survey: &Survey) -> bool {
    !session.is_large() && survey.bytes() <= IMAGE_IN_MEMORY_BYTES_MAX
}

fn check_room(survey: &Survey, bytes_max: u64) -> Result<(), SessionError> {
    if survey.bytes() > bytes_max { Err(SessionError::NoDiskSpace) } else { Ok(()) }
}
