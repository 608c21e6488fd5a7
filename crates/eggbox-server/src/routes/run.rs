//! `POST /v1/run`: a session for one execution: made, given its files, run, ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use data_encoding::BASE64;
use eggbox_engine::{Code, CreateError, SessionId, WantedSession, WorkspacePath};
use serde::Deserialize;
use utoipa::ToSchema;

use super::create_session::CreateLimits;
use super::executions::answer::ExecutionAnswer;
use super::executions::ask::{parse, refusal, whole};
use super::files::refused;
use super::wanted::{self, Most, PolicySchema};
use crate::app::App;
use crate::audit::{self, Asker};
use crate::auth::Caller;
use crate::body;
use crate::error::{Error, V1Body};
use crate::fields::Fields;
use crate::openapi::{self, BodyRefusals, V1};

/// How long it stays where the server is killed before it has ended it.
const LEFT_SECONDS_MAX: Duration = Duration::from_secs(30);

const FIELDS: [&str; 8] = ["code", "stdin", "timeout_seconds", "files", "environment", "limits", "env", "policy"];

#[utoipa::path(
    post,
    path = "/v1/run",
    tag = "code",
    summary = "Run code in a session of its own",
    description = "Makes a session, writes the files, runs the code, answers with the execution and ends the session, whatever \
                   becomes of the connection.",
    request_body = Run,
    responses(
        (status = 200, description = "The execution when it has ended", body = ExecutionAnswer),
        BodyRefusals<V1>,
        (status = 409, description = "A file cannot be written", body = V1Body<'_>),
        (status = 422, description = "There is no such environment", body = V1Body<'_>),
        (status = 503, description = "There is no room, or the server is ending", body = V1Body<'_>),
        (status = 507, description = "The workspace has no room for the files", body = V1Body<'_>),
    ),
)]
pub(crate) async fn run(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Result<Response, Error> {
    let asker = Asker::of(&request);
    let (body, taken) = body::read_json(request, &app.config, &app.room).await?;
    let fields = Fields::of_body(&body, &FIELDS)?;
    let most = Most::of(&app.engine, &caller);
    let mut wanted = wanted::session(&fields, &most)?;
    // Nobody else would end it where the server is killed.
    wanted.limits.idle_max = Some(LEFT_SECONDS_MAX);
    let code = parse(&fields, most.wall_max(&wanted))?;
    let files = files(&fields)?;
    drop(body);
    let code = audit::watched(app.audit.as_ref(), asker, code, taken).await?;
    let id = caller.name(SessionId::unique());
    // In a task of its own, so that the session ends in any case.
    let ran = tokio::spawn(async move {
        let answer = run_in(&app, &id, wanted, files, code).await;
        app.engine.delete(&id).await;
        answer
    });
    ran.await.map_err(|cause| Error::Internal(cause.into()))?
}

async fn run_in(
    app: &Arc<App>,
    id: &SessionId,
    wanted: WantedSession,
    files: Vec<(WorkspacePath, Bytes)>,
    code: Code,
) -> Result<Response, Error> {
    app.engine.create(Some(id.clone()), wanted).await.map_err(|error| match error {
        CreateError::Exists | CreateError::NoCheckpoint => Error::SessionExists { id: id.to_string() },
        CreateError::Refused(error) => error.into(),
    })?;
    if !files.is_empty() {
        let workspace = app.engine.workspace(id).await?.ok_or_else(|| Error::NoSession { id: id.to_string() })?;
        for (path, content) in files {
            let mut upload = workspace.write(path).await.map_err(refused(id))?;
            upload.append(content).await.map_err(refused(id))?;
            upload.finish(true).await.map_err(refused(id))?;
        }
    }
    let asked = app.engine.ask(id, code).await.map_err(|error| refusal(error, &id.to_string()))?;
    whole(app, asked).await
}

/// The content of each, by its path.
fn files(fields: &Fields<'_>) -> Result<Vec<(WorkspacePath, Bytes)>, Error> {
    let one = |(path, content): (String, Content)| {
        let named = || format!("files.{}", path.chars().take(64).collect::<String>());
        let content = match content {
            Content::Text(text) => text.into_bytes(),
            Content::Binary(Binary { base64 }) => BASE64
                .decode(base64.as_bytes())
                .map_err(|_| Error::OutOfRange { field: named(), wanted: "base64, with padding".to_owned() })?,
        };
        if path.is_empty() {
            return Err(Error::OutOfRange {
                field: "files".to_owned(),
                wanted: "of paths that have a name".to_owned(),
            });
        }
        let path = WorkspacePath::try_from(path.clone()).map_err(|cause| Error::Path { field: "files", cause })?;
        Ok((path, content.into()))
    };
    fields
        .json::<BTreeMap<String, Content>>("files", "an object of texts, or of {\"base64\": ...}")?
        .unwrap_or_default()
        .into_iter()
        .map(one)
        .collect()
}

/// What a file is to have in it.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = FileContent)]
enum Content {
    Text(String),
    Binary(Binary),
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BinaryContent)]
struct Binary {
    base64: String,
}

/// A request as clients are told of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a request is read field by field, so that a refusal can name the one at fault")]
struct Run {
    code: String,
    /// What it reads from its standard input.
    #[schema(required = false)]
    stdin: String,
    /// Wall time, where that is to be less than `limits.wall_seconds`.
    #[schema(required = false)]
    timeout_seconds: f64,
    /// Files of its workspace, by their paths: a text, or an object with `base64`.
    #[schema(required = false)]
    files: BTreeMap<String, Content>,
    /// Of those that the server has for whoever asks; without it the first of them, which is mostly `default`.
    #[schema(required = false, schema_with = openapi::environment)]
    environment: String,
    #[schema(required = false)]
    limits: CreateLimits,
    /// Variables beside those that every session has.
    #[schema(required = false, schema_with = openapi::variables)]
    env: BTreeMap<String, String>,
    #[schema(required = false)]
    policy: PolicySchema,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_of_the_fields_that_are_read() {
        let mut read = FIELDS.map(str::to_owned).to_vec();
        read.sort_unstable();
        assert_eq!(openapi::properties::<Run>(), read);
    }

    #[test]
    fn files_are_texts_or_bytes_at_paths_within_the_workspace() {
        let read = |body: &str| Fields::of_body(body.as_bytes(), &FIELDS).and_then(|fields| files(&fields));
        let found = read(r#"{"files": {"a/b.txt": "é", "c": {"base64": "AAE="}}}"#).unwrap();
        let contents: Vec<_> = found.iter().map(|(_, content)| content.to_vec()).collect();
        assert_eq!(contents, ["é".as_bytes(), &[0, 1]]);
        for body in [
            r#"{"files": {"../x": ""}}"#,
            r#"{"files": {"/etc/x": ""}}"#,
            r#"{"files": {"": ""}}"#,
            r#"{"files": {"a": {"base64": "A"}}}"#,
            r#"{"files": {"a": {"base64": "AAE=", "x": 1}}}"#,
            r#"{"files": {"a": 1}}"#,
            r#"{"files": []}"#,
        ] {
            assert!(read(body).is_err(), "{body}");
        }
    }
}
