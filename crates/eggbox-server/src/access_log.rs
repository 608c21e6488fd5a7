//! One line a request, for operators who ask for it (`--log-filter info,access=debug`): what was asked of which route, when,
//! and how it was answered. Never code, output, keys, or a path as it was sent. While it is off it costs nothing.

use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use eggbox_engine::SessionId;
use tracing::Level;
use uuid::Uuid;

use crate::http_counts::NONE;

/// What the line is of, as far as a request's head says.
#[derive(Debug)]
pub(crate) struct Line {
    method: Method,
    route: Option<MatchedPath>,
    session: Option<SessionId>,
}

/// The session of an answer, as an extension of it, where its path has none.
#[derive(Debug, Clone)]
pub(crate) struct SessionOf(SessionId);

fn is_on() -> bool {
    tracing::enabled!(target: "access", Level::DEBUG)
}

/// The session that an answer will be of; none while the log is off.
pub(crate) fn noted(session: &SessionId) -> Option<SessionOf> {
    is_on().then(|| SessionOf(session.clone()))
}

/// Lets the line of that answer have its session.
pub(crate) fn note(response: &mut Response, session: Option<SessionOf>) {
    if let Some(session) = session {
        response.extensions_mut().insert(session);
    }
}

impl Line {
    /// None while the log is off.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        if !is_on() {
            return None;
        }
        let route = request.extensions().get::<MatchedPath>().cloned();
        let session = route.as_ref().and_then(|route| session_in(route.as_str(), request.uri().path()));
        Some(Self { method: request.method().clone(), route, session })
    }

    pub(crate) fn write(self, response: &Response, request_id: Uuid, time: Duration) {
        let noted = response.extensions().get().map(|SessionOf(session)| session);
        let session = self.session.as_ref().or(noted).map(SessionId::as_str);
        let route = self.route.as_ref().map_or(NONE, MatchedPath::as_str);
        let (method, status) = (self.method.as_str(), StatusCode::as_u16(&response.status()));
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        tracing::debug!(target: "access", parent: None, %request_id, method, route, status, micros, session);
    }
}

/// The session that a path names, where its route has one: a name as it must be, and nothing else.
fn session_in(template: &str, path: &str) -> Option<SessionId> {
    let place = template.strip_prefix("/v1/sessions/{id}")?;
    let name = path.strip_prefix("/v1/sessions/")?;
    let name = if place.is_empty() { name } else { name.split('/').next()? };
    SessionId::try_from(name.to_owned()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_named_only_where_the_path_has_one() {
        let name = |template, path| session_in(template, path).map(|id| id.to_string());
        assert_eq!(name("/v1/sessions/{id}", "/v1/sessions/a"), Some("a".to_owned()));
        assert_eq!(name("/v1/sessions/{id}/executions/last", "/v1/sessions/b/executions/last"), Some("b".to_owned()));
        assert_eq!(name("/v1/sessions/{id}", "/v1/sessions/a%0ab"), None);
        assert_eq!(name("/v1/sessions", "/v1/sessions"), None);
        assert_eq!(name("/execute", "/execute"), None);
    }
}
