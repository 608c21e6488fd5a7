//! What others want of an execution that runs.

use tokio::sync::oneshot;

/// How many wishes may wait for one session.
pub(crate) const WISHES_MAX: usize = 16;

/// A wish. One that comes too late is nobody's.
#[derive(Debug)]
pub(crate) enum Wish {
    /// That KeyboardInterrupt be raised in the execution of that number.
    Interrupt { number: u64 },
    /// That it be given the line that it waits for; none for the end of its input. Answered with whether it waited.
    Line { number: u64, text: Option<String>, reply: oneshot::Sender<bool> },
}
