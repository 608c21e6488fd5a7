//! `GET /v1/sessions`: sessions by their ids, a page at a time, of a state or with labels where those are asked for.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use eggbox_engine::{SessionId, SessionView};
use serde::Serialize;

use super::session::{SessionAnswer, state_code};
use crate::app::App;
use crate::auth::Caller;
use crate::error::Error;
use crate::query::Query;

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1000;
const STATES: [&str; 3] = ["idle", "running", "ended"];

#[derive(Debug, Serialize)]
struct Page<'a> {
    sessions: Vec<SessionAnswer<'a>>,
    /// Where the next page begins; none after the last.
    next_cursor: Option<String>,
}

/// Which sessions are asked for.
#[derive(Debug, Default)]
struct Filter<'a> {
    state: Option<&'a str>,
    labels: Vec<(&'a str, &'a str)>,
}

pub(crate) async fn list_sessions(State(app): State<Arc<App>>, caller: Caller, uri: Uri) -> Result<Response, Error> {
    let query = Query::with_repeated(&uri, &["state", "cursor", "limit"], &["label"])?;
    let filter = Filter::of(&query)?;
    let limit = query.count("limit", [1, LIMIT_MAX])?.unwrap_or(LIMIT);
    let cursor = query.text("cursor").map(|cursor| SessionId::try_from(cursor.to_owned())).transpose();
    let cursor = cursor.map_err(|cause| Error::SessionId { field: "cursor", cause })?.map(|id| caller.name(id));
    // One more, to know whether there is another page.
    let mut views = app.engine.list(caller.0.as_ref(), cursor.as_ref(), limit + 1, |view| filter.takes(view));
    let has_more = views.len() > limit;
    views.truncate(limit);
    let next_cursor = views.last().filter(|_| has_more).map(|view| view.id.to_string());
    let sessions = views.into_iter().map(|view| SessionAnswer::of_list(view, &app.engine)).collect::<Result<_, _>>()?;
    super::json(&Page { sessions, next_cursor })
}

impl<'a> Filter<'a> {
    fn of(query: &'a Query) -> Result<Self, Error> {
        let state = query.text("state");
        if state.is_some_and(|state| !STATES.contains(&state)) {
            let wanted = format!("one of {}", STATES.join(", "));
            return Err(Error::OutOfRange { field: "state".to_owned(), wanted });
        }
        let labels = query.texts("label").map(|label| {
            let wanted = "of the form name=value".to_owned();
            label.split_once('=').ok_or(Error::OutOfRange { field: "label".to_owned(), wanted })
        });
        Ok(Self { state, labels: labels.collect::<Result<_, _>>()? })
    }

    fn takes(&self, view: &SessionView) -> bool {
        let has = |(name, value): &(&str, &str)| {
            view.facts.as_ref().is_some_and(|facts| facts.labels.get(*name).is_some_and(|found| found == value))
        };
        self.state.is_none_or(|state| state == state_code(&view.state)) && self.labels.iter().all(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_states_are_those_that_a_session_can_have() {
        let states = [
            eggbox_engine::ViewState::Idle,
            eggbox_engine::ViewState::Running,
            eggbox_engine::ViewState::Ended(eggbox_engine::Death::Nest),
        ];
        assert_eq!(states.each_ref().map(state_code), STATES);
    }
}
