//! Who sends a request: the step before every route that reads the key, and what routes know of its sender after that.
//! Says nothing of why a key is not one, and lets no route see the text of one.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use eggbox_engine::{Owner, SessionId};

use crate::error::Error;
use crate::keys::{Keys, TooOften};

/// Paths that are answered without a key: whether a server lives, and how it is talked to, is no secret. They tell nothing of
/// sessions.
pub(crate) const OPEN: [&str; 4] = ["/health", "/ready", "/openapi.json", "/docs"];

/// Who sends a request: the owner of its key, or nobody where there are no keys. Sessions are looked for among theirs only.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) Option<Owner>);

/// Whoever may read what the server counts. To everybody else there is no such route: how much others do is not theirs to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MetricsReader;

pub(crate) async fn check(State(keys): State<Arc<Keys>>, mut request: Request, next: Next) -> Result<Response, Error> {
    if keys.is_empty() {
        request.extensions_mut().insert(Caller(None));
        request.extensions_mut().insert(MetricsReader);
    } else if !OPEN.contains(&request.uri().path()) {
        let key = keys.find(bearer(request.headers())).ok_or(Error::Unauthorized)?;
        tracing::Span::current().record("key", key.owner.as_str());
        key.count_request().map_err(|TooOften { per_minute, wait }| Error::TooOften { per_minute, wait })?;
        let caller = Caller(Some(key.owner.clone()));
        if key.metrics {
            request.extensions_mut().insert(MetricsReader);
        }
        request.extensions_mut().insert(caller);
    }
    request.headers_mut().remove(AUTHORIZATION);
    Ok(next.run(request).await)
}

/// The key that came with a request (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter().map(HeaderValue::to_str);
    let (Some(Ok(value)), None) = (values.next(), values.next()) else { return None };
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim_matches(' '))
}

impl Caller {
    /// The session that they call so.
    pub(crate) fn name(&self, id: SessionId) -> SessionId {
        id.of(self.0.clone())
    }
}

/// There on every path but the open ones, which have no sessions to look for.
impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parts.extensions.get().cloned().ok_or_else(|| Error::Internal("nobody has asked who sends this".into()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MetricsReader {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let reader = parts.extensions.get().copied();
        reader.ok_or_else(|| Error::NotFound { path: parts.uri.path().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_once_and_by_its_scheme() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            bearer(&headers).map(str::to_owned)
        };
        for value in ["Bearer k", "bearer k", "BEARER   k", "Bearer k "] {
            assert_eq!(read(&[value]).as_deref(), Some("k"), "{value}");
        }
        for values in
            [&[][..], &[""], &["k"], &["Basic k"], &["Bearer"], &["Bearer\tk"], &["Bearer é"], &["Bearer k"; 2]]
        {
            assert_eq!(read(values), None, "{values:?}");
        }
    }
}
