//! The executions of a session: one file per route, and what they have in common.

pub(crate) mod ask;
pub(crate) mod events;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod input;
pub(crate) mod interrupt;
pub(super) mod answer;
pub(super) mod values;
mod shapes;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use eggbox_engine::{Executions, SessionId};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use crate::app::App;
use crate::auth::Caller;
use crate::error::Error;
use crate::openapi::parameters;

/// What stands in a path for the execution that was begun last.
const LAST: &str = "last";

/// The execution that a path names, in a session of whoever sends the request.
#[derive(Debug)]
pub(crate) struct ExecutionPath {
    session: SessionId,
    execution: String,
}

impl<S: Send + Sync> FromRequestParts<S> for ExecutionPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let caller = Caller::from_request_parts(parts, state).await?;
        // One with bytes that are no UTF-8 is no name, as one with the character that stands for those.
        let odd = || "\u{fffd}".to_owned();
        let names = Path::<(String, String)>::from_request_parts(parts, state).await;
        let (session, execution) = names.map_or_else(|_| (odd(), odd()), |Path(names)| names);
        let session = SessionId::try_from(session).map_err(|cause| Error::SessionId { field: "id", cause })?;
        Ok(Self { session: caller.name(session), execution })
    }
}

impl IntoParams for ExecutionPath {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![parameters::session_id(), parameters::execution()]
    }
}

impl ExecutionPath {
    /// The executions of its session, and its number.
    async fn find(self, app: &App) -> Result<(Executions, u64), Error> {
        let executions = find_session(app, &self.session).await?;
        let no_execution = || Error::NoExecution { id: self.session.to_string(), execution: self.execution.clone() };
        let number = match self.execution.as_str() {
            LAST => executions.list().last().map(answer::number_of),
            number => number.parse().ok().filter(|_| !number.starts_with('+')),
        };
        Ok((executions, number.ok_or_else(no_execution)?))
    }
}

/// The executions of a session; one that has ended has some only as long as they are remembered.
async fn find_session(app: &App, id: &SessionId) -> Result<Executions, Error> {
    app.engine.executions(id).await.ok_or_else(|| Error::NoSession { id: id.to_string() })
}

fn no_execution(executions: &Executions, number: u64) -> Error {
    if executions.was_forgotten(number) {
        return Error::NotKept { execution: number };
    }
    Error::NoExecution { id: executions.session().to_string(), execution: number.to_string() }
}
