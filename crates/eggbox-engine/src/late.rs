//! Output that comes after the execution that it belongs to: of processes that code has left behind. It is read, so that
//! they are not held up or ended by a pipe that nobody reads, and dropped.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::keeper::{Entry, Keeper};
use crate::kept::{SessionNote, late_key};
use crate::output::drop_portion;
use crate::session_process::{Stream, stream};

/// Streams of this many executions are read; the oldest are closed, and whoever still writes to them is told so by the
/// kernel (SIGPIPE).
const GENERATIONS_MAX: usize = 2;
/// Between two portions: about 6 MB/s of what nobody will see.
const PORTION_PAUSE: Duration = Duration::from_millis(10);

/// The streams of a session that belong to the past.
#[derive(Debug)]
pub(crate) struct Late {
    keeper: Arc<Keeper>,
    note: SessionNote,
    /// Those that are read, oldest first, with some that have come to their end.
    generations: VecDeque<(u32, JoinSet<()>)>,
}

impl Late {
    pub(crate) fn new(keeper: Arc<Keeper>, note: SessionNote) -> Self {
        Self { keeper, note, generations: VecDeque::new() }
    }

    /// Takes over what an earlier server has read.
    pub(crate) fn adopt(&mut self, generation: u32, entry: Entry) {
        let streams = entry.descriptors.into_iter().filter_map(|descriptor| stream(descriptor).ok());
        self.read(generation, streams);
    }

    /// Reads and drops what comes from these from now on.
    pub(crate) async fn add(&mut self, generation: u32, streams: [Stream; 2]) {
        self.prune().await;
        while self.generations.len() >= GENERATIONS_MAX {
            let Some((oldest, _)) = self.generations.pop_front() else { break };
            self.keeper.remove(&late_key(&self.note, oldest)).await;
        }
        let descriptors = streams.each_ref().map(AsFd::as_fd);
        if let Err(error) = self.keeper.put(&late_key(&self.note, generation), String::new(), &descriptors).await {
            tracing::error!(%error, "streams of the past are not kept");
        }
        self.read(generation, streams);
    }

    fn read(&mut self, generation: u32, streams: impl IntoIterator<Item = Stream>) {
        let mut readers = JoinSet::new();
        for stream in streams {
            readers.spawn(drop_all(stream));
        }
        self.generations.push_back((generation, readers));
    }

    /// Forgets those that nobody writes to any more.
    pub(crate) async fn prune(&mut self) {
        for (generation, readers) in &mut self.generations {
            while readers.try_join_next().is_some() {}
            if readers.is_empty() {
                self.keeper.remove(&late_key(&self.note, *generation)).await;
            }
        }
        self.generations.retain(|(_, readers)| !readers.is_empty());
    }

    /// The session has ended.
    pub(crate) async fn forget(&mut self) {
        for (generation, _) in self.generations.drain(..) {
            self.keeper.remove(&late_key(&self.note, generation)).await;
        }
    }
}

/// Until nobody writes any more.
async fn drop_all(stream: Stream) {
    loop {
        let Ok(mut ready) = stream.readable().await else { return };
        match ready.try_io(|stream| Ok(drop_portion(stream)?)) {
            Ok(Ok(0) | Err(_)) => return,
            Ok(Ok(_)) => tokio::time::sleep(PORTION_PAUSE).await,
            Err(_) => {}
        }
    }
}
