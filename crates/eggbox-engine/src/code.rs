//! Code on its way to its session.

use tokio::sync::OwnedSemaphorePermit;

/// Python source, with the room in memory that it was given, if it was: taken until the code has run.
#[derive(Debug)]
pub struct Code {
    pub text: String,
    pub room: Option<OwnedSemaphorePermit>,
}

impl From<&str> for Code {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), room: None }
    }
}
