//! What a session shows beside its output, as clients get it. It is JSON that a session has written, and so is made sure
//! of here: it is an object, or is said to be none.

use eggbox_engine::{Value, ValueKind};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use utoipa::ToSchema;

use super::shapes::{Bundle, Raised, Wish};

/// The values of one execution by their kinds.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(
    description = "What it has shown; what there is none of is left out. All of it is made by the session, whose code can \
                        make it anything."
)]
pub(super) struct Values {
    /// Of the last expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Bundle, required = false)]
    result: Option<Json>,
    /// In the order in which they were shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Bundle>)]
    displays: Vec<Json>,
    /// What nobody caught.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Raised, required = false)]
    exception: Option<Json>,
    /// The line that it asked for last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Wish, required = false)]
    input_request: Option<Json>,
}

impl Values {
    /// A line that was asked for matters while it `may_wait` for that.
    pub(super) fn new(values: Vec<Value>, may_wait: bool) -> Self {
        let mut sorted = Self::default();
        for value in values {
            let kind = value.kind;
            let json = object(&value);
            match kind {
                ValueKind::Display => sorted.displays.push(json),
                ValueKind::Result => sorted.result = Some(json),
                ValueKind::Exception => sorted.exception = Some(json),
                ValueKind::InputRequest if may_wait => sorted.input_request = Some(json),
                ValueKind::InputRequest => {}
            }
        }
        sorted
    }
}

/// The name of the event that a value is.
pub(super) fn name(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Display => "display",
        ValueKind::Result => "result",
        ValueKind::InputRequest => "input_request",
        ValueKind::Exception => "exception",
    }
}

/// The object that it is.
pub(super) fn object(value: &Value) -> Json {
    match serde_json::from_slice::<Map<String, Json>>(&value.body) {
        Ok(object) => Json::Object(object),
        Err(_) => json!({ "invalid": true }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(kind: ValueKind, body: &[u8]) -> Value {
        Value { kind, body: body.to_vec() }
    }

    #[test]
    fn what_is_no_object_is_said_to_be_none() {
        let deep = [b"{\"a\":", "[".repeat(100_000).as_bytes()].concat();
        for body in [&b""[..], b"[]", b"3", b"{\"a\":\xff}", b"{\"a\":1e999}", b"{} {}", &deep] {
            assert_eq!(object(&value(ValueKind::Display, body)), json!({ "invalid": true }));
        }
        assert_eq!(object(&value(ValueKind::Display, b" {\"a\":\n 1} ")), json!({ "a": 1 }));
    }

    #[test]
    fn only_what_there_is_is_said() {
        let shown = |values, may_wait| serde_json::to_string(&Values::new(values, may_wait)).unwrap();
        assert_eq!(shown(Vec::new(), true), "{}");
        let asked = || vec![value(ValueKind::InputRequest, b"{}"), value(ValueKind::Display, b"{}")];
        assert_eq!(shown(asked(), false), r#"{"displays":[{}]}"#);
        assert_eq!(shown(asked(), true), r#"{"displays":[{}],"input_request":{}}"#);
    }
}
