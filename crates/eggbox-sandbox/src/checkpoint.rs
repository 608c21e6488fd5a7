//! Images of sessions: the memory of an interpreter that stands still, as a file that another process forked from the same
//! nest can become.
//!
//! What of its memory a session shares with its nest is the base, one file for all of them; an image has which mappings there
//! are, and the pages that are not the base's or another file's any more, which are exactly the anonymous ones. The server
//! takes an image from outside ([`capture`]); it is a session, behind its own wall, that loads one, so that an image can do
//! nothing that the session could not do by itself.

mod capture;
mod image;
mod maps;
mod relocation;

pub use capture::{Bounds, CaptureError, Captured, LargeRun, capture, image_file, seal};
#[cfg(feature = "native")]
pub(crate) use image::{Content, Image, Mapping, Protection, Run, Source};
pub use image::{ImageError, Place, SHOWN_BYTES_MIN};
#[cfg(feature = "native")]
pub(crate) use maps::{Found, Identity, Known, read_maps};
pub use relocation::{MappedFile, RelocationError, mapped_by, mapped_files, relocate};
