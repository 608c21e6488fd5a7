//! What the document says of keys: that a request may have to come with one, what it is answered otherwise, and which paths
//! need none.

use axum::http::StatusCode;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, Content, HeaderBuilder, ObjectBuilder, OpenApi, Ref, ResponseBuilder, Type};

use super::{Flat, Form as _, V1};
use crate::auth::OPEN;
use crate::error::Form;

const SCHEME: &str = "bearer";

/// Adds it to every route that is there.
pub(super) fn add(document: &mut OpenApi) {
    let mut scheme = Http::new(HttpAuthScheme::Bearer);
    scheme.description = Some("A key that `eggbox key new` has made. A server without keys needs none.".to_owned());
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme(SCHEME, SecurityScheme::Http(scheme));
    let bearer = SecurityRequirement::new::<_, [String; 0], String>(SCHEME, []);
    document.security = Some(vec![SecurityRequirement::default(), bearer]);
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item) {
            if OPEN.contains(&path.as_str()) {
                operation.security = Some(Vec::new());
            } else {
                add_refusals(operation, path);
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

fn add_refusals(operation: &mut Operation, path: &str) {
    let form = match Form::of(path) {
        Form::Flat => Flat::SCHEMA,
        Form::V1 => V1::SCHEMA,
    };
    for (status, why, header) in [
        (StatusCode::UNAUTHORIZED, "No key of this server's came with the request", "www-authenticate"),
        (StatusCode::TOO_MANY_REQUESTS, "Too many requests a minute with this key", "retry-after"),
    ] {
        let text = HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String))).build();
        let body = Content::new(Some(Ref::from_schema_name(form)));
        let response = ResponseBuilder::new().description(why).content("application/json", body).header(header, text);
        operation.responses.responses.insert(status.as_str().to_owned(), response.build().into());
    }
}
