//! `GET /v1/sessions/{id}/executions/{n}/events`: an execution as it happens, or as it happened, by server-sent events.
//! The events of an execution are the same for everybody, so that a client which lost its connection goes on where it was.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use eggbox_engine::{Event, EventReader, EventRecord, Executions, HistoryError, Progress};
use futures_util::stream;
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::answer::Summary;
use super::{ExecutionPath, values};
use crate::app::App;
use crate::error::{Error, V1Body};
use crate::openapi::{self, Refusals, V1};
use crate::query::Query;
use crate::routes::execute::text;

/// How long a connection says nothing before it says that it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where to begin, as clients are told of it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "headers are read by their names")]
struct SinceHeader {
    /// The last event that the client has: those after it are sent.
    #[param(rename = "Last-Event-ID", required = false, pattern = "^[0-9]{1,19}$")]
    last_event_id: String,
}

#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a query is read name by name, so that a refusal can name the one at fault")]
struct Since {
    /// The same, for clients that cannot set headers. The header goes before it.
    #[param(required = false, pattern = "^[0-9]{1,19}$")]
    last_event_id: String,
}

#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/executions/{n}/events",
    operation_id = "get_events",
    tag = "executions",
    summary = "Follow an execution",
    description = "An execution as server-sent events: `started`, `stdout`, `stderr`, `display`, `result`, `exception`, \
                   `input_request` and `finished`, each with a number. They are the same for everybody, at any time.",
    params(ExecutionPath, SinceHeader, Since),
    responses(
        (status = 200, description = "Its events, up to its end", body = SentEvent, content_type = "text/event-stream"),
        Refusals<V1>,
        (status = 400, description = "What is no name of a session or no number of an event", body = V1Body<'_>),
        (status = 404, description = "There is no such session, or no such execution in it", body = V1Body<'_>),
    ),
)]
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    path: ExecutionPath,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Error> {
    let query = Query::of(&uri, &["last_event_id"])?;
    let header = headers.get("last-event-id").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    // Both are to be right, also where only one is taken.
    let [header, query] = [header.as_deref(), query.text("last_event_id")].map(|last| last.map(after).transpose());
    let from = header?.or(query?).unwrap_or(0);
    let (executions, number) = path.find(&app).await?;
    if executions.get(number).is_none() {
        return Err(super::no_execution(&executions, number));
    }
    Ok(response(executions, number, from))
}

/// What a stream has one of after the other.
#[derive(ToSchema)]
#[schema(as = Event, description = "A server-sent event.")]
#[expect(dead_code, reason = "events are written as the text that they are")]
pub(super) struct SentEvent {
    /// Its number in the execution, from 0; not there where the stream ends before the execution does.
    #[schema(required = false, pattern = "^[0-9]{1,20}$")]
    id: String,
    #[schema(schema_with = openapi::event)]
    event: String,
    /// A JSON object, on one line: of `started` and `finished` an ExecutionSummary, of `display` and `result` a Bundle, of
    /// `exception` an Exception, of `input_request` an InputRequest, of `stdout` and `stderr` one with `text`.
    #[schema(content_media_type = "application/json")]
    data: String,
}

/// The number of the event after the one that a client has.
fn after(last: &str) -> Result<u64, Error> {
    last.parse::<u64>().map(|last| last.saturating_add(1)).map_err(|_| Error::LastEventId)
}

/// The events of an execution from that one on.
pub(super) fn response(executions: Executions, number: u64, from: u64) -> Response {
    let stream = Stream { session: executions.session().to_string(), number, stage: Stage::Ahead { executions, from } };
    let chunks = stream::unfold(stream, |mut stream| async {
        let chunk = stream.next().await?;
        Some((Ok::<_, Infallible>(chunk), stream))
    });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, Body::from_stream(chunks)).into_response()
}

/// Where a stream is.
struct Stream {
    session: String,
    number: u64,
    stage: Stage,
}

enum Stage {
    /// It is not known to have begun.
    Ahead {
        executions: Executions,
        from: u64,
    },
    Begun(EventReader),
    Over,
}

impl Stream {
    /// The next that is to be written; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        match &mut self.stage {
            Stage::Over => None,
            Stage::Ahead { executions, from } => {
                if timeout(KEEP_ALIVE, executions.begun(self.number)).await.is_err() {
                    return Some(Bytes::from_static(b": it waits for others before it\n\n"));
                }
                let is_there = matches!(executions.get(self.number), Some(Progress::Begun(_)));
                let reader = executions.events(self.number, *from);
                self.stage = if is_there { Stage::Begun(reader) } else { Stage::Over };
                // A first word, so that whatever is in between passes the head on.
                Some(if is_there {
                    Bytes::from_static(b": \n\n")
                } else {
                    self.broken("given_up", "it was given up before it had begun")
                })
            }
            Stage::Begun(reader) => {
                let event = match timeout(KEEP_ALIVE, reader.next()).await {
                    Err(_) => return Some(Bytes::from_static(b": it is running\n\n")),
                    Ok(event) => event,
                };
                match event.map_err(Error::from).and_then(|event| event.map(|event| self.render(event)).transpose()) {
                    Ok(Some(event)) => Some(event),
                    Ok(None) => {
                        self.stage = Stage::Over;
                        None
                    }
                    Err(error) => {
                        self.stage = Stage::Over;
                        Some(self.broken("not_kept", &error.to_string()))
                    }
                }
            }
        }
    }

    fn render(&self, EventRecord { id, event }: EventRecord) -> Result<Bytes, Error> {
        let summary = |view| Summary::new(&self.session, &Progress::Begun(view));
        match event {
            Event::Started(view) => {
                // As it was then.
                let view = eggbox_engine::ExecutionView { state: eggbox_engine::ExecutionState::Running, ..view };
                frame(id, "started", &summary(view)?)
            }
            Event::Stdout(bytes) => frame(id, "stdout", &json!({ "text": text(bytes) })),
            Event::Stderr(bytes) => frame(id, "stderr", &json!({ "text": text(bytes) })),
            Event::Value(value) => frame(id, values::name(value.kind), &values::object(&value)),
            Event::Finished(view) => frame(id, "finished", &summary(view)?),
        }
    }

    /// The stream ends before the execution does.
    fn broken(&self, code: &str, message: &str) -> Bytes {
        let data = json!({ "code": code, "message": message, "execution": self.number });
        Bytes::from(format!("event: error\ndata: {data}\n\n"))
    }
}

fn frame(id: u64, name: &str, data: &impl Serialize) -> Result<Bytes, Error> {
    // JSON has no line breaks of its own here, so that one line holds it.
    let data = serde_json::to_string(data).map_err(|cause| Error::Internal(cause.into()))?;
    Ok(Bytes::from(format!("id: {id}\nevent: {name}\ndata: {data}\n\n")))
}

impl From<HistoryError> for Error {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Forgotten { number } => Self::NotKept { execution: number },
            read @ HistoryError::Read(_) => Self::Internal(read.into()),
        }
    }
}
