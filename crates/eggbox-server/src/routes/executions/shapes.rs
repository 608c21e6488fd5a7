//! How the values look that the runner makes of what code shows, as clients are told of them. Nothing is sent by these types:
//! what is sent is the session's own JSON ([`super::values`]).

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Something that was shown, in one or more representations.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is made in the session")]
pub(super) struct Bundle {
    /// Representations by MIME type: texts as they are, what is binary in base64, what is JSON as JSON.
    #[schema(required = false)]
    data: Map<String, Value>,
    /// What the object says about them, by MIME type.
    #[schema(required = false)]
    metadata: Map<String, Value>,
    /// MIME types that had no room, with their bytes.
    #[schema(required = false)]
    omitted: BTreeMap<String, u64>,
    /// MIME types that were cut, with the bytes that they had.
    #[schema(required = false)]
    truncated: BTreeMap<String, u64>,
    #[schema(required = false)]
    display_id: Option<String>,
    /// It takes the place of the display of that id.
    #[schema(required = false)]
    update: bool,
    /// The session has sent what is no JSON object.
    #[schema(required = false)]
    invalid: bool,
}

/// An exception.
#[derive(ToSchema)]
#[schema(as = Exception)]
#[expect(dead_code, reason = "it is made in the session")]
pub(super) struct Raised {
    #[serde(rename = "type")]
    #[schema(required = false)]
    kind: Option<String>,
    #[schema(required = false)]
    module: Option<String>,
    #[schema(required = false)]
    message: Option<String>,
    /// The outermost first; of a deep recursion the first and the last 20.
    #[schema(required = false)]
    frames: Vec<RaisedIn>,
    /// How many are not told.
    #[schema(required = false)]
    omitted_frames: u64,
    #[schema(required = false)]
    cause: RaisedBefore,
    #[schema(required = false)]
    context: RaisedBefore,
    #[schema(required = false)]
    notes: Vec<Option<String>>,
    /// Of a SyntaxError, as all below.
    #[schema(required = false)]
    file: Option<String>,
    #[schema(required = false)]
    line: Option<i64>,
    #[schema(required = false)]
    offset: Option<i64>,
    #[schema(required = false)]
    text: Option<String>,
    /// The session has sent what is no JSON object.
    #[schema(required = false)]
    invalid: bool,
}

#[derive(ToSchema)]
#[schema(as = ExceptionFrame)]
#[expect(dead_code, reason = "it is made in the session")]
struct RaisedIn {
    file: String,
    #[schema(required = true)]
    line: Option<i64>,
    function: String,
    /// The line itself; null where it is not known.
    #[schema(required = true)]
    source: Option<String>,
}

/// What it was raised from, or in the handling of.
#[derive(ToSchema)]
#[schema(as = ExceptionBefore)]
#[expect(dead_code, reason = "it is made in the session")]
struct RaisedBefore {
    #[serde(rename = "type")]
    #[schema(required = true)]
    kind: Option<String>,
    #[schema(required = true)]
    message: Option<String>,
}

/// A line that code waits for.
#[derive(ToSchema)]
#[schema(as = InputRequest)]
#[expect(dead_code, reason = "it is made in the session")]
pub(super) struct Wish {
    #[schema(required = false)]
    prompt: String,
    /// What is typed should not be seen.
    #[schema(required = false)]
    password: bool,
    /// The session has sent what is no JSON object.
    #[schema(required = false)]
    invalid: bool,
}
