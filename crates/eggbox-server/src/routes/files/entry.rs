//! A file, a folder or whatever else there is, as clients see it.

use axum::http::HeaderValue;
use eggbox_engine::{Entry, EntryKind};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::openapi;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Entry, description = "A file, a folder or whatever else there is.")]
pub(super) struct EntryAnswer {
    /// Where it is in /workspace.
    path: String,
    #[serde(rename = "type")]
    #[schema(schema_with = openapi::entry_type)]
    kind: &'static str,
    /// Bytes of a file, or of the text of a link.
    size: u64,
    #[schema(format = DateTime)]
    modified: String,
    /// The path is not the true one, which is no UTF-8.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    lossy: bool,
}

impl From<Entry> for EntryAnswer {
    fn from(entry: Entry) -> Self {
        let Entry { path, is_exact, kind, bytes, modified, version: _ } = entry;
        Self { path, kind: name(kind), size: bytes, modified: time(modified), lossy: !is_exact }
    }
}

fn name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "file",
        EntryKind::Folder => "folder",
        EntryKind::Link => "link",
        EntryKind::Other => "other",
    }
}

/// The first that RFC 3339 can say, in seconds from 1970: the beginning of the year 0.
const FIRST_SECOND: i64 = -62_167_219_200;

/// A time as RFC 3339 has it, in UTC, to the millisecond. What is before or after all that it can say, as code can set it, is
/// the first or the last that it can.
fn time((seconds, nanos): (i64, u32)) -> String {
    let last = Timestamp::MAX;
    let seconds = seconds.clamp(FIRST_SECOND, last.as_second());
    let nanos = i32::try_from(nanos).unwrap_or(0);
    let time = Timestamp::new(seconds, nanos).unwrap_or(last);
    format!("{time:.3}")
}

/// The mark of a state of a file.
pub(super) fn etag(entry: &Entry) -> Result<HeaderValue, Error> {
    HeaderValue::try_from(format!("\"{}\"", entry.version)).map_err(|cause| Error::Internal(cause.into()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn any_time_that_code_can_set_is_told() {
        for (time, text) in [
            ((0, 0), "1970-01-01T00:00:00.000Z"),
            ((1_700_000_000, 120_000_000), "2023-11-14T22:13:20.120Z"),
            ((-1, 0), "1969-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(super::time(time), text);
        }
        for (seconds, text) in [
            (i64::MIN, "0000-01-01T00:00:00.999Z"),
            (i64::MAX, "9999-12-30T22:00:00.999Z"),
            (1 << 40, "9999-12-30T22:00:00.999Z"),
        ] {
            assert_eq!(super::time((seconds, 999_999_999)), text);
        }
    }
}
