//! The span of a request: what the log says of it in every line, and with the feature `otel` what a trace has of it.

pub(crate) use kind::{answered, of};

#[cfg(not(feature = "otel"))]
mod kind {
    use axum::extract::{MatchedPath, Request};
    use axum::http::StatusCode;
    use tracing::Span;
    use tracing::field::Empty;
    use uuid::Uuid;

    /// `key` is for whoever finds out which one came with it.
    pub(crate) fn of(id: Uuid, request: &Request) -> Span {
        tracing::info_span!("request", %id, method = %request.method(), key = Empty)
    }

    /// A log has that from others.
    pub(crate) fn answered(_: &Span, _: Option<&MatchedPath>, _: StatusCode) {}
}

#[cfg(feature = "otel")]
mod kind {
    use axum::extract::{MatchedPath, Request};
    use axum::http::{HeaderMap, StatusCode};
    use opentelemetry::propagation::{Extractor, TextMapPropagator};
    use opentelemetry::trace::TraceContextExt;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use tracing::Span;
    use tracing::field::Empty;
    use tracing_opentelemetry::OpenTelemetrySpanExt;
    use uuid::Uuid;

    /// Part of the trace that the request names, if it does (W3C Trace Context). The names are OpenTelemetry's, for HTTP.
    pub(crate) fn of(id: Uuid, request: &Request) -> Span {
        let method = request.method();
        let span = tracing::info_span!(
            "request",
            %id,
            %method,
            key = Empty,
            otel.kind = "server",
            http.route = Empty,
            http.response.status_code = Empty,
            otel.status_code = Empty,
        );
        let parent = TraceContextPropagator::new().extract(&Headers(request.headers()));
        if parent.span().span_context().is_valid() {
            // It fails where nobody keeps traces.
            let _ = span.set_parent(parent);
        }
        span
    }

    pub(crate) fn answered(span: &Span, route: Option<&MatchedPath>, status: StatusCode) {
        if let Some(route) = route {
            span.record("http.route", route.as_str());
        }
        span.record("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            span.record("otel.status_code", "ERROR");
        }
    }

    struct Headers<'a>(&'a HeaderMap);

    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key).and_then(|value| value.to_str().ok())
        }

        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(|name| name.as_str()).collect()
        }
    }
}
