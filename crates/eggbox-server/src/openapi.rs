//! The OpenAPI document, as far as it is not said by the handlers and their types: what all routes have in common, and how
//! types look that know nothing of it.

mod keys;
pub(crate) mod parameters;

use std::collections::BTreeMap;
use std::marker::PhantomData;

use eggbox_engine::{SessionLimits, ranges};
use serde_json::{Value, json};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{
    ArrayBuilder, Content, ObjectBuilder, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder, Type,
};
use utoipa::{IntoResponses, ToSchema};

use crate::error::{CODES, FlatBody, V1Body};

/// The document without its routes, which the router adds.
pub(crate) fn document() -> OpenApi {
    #[derive(utoipa::OpenApi)]
    #[openapi(
        info(
            title = "eggbox",
            version = env!("CARGO_PKG_VERSION"),
            description = "Runs Python that nobody has reviewed, in sandboxed sessions.",
            license(name = "MIT", identifier = "MIT"),
        ),
        components(schemas(FlatBody<'_>, V1Body<'_>)),
        tags(
            (name = "code", description = "Running code"),
            (name = "sessions", description = "Sessions as such"),
            (name = "checkpoints", description = "What sessions were, and sessions that sleep"),
            (name = "executions", description = "What runs in a session"),
            (name = "files", description = "The files of a session"),
            (name = "operations", description = "For whoever keeps the server"),
        ),
    )]
    struct Document;
    <Document as utoipa::OpenApi>::openapi()
}

/// Says what all routes have in common, and writes their paths as the document has them.
pub(crate) fn complete(document: &mut OpenApi) {
    // The router marks what may have slashes in it.
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    for item in document.paths.paths.values_mut() {
        if let Some(Operation { request_body: Some(RefOr::T(body)), .. }) = &mut item.put {
            // A file may be empty, as a request without a body is.
            body.required = Some(Required::False);
        }
    }
    keys::add(document);
}

/// Says in the document what this operator lets a session have.
pub(crate) fn bound(document: &mut Value, limits: SessionLimits) {
    let SessionLimits { wall_max, cpu_max, memory_bytes_max, processes_max, output_bytes_max, idle_max, life_max } =
        limits;
    let cpu_seconds_max = cpu_max.map_or(ranges::CPU_SECONDS[1], |cpu_max| cpu_max.as_secs_f64());
    for (field, least, most) in [
        ("CreateLimits/properties/wall_seconds", json!(ranges::WALL_SECONDS[0]), json!(wall_max.as_secs_f64())),
        ("CreateLimits/properties/cpu_seconds", json!(ranges::CPU_SECONDS[0]), json!(cpu_seconds_max)),
        ("CreateLimits/properties/memory_bytes", json!(ranges::MEMORY_BYTES[0]), json!(memory_bytes_max)),
        ("CreateLimits/properties/processes", json!(ranges::PROCESSES[0]), json!(processes_max)),
        ("CreateLimits/properties/output_bytes", json!(ranges::OUTPUT_BYTES[0]), json!(output_bytes_max)),
        ("CreateSession/properties/idle_seconds", json!(ranges::IDLE_SECONDS[0]), json!(idle_max.as_secs_f64())),
        ("CreateSession/properties/ttl_seconds", json!(ranges::LIFE_SECONDS[0]), json!(life_max.as_secs_f64())),
        ("ChangeSession/properties/idle_seconds", json!(ranges::IDLE_SECONDS[0]), json!(idle_max.as_secs_f64())),
        ("ChangeSession/properties/ttl_seconds", json!(ranges::LIFE_SECONDS[0]), json!(life_max.as_secs_f64())),
        ("AskExecution/properties/timeout_seconds", json!(ranges::WALL_SECONDS[0]), json!(wall_max.as_secs_f64())),
        ("Run/properties/timeout_seconds", json!(ranges::WALL_SECONDS[0]), json!(wall_max.as_secs_f64())),
    ] {
        if let Some(schema) = document.pointer_mut(&format!("/components/schemas/{field}")) {
            schema["minimum"] = least;
            schema["maximum"] = most;
        }
    }
}

/// Bytes as they are.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "bodies of bytes have no type")]
pub(crate) struct Binary(Vec<u8>);

/// How a refusal looks.
pub(crate) trait Form {
    const SCHEMA: &'static str;
}

/// A text for people.
pub(crate) struct Flat;
/// An object that programs can read.
pub(crate) struct V1;

impl Form for Flat {
    const SCHEMA: &'static str = "Refusal";
}

impl Form for V1 {
    const SCHEMA: &'static str = "V1Refusal";
}

/// What every route may answer instead.
pub(crate) struct Refusals<F>(PhantomData<F>);

/// What every route that takes a body may.
pub(crate) struct BodyRefusals<F>(PhantomData<F>);

/// What every route to the files of a session may.
pub(crate) struct FileRefusals;

const EVERYWHERE: [(&str, &str); 3] = [
    ("403", "A foreign Host or Origin"),
    ("431", "The head is too large"),
    ("500", "Our fault: the cause is in the log, under the request's id"),
];
const WITH_BODY: [(&str, &str); 5] = [
    ("400", "The body is no JSON, or a field of it cannot be taken"),
    ("408", "The body took too long to arrive"),
    ("413", "The body is too large"),
    ("415", "The content type is not application/json"),
    ("503", "There is no room for the body"),
];

const WITH_FILES: [(&str, &str); 5] = [
    ("400", "What is no name of a session, no path in a workspace, or a parameter that cannot be taken"),
    ("403", "A foreign Host or Origin, or a mode that keeps the session's user out"),
    ("404", "No session of that name lives, or there is nothing at that path"),
    ("409", "What is at that path is in the way, or something else than it should be"),
    ("503", "Too many files are sent, received or gone through"),
];

impl IntoResponses for FileRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals::<V1>(&[&EVERYWHERE[..], &WITH_FILES].concat())
    }
}

impl<F: Form> IntoResponses for Refusals<F> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals::<F>(&EVERYWHERE)
    }
}

impl<F: Form> IntoResponses for BodyRefusals<F> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals::<F>(&[&EVERYWHERE[..], &WITH_BODY].concat())
    }
}

fn refusals<F: Form>(of: &[(&str, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let response = |(status, why): &(&str, &str)| {
        let body = Content::new(Some(Ref::from_schema_name(F::SCHEMA)));
        let response = ResponseBuilder::new().description(*why).content("application/json", body).build();
        ((*status).to_owned(), RefOr::T(response))
    };
    of.iter().map(response).collect()
}

/// One of these texts.
pub(crate) fn one_of(values: &[&str]) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(values.iter().copied())).build().into()
}

pub(crate) fn code() -> RefOr<Schema> {
    one_of(&CODES)
}

pub(crate) fn session_state() -> RefOr<Schema> {
    one_of(&["idle", "running", "hibernated", "ended"])
}

pub(crate) fn checkpoint_kind() -> RefOr<Schema> {
    one_of(&["asked", "automatic"])
}

pub(crate) fn checkpoints() -> RefOr<Schema> {
    one_of(&["off", "on_idle", "each"])
}

pub(crate) fn execution_state() -> RefOr<Schema> {
    one_of(&["queued", "running", "finished"])
}

pub(crate) fn outcome() -> RefOr<Schema> {
    one_of(&eggbox_engine::OUTCOMES)
}

pub(crate) fn state_after() -> RefOr<Schema> {
    one_of(&["kept", "lost", "rewound"])
}

pub(crate) fn event() -> RefOr<Schema> {
    one_of(&["started", "stdout", "stderr", "display", "result", "input_request", "exception", "finished", "error"])
}

pub(crate) fn entry_type() -> RefOr<Schema> {
    one_of(&["file", "folder", "link", "other"])
}

pub(crate) fn death() -> RefOr<Schema> {
    one_of(&eggbox_engine::DEATHS)
}

pub(crate) fn only_true() -> RefOr<Schema> {
    only(json!(true), Type::Boolean)
}

pub(crate) fn only_false() -> RefOr<Schema> {
    only(json!(false), Type::Boolean)
}

fn only(value: Value, kind: Type) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(kind).enum_values(Some([value])).build().into()
}

/// What a session is found by. What all of them have together is bounded too, which a schema cannot say.
pub(crate) fn labels() -> RefOr<Schema> {
    let plain = || ObjectBuilder::new().schema_type(Type::String).pattern(Some(r"^[^\u0000-\u001f\u007f-\u009f]*$"));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property_names(Some(plain().min_length(Some(1))))
        .additional_properties(Some(plain()))
        .max_properties(Some(eggbox_engine::LABELS_MAX))
        .description(Some("What it is found by."))
        .build()
        .into()
}

/// Variables of a session's environment.
pub(crate) fn variables() -> RefOr<Schema> {
    let text = |pattern| ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property_names(Some(text(r"^[^=\u0000]+$")))
        .additional_properties(Some(text(r"^[^\u0000]*$")))
        .description(Some("Variables beside those that every session has."))
        .build()
        .into()
}

/// The name of an environment; which there are, a schema cannot say.
pub(crate) fn environment() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[A-Za-z0-9_-]{1,64}$")).build().into()
}

/// Labels as a list is filtered by them.
pub(crate) fn label_filters() -> RefOr<Schema> {
    let label = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[^=]*=.*$"));
    let description = "Only those with this label, as `name=value`; with all of them where it is there more than once";
    ArrayBuilder::new().items(label).description(Some(description)).build().into()
}

/// Names of the properties of a schema, in order.
#[cfg(test)]
pub(crate) fn properties<T: utoipa::PartialSchema>() -> Vec<String> {
    let schema = serde_json::to_value(T::schema()).unwrap();
    schema["properties"].as_object().unwrap().keys().cloned().collect()
}

/// Names of parameters, in order.
#[cfg(test)]
pub(crate) fn names<T: utoipa::IntoParams>() -> Vec<String> {
    let mut names: Vec<_> = T::into_params(|| None).into_iter().map(|parameter| parameter.name).collect();
    names.sort_unstable();
    names
}

/// A layer of the wall, as a session found it from inside.
#[derive(ToSchema)]
#[schema(as = Layer)]
#[expect(dead_code, reason = "the type that is sent is of a crate that knows nothing of HTTP")]
pub(crate) struct LayerSchema {
    layer: String,
    #[schema(schema_with = layer_state)]
    state: String,
    /// What was enforced.
    detail: String,
    /// Of a partial one: what does not hold.
    #[schema(required = false)]
    missing: String,
    /// Of an absent one: the cause.
    #[schema(required = false)]
    why: String,
}

fn layer_state() -> RefOr<Schema> {
    one_of(&["enforced", "partial", "absent"])
}
