//! `GET /v1/sessions/{id}/files`: what is in a folder of the workspace, page by page.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use eggbox_engine::{Listing, Page, WorkspacePath, WorkspacePathError};
use serde::Serialize;
use utoipa::ToSchema;

use super::entry::EntryAnswer;
use super::query::{NotUtf8, Query, out_of_range};
use super::{parse_path, refused, workspace};
use crate::app::App;
use crate::error::Error;
use crate::openapi::{FileRefusals, parameters};
use crate::routes::SessionPath;

/// Entries of a page.
const ENTRIES_MAX: usize = 1000;

const PARAMETERS: [&str; 4] = ["path", "recursive", "limit", "cursor"];

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EntryPage)]
struct Answer {
    /// Of the folder.
    path: String,
    entries: Vec<EntryAnswer>,
    /// What to ask for with `cursor` for the next page; null where this is the last one.
    #[schema(required = true)]
    next: Option<String>,
    /// There is more, in folders that are too deep.
    too_deep: bool,
}

/// What may stand behind the question mark, as clients are told of it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a query is read name by name, so that a refusal can name the one at fault")]
struct ListFiles {
    /// The folder; /workspace itself where it is left out.
    #[param(required = false, schema_with = parameters::folder_path)]
    path: String,
    /// With what is in its folders.
    #[param(required = false)]
    recursive: bool,
    /// How many at most.
    #[param(required = false, minimum = 1, maximum = 1000, default = 1000)]
    limit: usize,
    /// The `next` of the page before.
    #[param(required = false, pattern = "^([0-9a-f]{2})+$")]
    cursor: String,
}

#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/files",
    tag = "files",
    summary = "List files",
    description = "What is in a folder of the workspace, a page at a time. A folder comes before what is in it.",
    params(SessionPath, ListFiles),
    responses((status = 200, description = "A page of it", body = Answer), FileRefusals),
)]
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
    use utoipa::IntoParams;

    use super::*;

    #[test]
    fn clients_are_told_of_the_parameters_that_are_read() {
        let mut read = PARAMETERS.to_vec();
        read.sort_unstable();
        assert_eq!(crate::openapi::names::<ListFiles>(), read);
        let told = serde_json::to_value(ListFiles::into_params(|| None)).unwrap();
        let limit = told.as_array().unwrap().iter().find(|parameter| parameter["name"] == "limit").unwrap();
        assert_eq!(limit["schema"]["maximum"], ENTRIES_MAX);
    }

    #[test]
    fn a_cursor_holds_any_path_and_anything_else_is_refused() {
        let path: Vec<u8> = (1..=255).collect();
        assert_eq!(decode(Some(&encode(&path))).unwrap(), path);
        for cursor in [None, Some(""), Some("a"), Some("abc"), Some("zz"), Some("\u{e9}\u{e9}"), Some("+1")] {
            assert!(decode(cursor).is_err(), "{cursor:?}");
        }
    }
}
