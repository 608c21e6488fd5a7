//! `POST /v1/sessions/{id}/executions/{n}/input`: the line that code waits for, or the end of its input.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;

use super::ExecutionPath;
use crate::app::App;
use crate::body;
use crate::error::Error;
use crate::fields::Fields;

pub(crate) async fn input(
    State(app): State<Arc<App>>,
    path: ExecutionPath,
    request: Request,
) -> Result<StatusCode, Error> {
    let (body, _room) = body::read_json(request, &app.config, &app.room).await?;
    let fields = Fields::of_body(&body, &["text", "end"])?;
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
