//! `GET /v1/sessions/{id}/files`: what is in a folder of the workspace, page by page.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use eggbox_engine::{Listing, Page, WorkspacePath, WorkspacePathError};
use serde::Serialize;

use super::entry::EntryAnswer;
use super::query::{NotUtf8, Query, out_of_range};
use super::{parse_path, refused, workspace};
use crate::app::App;
use crate::error::Error;
use crate::routes::SessionPath;

/// Entries of a page.
const ENTRIES_MAX: usize = 1000;

const PARAMETERS: [&str; 4] = ["path", "recursive", "limit", "cursor"];

#[derive(Debug, Serialize)]
struct Answer {
    path: String,
    entries: Vec<EntryAnswer>,
    /// What to ask for with `cursor` for the next page; null where this is the last one.
    next: Option<String>,
    /// There is more, in folders that are too deep.
    too_deep: bool,
}

pub(crate) async fn list_files(
    State(app): State<Arc<App>>,
    SessionPath(session): SessionPath,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let query = Query::parse(query.as_deref(), &PARAMETERS)?;
    let path = folder(&query)?;
    let after = query.text("cursor").map(|cursor| decode(cursor.ok().as_deref())).transpose()?;
    let page = Page { recursive: query.flag("recursive")?, entries_max: query.count("limit", ENTRIES_MAX)?, after };
    let listed = workspace(&app, &session).await?.list(path.clone(), page).await;
    let Listing { entries, next, is_cut } = listed.map_err(refused(&session))?;
    crate::routes::large_json(&app, move || {
        Ok(Answer {
            path: path.as_str().to_owned(),
            entries: entries.into_iter().map(EntryAnswer::from).collect(),
            next: next.as_deref().map(encode),
            too_deep: is_cut,
        })
    })
    .await
}

/// The folder that a query names, or the workspace itself.
pub(super) fn folder(query: &Query<'_>) -> Result<WorkspacePath, Error> {
    match query.text("path") {
        None => Ok(WorkspacePath::default()),
        Some(Ok(path)) => parse_path("path", path),
        Some(Err(NotUtf8)) => Err(Error::Path { field: "path", cause: WorkspacePathError::NotUtf8 }),
    }
}

/// A path as a cursor: names need not be text.
fn encode(path: &[u8]) -> String {
    use std::fmt::Write;
    path.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn decode(cursor: Option<&str>) -> Result<Vec<u8>, Error> {
    let digits: Option<Vec<u8>> =
        cursor.unwrap_or("?").chars().map(|digit| digit.to_digit(16).and_then(|digit| digit.try_into().ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0 && !digits.is_empty());
    let digits = digits.ok_or_else(|| out_of_range("cursor", "the `next` of the page before"))?;
    Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_holds_any_path_and_anything_else_is_refused() {
        let path: Vec<u8> = (1..=255).collect();
        assert_eq!(decode(Some(&encode(&path))).unwrap(), path);
        for cursor in [None, Some(""), Some("a"), Some("abc"), Some("zz"), Some("\u{e9}\u{e9}"), Some("+1")] {
            assert!(decode(cursor).is_err(), "{cursor:?}");
        }
    }
}
