//! `GET /v1/sessions`: sessions by their ids, a page at a time, of a state or with labels where those are asked for.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use eggbox_engine::{SessionId, SessionView};
use serde::Serialize;
use utoipa::ToSchema;

use super::session::{SessionAnswer, state_code};
use crate::app::App;
use crate::auth::Caller;
use crate::error::{Error, V1Body};
use crate::openapi::{self, Refusals, V1};
use crate::query::Query;

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1000;
const STATES: [&str; 4] = ["idle", "running", "hibernated", "ended"];
const PARAMETERS: [&str; 3] = ["state", "cursor", "limit"];
const LABEL: &str = "label";

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SessionPage)]
struct Page<'a> {
    sessions: Vec<SessionAnswer<'a>>,
    /// Where the next page begins; none after the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Which sessions are asked for.
#[derive(Debug, Default)]
struct Filter<'a> {
    state: Option<&'a str>,
    labels: Vec<(&'a str, &'a str)>,
}

/// What may stand behind the question mark, as clients are told of it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a query is read name by name, so that a refusal can name the one at fault")]
struct ListSessions {
    /// Only those that are in it.
    #[param(required = false, schema_with = openapi::session_state)]
    state: String,
    /// Only those with this label, as `name=value`; with all of them where it is there more than once.
    #[param(required = false, schema_with = openapi::label_filters)]
    label: Vec<String>,
    /// How many at most; 100 where it is left out.
    #[param(required = false, minimum = 1, maximum = 1000)]
    limit: usize,
    /// The `next_cursor` of the page before.
    #[param(required = false, pattern = "^[A-Za-z0-9._-]{1,128}$")]
    cursor: String,
}

#[utoipa::path(
    get,
    path = "/v1/sessions",
    tag = "sessions",
    summary = "List sessions",
    description = "Sessions in the order of their ids, a page at a time, each without `isolation`.",
    params(ListSessions),
    responses(
        (status = 200, description = "A page of them", body = Page<'_>),
        Refusals<V1>,
        (status = 400, description = "A parameter that cannot be taken", body = V1Body<'_>),
    ),
)]
pub(crate) async fn list_sessions(State(app): State<Arc<App>>, caller: Caller, uri: Uri) -> Result<Response, Error> {
    let query = Query::with_repeated(&uri, &PARAMETERS, &[LABEL])?;
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
        let labels = query.texts(LABEL).map(|label| {
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
    use utoipa::IntoParams;

    use super::*;

    #[test]
    fn clients_are_told_of_the_parameters_that_are_read() {
        let mut read: Vec<_> = PARAMETERS.into_iter().chain([LABEL]).collect();
        read.sort_unstable();
        assert_eq!(openapi::names::<ListSessions>(), read);
        let limit = &serde_json::to_value(ListSessions::into_params(|| None)).unwrap()[2];
        assert_eq!((&limit["name"], &limit["schema"]["maximum"]), (&"limit".into(), &LIMIT_MAX.into()), "{limit}");
    }

    #[test]
    fn the_states_are_those_that_a_session_can_have() {
        let states = [
            eggbox_engine::ViewState::Idle,
            eggbox_engine::ViewState::Running,
            eggbox_engine::ViewState::Asleep,
            eggbox_engine::ViewState::Ended(eggbox_engine::Death::Nest),
        ];
        assert_eq!(states.each_ref().map(state_code), STATES);
    }
}
