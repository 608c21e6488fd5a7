//! What stands in the path of a request, as the document has it.

use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{ObjectBuilder, RefOr, Required, Type};

const SESSION_ID_PATTERN: &str = "^[A-Za-z0-9._-]{1,128}$";
const EXECUTION_PATTERN: &str = "^(last|[0-9]{1,19})$";
/// Names that are not empty, `.` or `..`, without zero bytes, and slashes between them. How long they may be together counts
/// in bytes, which a pattern cannot say.
const FILE_PATTERN: &str = concat!(
    r"^([^./\u0000][^/\u0000]*|\.[^./\u0000][^/\u0000]*|\.\.[^/\u0000]+)",
    r"(/([^./\u0000][^/\u0000]*|\.[^./\u0000][^/\u0000]*|\.\.[^/\u0000]+)){0,63}$"
);

pub(crate) fn session_id() -> Parameter {
    in_path("id", SESSION_ID_PATTERN, "The session's name")
}

pub(crate) fn checkpoint_id() -> Parameter {
    in_path("checkpoint", SESSION_ID_PATTERN, "The checkpoint's name")
}

pub(crate) fn execution() -> Parameter {
    in_path("n", EXECUTION_PATTERN, "The execution's number in its session, or `last`")
}

pub(crate) fn file() -> Parameter {
    in_path("path", FILE_PATTERN, "Where it is in /workspace. Its slashes may be sent as they are")
}

fn in_path(name: &str, pattern: &str, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(text(pattern)))
        .description(Some(description))
        .build()
}

/// The path of a file in a body.
pub(crate) fn file_path() -> RefOr<Schema> {
    text(FILE_PATTERN)
}

/// The path of a folder, which is the workspace itself where it is empty.
pub(crate) fn folder_path() -> RefOr<Schema> {
    let pattern = FILE_PATTERN.replacen("^(", "^$|^(", 1);
    let folder = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
    folder.description(Some("The folder; all of /workspace where it is left out")).build().into()
}

/// Nothing but a star.
pub(crate) fn star() -> RefOr<Schema> {
    let star = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["*"]));
    star.description(Some("Only where there is nothing yet")).build().into()
}

fn text(pattern: &str) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).build().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_of_a_folder_has_the_empty_path_beside_those_of_files() {
        let pattern = |schema: RefOr<Schema>| serde_json::to_value(schema).unwrap()["pattern"].clone();
        assert_eq!(pattern(folder_path()), format!("^$|{FILE_PATTERN}"));
        assert_eq!(pattern(file_path()), FILE_PATTERN);
    }
}
