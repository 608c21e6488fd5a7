//! Images of sessions: the memory of an interpreter that stands still, as a file that another process forked from the same
//! nest can become.
//!
//! What of its memory a session shares with its nest is the base, one file for all of them; an image has which mappings there
//! are, and the pages that are not the base's or another file's any more, which are exactly the anonymous ones. The server
//! takes an image from outside ([`survey`]); it is a session, behind its own wall, that loads one, so that an image can do
//! nothing that the session could not do by itself.

mod capture;
mod compact;
mod image;
mod image_memory;
mod maps;
mod relocation;
mod work;

pub use capture::{Bounds, CaptureError, LargeRun, Survey, Target, survey};
pub use compact::compact;
pub use image::{Image, ImageError, OpenFile, Place, SHOWN_BYTES_MIN};
pub use image_memory::ImageMemory;
pub use maps::Names;
pub use relocation::{MappedFile, mapped_by};
pub use work::{Given, Layout, UsualPages, work};
#[cfg(feature = "native")]
pub(crate) use {
    maps::Identity,
    work::{
        Batch, DESCRIPTORS_MAX, HAS_TO_BE, HEAD_BYTES, Head, IMAGE, NO_ARRIVAL, Piece, Span, Step, Table, elsewhere,
        mapped_pages,
    },
};
