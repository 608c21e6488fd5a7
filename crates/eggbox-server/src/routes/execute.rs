//! `POST /execute`: runs Python in a session and answers with what it wrote.

pub(super) mod explain;
mod signal;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use eggbox_engine::{Code, Execution, Outcome, Output, SessionId};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::access_log;
use crate::app::App;
use crate::audit::{self, Asker};
use crate::auth::Caller;
use crate::body;
use crate::error::{Error, FlatBody};
use crate::fields;
use crate::openapi::{BodyRefusals, Flat};

#[utoipa::path(
    post,
    path = "/execute",
    tag = "code",
    summary = "Run code",
    description = "Runs Python in a session, a new one where the name is new, and answers when it is over, whatever the \
                   code did. Executions of one session run one after the other.",
    request_body = Fields<'_>,
    responses(
        (status = 200, description = "What the code wrote, and what the server has to say of it", body = Answer),
        BodyRefusals<Flat>,
        (status = 409, description = "The session is hibernated and cannot be woken", body = FlatBody),
        (status = 503, description = "There is no room, or the server is ending", body = FlatBody),
    ),
)]
pub(crate) async fn execute(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Result<Response, Error> {
    let asker = Asker::of(&request);
    let (body, taken) = body::read_json(request, &app.config, &app.room).await?;
    let ExecuteRequest { id, code } = ExecuteRequest::parse(&body)?;
    drop(body);
    let id = caller.name(id.unwrap_or_else(SessionId::unique));
    let code = audit::watched(app.audit.as_ref(), asker, Code { text: code, ..Code::default() }, taken).await?;
    let execution = app.engine.execute(Some(id), code).await?;
    let session = access_log::noted(&execution.session);
    let mut answer = super::json_of_size(&app, execution.output_bytes(), move || Answer::of(&execution)).await?;
    access_log::note(&mut answer, session);
    Ok(answer)
}

/// What the client asked for.
#[derive(Debug, PartialEq, Eq)]
struct ExecuteRequest {
    id: Option<SessionId>,
    code: String,
}

/// The keys we know, of any type and as they were sent, so that a refusal can name the one at fault without what is in it
/// being made anything of. Null is as good as missing.
#[derive(Deserialize, ToSchema)]
#[schema(as = ExecuteRequest, description = "Code to run. Further fields are ignored.")]
struct Fields<'a> {
    /// The Python to run.
    #[serde(borrow)]
    #[schema(value_type = String, required = true)]
    code: Option<&'a RawValue>,
    /// The session; without it a new one is made. `session_id` is accepted as another name.
    #[serde(borrow)]
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9._-]{1,128}$")]
    id: Option<&'a RawValue>,
    /// Who gives both has to give the same, which a schema cannot say.
    #[serde(borrow)]
    #[schema(ignore)]
    session_id: Option<&'a RawValue>,
}

/// What the client gets; what is empty is left out.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ExecuteAnswer, description = "What came of it. What is empty is left out.")]
struct Answer {
    /// The session that ran the code.
    id: String,
    /// What was written to standard output.
    #[serde(skip_serializing_if = "String::is_empty")]
    stdout: String,
    /// What was written to standard error.
    #[serde(skip_serializing_if = "String::is_empty")]
    stderr: String,
    /// What the server has to say: a refused deletion, a timeout, a session that ended.
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
}

impl ExecuteRequest {
    fn parse(body: &[u8]) -> Result<Self, Error> {
        let not_json = |cause: serde_json::Error| Error::NotJson(cause.to_string());
        // serde would take an array for a struct, field by field.
        if !body.trim_ascii_start().starts_with(b"{") {
            let IgnoredAny = serde_json::from_slice(body).map_err(not_json)?;
            return Err(Error::NotObject { example: "{\"code\": \"print(1)\"}" });
        }
        let fields: Fields<'_> = serde_json::from_slice(body).map_err(not_json)?;
        let code = string("code", fields.code)?.ok_or(Error::CodeMissing)?;
        let id = match (string("id", fields.id)?, string("session_id", fields.session_id)?) {
            (Some(id), Some(session_id)) if id != session_id => {
                return Err(Error::SessionIdsDiffer);
            }
            (Some(id), _) => Some(session_id("id", id)?),
            (None, Some(id)) => Some(session_id("session_id", id)?),
            (None, None) => None,
        };
        Ok(Self { id, code })
    }
}

/// The string in a field, or none where there is none.
fn string(field: &'static str, value: Option<&RawValue>) -> Result<Option<String>, Error> {
    value.map(|value| fields::string(field, value.get())).transpose()
}

fn session_id(field: &'static str, name: String) -> Result<SessionId, Error> {
    SessionId::try_from(name).map_err(|cause| Error::SessionId { field, cause })
}

impl Answer {
    fn of(execution: &Execution) -> Result<Self, Error> {
        Ok(Self::new(&execution.session, &execution.outcome, execution.output()?))
    }

    fn new(session: &SessionId, outcome: &Outcome, output: [Output; 2]) -> Self {
        let error =
            explain::error(outcome, output.each_ref().map(|output| (output.bytes.len() as u64, output.dropped_bytes)));
        let [stdout, stderr] = output.map(|output| text(output.bytes));
        Self { error, id: session.to_string(), stdout, stderr }
    }
}

/// Output as text; what is not UTF-8 becomes U+FFFD.
pub(super) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<(Option<String>, String), String> {
        match ExecuteRequest::parse(body.as_bytes()) {
            Ok(request) => Ok((request.id.map(|id| id.to_string()), request.code)),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn requests_that_are_taken() {
        for (body, id, code) in [
            (r#"{"code": "print(1)"}"#, None, "print(1)"),
            (r#"{"code": ""}"#, None, ""),
            (r#"{"code": "x", "id": "a"}"#, Some("a"), "x"),
            (r#"{"code": "x", "session_id": "a"}"#, Some("a"), "x"),
            (r#"{"code": "x", "id": "a", "session_id": "a"}"#, Some("a"), "x"),
            (r#"{"code": "x", "id": null}"#, None, "x"),
            (r#"{"code": "x", "id": null, "session_id": "a"}"#, Some("a"), "x"),
            (r#"{"code": "x", "timeout": [1, {"deep": null}]}"#, None, "x"),
            ("\r\n\t {\"code\": \"\\u00e9\\u0000\\ud83e\\udd5a\"} ", None, "é\0🥚"),
        ] {
            assert_eq!(parse(body), Ok((id.map(str::to_owned), code.to_owned())), "{body}");
        }
    }

    #[test]
    fn requests_that_are_refused_by_name() {
        let missing = "`code` is missing: give the Python to run as a string";
        let object = "the body must be a JSON object such as {\"code\": \"print(1)\"}";
        let differ = "`id` and `session_id` are two names of one field but differ: give one of them";
        for (body, message) in [
            ("{}", missing),
            (r#"{"code": null}"#, missing),
            (r#"{"code": 1}"#, "`code` must be a string, not a number"),
            (r#"{"code": ["x"]}"#, "`code` must be a string, not an array"),
            (r#"{"code": "x", "id": 7}"#, "`id` must be a string, not a number"),
            (r#"{"code": "x", "session_id": {}}"#, "`session_id` must be a string, not an object"),
            (r#"{"code": "x", "id": "a", "session_id": "b"}"#, differ),
            (r#"{"code": "x", "id": "a", "session_id": false}"#, "`session_id` must be a string, not a boolean"),
            (r#"["print(1)"]"#, object),
            (r#""print(1)""#, object),
            ("null", object),
        ] {
            assert_eq!(parse(body), Err(message.to_owned()), "{body}");
        }
    }

    #[test]
    fn what_is_no_json_or_no_session_id_says_where() {
        for (body, start) in [
            ("", "the body is not valid JSON: EOF"),
            ("code=1", "the body is not valid JSON: expected value at line 1 column 1"),
            (r#"{"code": "x""#, "the body is not valid JSON: EOF"),
            (r#"{"code": "x"} x"#, "the body is not valid JSON: trailing characters"),
            (r#"{"code": "\ud800"}"#, "the body is not valid JSON: "),
            (r#"{"code": "x", "code": "y"}"#, "the body is not valid JSON: duplicate field `code`"),
            (r#"{"code": "x", "id": ""}"#, "`id` is no session id: it is empty"),
            (r#"{"code": "x", "session_id": "a/b"}"#, "`session_id` is no session id: it has a character"),
        ] {
            let message = parse(body).unwrap_err();
            assert!(message.starts_with(start), "{body}: {message}");
        }
        assert!(ExecuteRequest::parse(b"{\"code\": \"\xff\"}").is_err());
        assert!(ExecuteRequest::parse(format!("{{\"code\": {}", "[".repeat(100_000)).as_bytes()).is_err());
    }

    fn render(stdout: &[u8], stderr: &[u8], outcome: Outcome) -> String {
        let output = |bytes: &[u8]| Output { bytes: bytes.to_vec(), dropped_bytes: 0 };
        let session = SessionId::try_from("s".to_owned()).unwrap();
        serde_json::to_string(&Answer::new(&session, &outcome, [output(stdout), output(stderr)])).unwrap()
    }

    #[test]
    fn an_answer_has_only_what_there_is_to_say() {
        assert_eq!(render(b"", b"", Outcome::Ok), r#"{"id":"s"}"#);
        assert_eq!(render(b"5\n", b"", Outcome::Ok), r#"{"id":"s","stdout":"5\n"}"#);
        assert_eq!(render(b"", b"no", Outcome::Exception), r#"{"id":"s","stderr":"no"}"#);
        assert_eq!(
            render(b"a", b"b", Outcome::Denied),
            r#"{"id":"s","stdout":"a","stderr":"b","error":"[Errno 13] Permission denied: filesystem access restricted"}"#
        );
    }

    #[test]
    fn output_of_any_bytes_is_valid_json() {
        assert_eq!(
            render(b"a\xff\xed\xa0\x80b\0\x1b", b"", Outcome::Ok),
            "{\"id\":\"s\",\"stdout\":\"a\u{fffd}\u{fffd}\u{fffd}\u{fffd}b\\u0000\\u001b\"}"
        );
    }
}
