//! `POST /v1/sessions/{id}/executions/{n}/input`: the line that code waits for, or the end of its input.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::ExecutionPath;
use crate::app::App;
use crate::body;
use crate::error::{Error, V1Body};
use crate::fields::Fields;
use crate::openapi::{self, BodyRefusals, V1};

const FIELDS: [&str; 2] = ["text", "end"];

#[utoipa::path(
    post,
    path = "/v1/sessions/{id}/executions/{n}/input",
    operation_id = "give_input",
    tag = "executions",
    summary = "Give an execution its line",
    description = "The line that `input()` or `getpass.getpass()` waits for, or the end of the input.",
    params(ExecutionPath),
    request_body = GiveInput,
    responses(
        (status = 204, description = "It has it"),
        BodyRefusals<V1>,
        (status = 404, description = "There is no such session, or no such execution in it", body = V1Body<'_>),
        (status = 409, description = "It waits for none", body = V1Body<'_>),
    ),
)]
pub(crate) async fn input(
    State(app): State<Arc<App>>,
    path: ExecutionPath,
    request: Request,
) -> Result<StatusCode, Error> {
    let (body, _room) = body::read_json(request, &app.config, &app.room).await?;
    let fields = Fields::of_body(&body, &FIELDS)?;
    let text = match (fields.string("text")?, fields.flag("end")?) {
        (Some(text), false) => Some(text.strip_suffix('\n').map(str::to_owned).unwrap_or(text)),
        (None, true) => None,
        _ => return Err(Error::NoInput),
    };
    if text.as_ref().is_some_and(|text| text.contains('\n')) {
        return Err(Error::OutOfRange { field: "text".to_owned(), wanted: "one line".to_owned() });
    }
    let (executions, number) = path.find(&app).await?;
    if executions.get(number).is_none() {
        return Err(super::no_execution(&executions, number));
    }
    if executions.give_line(number, text).await {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Error::NoLineWanted { execution: number })
    }
}

/// A request as clients are told of it: one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "a request is read field by field, so that a refusal can name the one at fault")]
enum GiveInput {
    Line(GiveLine),
    End(GiveEnd),
}

/// A line.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "as above")]
struct GiveLine {
    /// Without its end, or with it.
    #[schema(pattern = "^[^\\n]*$")]
    text: String,
    #[schema(required = false, schema_with = openapi::only_false)]
    end: bool,
}

/// The end of the input.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "as above")]
struct GiveEnd {
    #[schema(schema_with = openapi::only_true)]
    end: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::properties;

    #[test]
    fn clients_are_told_of_the_fields_that_are_read() {
        let mut read = FIELDS.to_vec();
        read.sort_unstable();
        assert_eq!(properties::<GiveLine>(), read);
        assert_eq!(properties::<GiveEnd>(), ["end"]);
    }
}
