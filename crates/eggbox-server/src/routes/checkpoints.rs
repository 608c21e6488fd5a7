//! `/v1/checkpoints` and what there is of them beneath a session: a list of them, one, and its end.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use eggbox_engine::{CheckpointError, CheckpointId, CheckpointKind, CheckpointView, SessionId};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::{SessionPath, time};
use crate::app::App;
use crate::auth::Caller;
use crate::error::{Error, V1Body};
use crate::openapi::{self, Refusals, V1, parameters};

/// The checkpoint that a path names, among those of whoever sends the request.
#[derive(Debug)]
pub(crate) struct CheckpointPath(CheckpointId);

impl<S: Send + Sync> FromRequestParts<S> for CheckpointPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let caller = Caller::from_request_parts(parts, state).await?;
        // One with bytes that are no UTF-8 is no name.
        let name =
            Path::<String>::from_request_parts(parts, state).await.map_or_else(|_| String::new(), |Path(name)| name);
        Ok(Self(named(&caller, "checkpoint", name)?))
    }
}

impl utoipa::IntoParams for CheckpointPath {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![parameters::checkpoint_id()]
    }
}

/// A checkpoint by the name that a field has, among those of whoever sends the request.
pub(super) fn named(caller: &Caller, field: &'static str, name: String) -> Result<CheckpointId, Error> {
    let name = SessionId::try_from(name).map_err(|cause| Error::CheckpointId { field, cause })?;
    Ok(caller.name(name).into())
}

/// What is said where there is none, or not as it was wanted, of the session and the checkpoint of these names.
pub(super) fn refusal(error: CheckpointError, session: &SessionId, checkpoint: &str) -> Error {
    match error {
        CheckpointError::NoSession => Error::NoSession { id: session.to_string() },
        CheckpointError::NoCheckpoint => Error::NoCheckpoint { id: checkpoint.to_owned() },
        CheckpointError::Exists => Error::CheckpointExists { id: checkpoint.to_owned() },
        CheckpointError::NoRoom { bytes_max } => Error::NoRoomForCheckpoint { bytes_max },
        CheckpointError::Refused(error) => error.into(),
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Checkpoint, description = "What a session was between two executions: its memory and its files.")]
pub(super) struct CheckpointAnswer {
    id: String,
    #[schema(schema_with = openapi::checkpoint_kind)]
    kind: &'static str,
    /// That which it is of, whether it is still there or not.
    session: String,
    #[schema(schema_with = openapi::environment)]
    environment: String,
    /// The checkpoint before it in the life of its session: the last that was taken of it, or that it went on from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    parent: Option<String>,
    /// The number of the last execution before it.
    executions: u64,
    /// What it takes of the disk.
    bytes: u64,
    #[schema(format = DateTime)]
    created: String,
    /// When it is removed by itself.
    #[schema(format = DateTime)]
    expires: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CheckpointList)]
struct Checkpoints {
    checkpoints: Vec<CheckpointAnswer>,
}

impl CheckpointAnswer {
    pub(super) fn new(view: CheckpointView) -> Result<Self, Error> {
        Ok(Self {
            id: view.id.to_string(),
            kind: match view.kind {
                CheckpointKind::Automatic => "automatic",
                CheckpointKind::Asked | CheckpointKind::Asleep => "asked",
            },
            session: view.session.to_string(),
            environment: view.environment.to_string(),
            parent: view.parent.map(|parent| parent.to_string()),
            executions: view.executions,
            bytes: view.bytes,
            created: time(view.created)?,
            expires: time(view.expires)?,
        })
    }
}

fn listed(views: Vec<CheckpointView>) -> Result<Response, Error> {
    let checkpoints = views.into_iter().map(CheckpointAnswer::new).collect::<Result<_, _>>()?;
    super::json(&Checkpoints { checkpoints })
}

#[utoipa::path(
    get,
    path = "/v1/checkpoints",
    operation_id = "list_checkpoints",
    tag = "checkpoints",
    summary = "List checkpoints",
    description = "All that there are, from the oldest, those of sessions that have ended among them.",
    responses(
        (status = 200, description = "They", body = Checkpoints),
        Refusals<V1>,
    ),
)]
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, Error> {
    listed(app.engine.checkpoints(caller.0.as_ref(), None))
}

#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/checkpoints",
    operation_id = "list_checkpoints_of_session",
    tag = "checkpoints",
    summary = "List a session's checkpoints",
    description = "Those of a session of that name, from the oldest; also where it has ended.",
    params(SessionPath),
    responses(
        (status = 200, description = "They", body = Checkpoints),
        Refusals<V1>,
        (status = 400, description = "What is no name of a session", body = V1Body<'_>),
        (status = 404, description = "There is no session of that name, and no checkpoint of one", body = V1Body<'_>),
    ),
)]
pub(crate) async fn list_of_session(
    State(app): State<Arc<App>>,
    SessionPath(id): SessionPath,
) -> Result<Response, Error> {
    let views = app.engine.checkpoints(id.owner(), Some(&id));
    if views.is_empty() && app.engine.view(&id).await.is_none() {
        return Err(Error::NoSession { id: id.to_string() });
    }
    listed(views)
}

#[utoipa::path(
    get,
    path = "/v1/checkpoints/{checkpoint}",
    operation_id = "get_checkpoint",
    tag = "checkpoints",
    summary = "Look at a checkpoint",
    params(CheckpointPath),
    responses(
        (status = 200, description = "The checkpoint", body = CheckpointAnswer),
        Refusals<V1>,
        (status = 400, description = "What is no name of a checkpoint", body = V1Body<'_>),
        (status = 404, description = "There is none of that name", body = V1Body<'_>),
    ),
)]
pub(crate) async fn get(State(app): State<Arc<App>>, CheckpointPath(id): CheckpointPath) -> Result<Response, Error> {
    let view = app.engine.view_checkpoint(&id).ok_or_else(|| Error::NoCheckpoint { id: id.to_string() })?;
    super::json(&CheckpointAnswer::new(view)?)
}

#[utoipa::path(
    delete,
    path = "/v1/checkpoints/{checkpoint}",
    operation_id = "delete_checkpoint",
    tag = "checkpoints",
    summary = "Delete a checkpoint",
    description = "Sessions that go on from it do so.",
    params(CheckpointPath),
    responses(
        (status = 204, description = "It is gone"),
        Refusals<V1>,
        (status = 400, description = "What is no name of a checkpoint", body = V1Body<'_>),
        (status = 404, description = "There is none of that name", body = V1Body<'_>),
    ),
)]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    CheckpointPath(id): CheckpointPath,
) -> Result<StatusCode, Error> {
    let was_there = app.engine.remove_checkpoint(&id).await;
    if was_there { Ok(StatusCode::NO_CONTENT) } else { Err(Error::NoCheckpoint { id: id.to_string() }) }
}
