//! Code on its way to its session.

use std::fmt::Debug;

use tokio::sync::OwnedSemaphorePermit;

use crate::outcome::Execution;
use crate::session_id::SessionId;

/// Python source, with what comes along with it.
#[derive(Debug)]
pub struct Code {
    pub text: String,
    /// The room in memory that it was given, if it was: taken until the code has run.
    pub room: Option<OwnedSemaphorePermit>,
    /// Who is to hear when it runs.
    pub witness: Option<Box<dyn Witness>>,
}

/// Hears of one piece of code when it runs and what becomes of it, also where whoever sent it is gone. Of code that is never
/// run it hears nothing. It is called on the way, so it must not take long.
pub trait Witness: Debug + Send + Sync {
    /// It is given to the session now, as its execution of that number.
    fn begins(&self, session: &SessionId, execution: u64);

    /// It is over; none where the server could not go on with it.
    fn ended(&self, execution: Option<&Execution>);
}

impl From<&str> for Code {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), room: None, witness: None }
    }
}
