//! The reference of the interface, made once from the OpenAPI document: as JSON, and as a page that works without a network.

use std::fmt::Write;

use axum::body::Bytes;
use eggbox_engine::SessionLimits;
use serde_json::{Map, Value};
use utoipa::openapi::OpenApi;

use crate::openapi;

const HEAD: &str = include_str!("reference.html");

#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) json: Bytes,
    pub(crate) html: Bytes,
}

impl Reference {
    pub(crate) fn new(document: &OpenApi, limits: SessionLimits) -> Self {
        let mut value = serde_json::to_value(document).unwrap_or_default();
        openapi::bound(&mut value, limits);
        let mut json = serde_json::to_string_pretty(&value).unwrap_or_default();
        json.push('\n');
        Self { json: json.into(), html: page(&value).into() }
    }
}

/// What shows the document: its routes by tag, then the types that they name.
fn page(document: &Value) -> String {
    let mut page = HEAD.to_owned();
    let info = &document["info"];
    line(&mut page, "h1", None, &format!("{} {}", text(&info["title"]), text(&info["version"])));
    line(&mut page, "p", None, text(&info["description"]));
    for tag in document["tags"].as_array().into_iter().flatten() {
        line(&mut page, "h2", None, text(&tag["description"]));
        for (path, methods) in members(&document["paths"]) {
            let of_tag =
                |operation: &Value| operation["tags"].as_array().is_some_and(|tags| tags.contains(&tag["name"]));
            for (method, operation) in members(methods).filter(|(_, operation)| of_tag(operation)) {
                show_operation(&mut page, method, path, operation);
            }
        }
    }
    line(&mut page, "h2", None, "Types");
    for (name, schema) in members(&document["components"]["schemas"]) {
        line(&mut page, "h3", Some(name), name);
        show_schema(&mut page, schema);
    }
    page.push_str("</main></html>\n");
    page
}

fn show_operation(page: &mut String, method: &str, path: &str, operation: &Value) {
    line(page, "h3", operation["operationId"].as_str(), &format!("{} {path}", method.to_uppercase()));
    line(page, "p", None, &format!("{}.", text(&operation["summary"])));
    line(page, "p", None, text(&operation["description"]));
    let mut rows = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let kind = format!("{}, in the {}", kind(&parameter["schema"]), escape(text(&parameter["in"])));
        let said = [&parameter["description"], &parameter["schema"]["description"]].map(text);
        let said = said.into_iter().find(|said| !said.is_empty()).unwrap_or_default();
        rows.push([escape(text(&parameter["name"])), kind, escape(said)]);
    }
    for (media, body) in members(&operation["requestBody"]["content"]) {
        rows.push(["body".to_owned(), kind(&body["schema"]), escape(media)]);
    }
    for (status, response) in members(&operation["responses"]) {
        let bodies = members(&response["content"]).map(|(media, body)| match media {
            "application/json" => kind(&body["schema"]),
            other => escape(other),
        });
        rows.push([escape(status), bodies.collect::<Vec<_>>().join(", "), escape(text(&response["description"]))]);
    }
    table(page, &rows);
}

fn show_schema(page: &mut String, schema: &Value) {
    line(page, "p", None, text(&schema["description"]));
    let mut rows = Vec::new();
    // What is flattened into a type is a part of it.
    let parts = schema["allOf"].as_array().into_iter().flatten().chain([schema]);
    for part in parts {
        if part["properties"].is_null() && part != schema {
            rows.push(["…".to_owned(), kind(part), String::new()]);
        }
        let required = part["required"].as_array();
        for (name, property) in members(&part["properties"]) {
            let is_required = required.is_some_and(|required| required.iter().any(|known| known == name));
            let kind = if is_required { kind(property) } else { format!("{}, optional", kind(property)) };
            rows.push([escape(name), kind, escape(text(&property["description"]))]);
        }
    }
    table(page, &rows);
}

/// What a value is, in HTML.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        let name = escape(name);
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    let all = |key: &str| schema[key].as_array().map(|parts| parts.iter().map(kind).collect::<Vec<_>>());
    if let Some(parts) = all("oneOf").or_else(|| all("anyOf")) {
        return parts.join(" or ");
    }
    if let Some(parts) = all("allOf") {
        return parts.join(" and ");
    }
    if let Some(values) = schema["enum"].as_array() {
        return values
            .iter()
            .map(|value| format!("<code>{}</code>", escape(text(value))))
            .collect::<Vec<_>>()
            .join(" ");
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().map(text).collect::<Vec<_>>().join(" or "),
        other => text(other).to_owned(),
    };
    let items = if schema["items"].is_null() { String::new() } else { format!(" of {}", kind(&schema["items"])) };
    let bounds = ["pattern", "format", "minimum", "maximum"].iter().filter_map(|name| {
        let value = &schema[*name];
        (!value.is_null())
            .then(|| format!(", {name} <code>{}</code>", escape(value.as_str().unwrap_or(&value.to_string()))))
    });
    format!("{}{items}{}", if types.is_empty() { "any" } else { &types }, bounds.collect::<String>())
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// An element with this text; none without one.
fn line(page: &mut String, element: &str, id: Option<&str>, text: &str) {
    if text.is_empty() || text == "." {
        return;
    }
    let id = id.map_or(String::new(), |id| format!(" id=\"{}\"", escape(id)));
    let _ = writeln!(page, "<{element}{id}>{}</{element}>", escape(text));
}

/// A row each of cells that are HTML.
fn table(page: &mut String, rows: &[[String; 3]]) {
    if rows.is_empty() {
        return;
    }
    page.push_str("<table>\n");
    for [name, kind, text] in rows {
        let _ = writeln!(page, "<tr><td><code>{name}</code></td><td>{kind}</td><td>{text}</td></tr>");
    }
    page.push_str("</table>\n");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_of_a_document_is_taken_for_html() {
        let document = json!({
            "info": { "title": "<b>", "version": "&", "description": "\"x\"" },
            "tags": [{ "name": "t", "description": "<i>" }],
            "paths": { "/<p>": { "get": { "tags": ["t"], "summary": "<u>", "responses": { "200": { "description": "<s>" } } } } },
            "components": { "schemas": { "<A>": { "properties": { "<f>": { "type": "string", "pattern": "<g>" } } } } },
        });
        let page = page(&document);
        let body = &page[HEAD.len()..];
        for tag in ["<b>", "<i>", "<p>:", "<u>", "<s>", "<A>", "<f>", "<g>"] {
            assert!(!body.contains(tag), "{tag}: {body}");
        }
        assert!(body.contains("GET /&lt;p&gt;") && body.contains("pattern <code>&lt;g&gt;</code>"), "{body}");
    }

    #[test]
    fn kinds_are_words_and_links() {
        for (schema, shown) in [
            (json!({ "$ref": "#/components/schemas/A" }), "<a href=\"#A\">A</a>"),
            (json!({ "type": ["integer", "null"], "minimum": 0 }), "integer or null, minimum <code>0</code>"),
            (json!({ "type": "array", "items": { "type": "string" } }), "array of string"),
            (json!({ "type": "string", "enum": ["a", "b"] }), "<code>a</code> <code>b</code>"),
            (json!({ "oneOf": [{ "type": "null" }, { "$ref": "x/B" }] }), "null or <a href=\"#B\">B</a>"),
            (json!({}), "any"),
        ] {
            assert_eq!(kind(&schema), shown);
        }
    }
}
