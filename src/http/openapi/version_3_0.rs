//! The document in OpenAPI 3.0.3, for generators that know no later version.

#![expect(clippy::indexing_slicing, reason = "of a serde_json::Value: a missing member reads as null, or is inserted")]

use serde_json::{Map, Value, json};

use super::operations_mut;
use super::schemas::{SCHEMAS, visit};

/// The media type of every file, for generators that know no other one.
const FILE: &str = "application/octet-stream";

/// Rewrites what OpenAPI 3.0 has no words for. Where generators of 3.0 take one answer or one media type, it leaves out the
/// others: an answer without a body beside one with a body (204 of `popJob`), and the own media type of a file.
pub(super) fn rewrite(document: &mut Value) {
    document["openapi"] = "3.0.3".into();
    if let Some(license) = document["info"]["license"].as_object_mut() {
        license.shift_remove("identifier");
    }
    let schemas = document["components"]["schemas"].as_object().cloned().unwrap_or_default();
    // The client in Rust of openapi-generator would send `method` twice.
    if let Some(call) = document["components"]["schemas"]["TransactedCall"].as_object_mut() {
        call.shift_remove("discriminator");
    }
    for (_, operation) in operations_mut(document) {
        let content = operation.get_mut("requestBody").and_then(|body| body["content"].as_object_mut());
        if let Some(content) = content.filter(|content| content.contains_key(FILE)) {
            content.retain(|media_type, _| media_type == FILE);
        }
        if let Some(responses) = operation["responses"].as_object_mut() {
            let has_body = |response: &Value| response.get("content").is_some();
            let answers_body = responses.values().any(has_body);
            responses.retain(|status, response| !answers_body || !status.starts_with(['2', '3']) || has_body(response));
        }
    }
    visit(document, &mut |schema| {
        allow_null(schema, &schemas);
        join_reference(schema);
    });
}

/// `null` is no type in OpenAPI 3.0: a schema with a type is `nullable`. One without a type takes `null` in any case.
fn allow_null(schema: &mut Map<String, Value>, schemas: &Map<String, Value>) {
    let of_null = json!("null");
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|of_type| *of_type != of_null);
        let of_type = types.pop().unwrap_or_default();
        schema.insert("type".to_owned(), of_type);
        schema.insert("nullable".to_owned(), true.into());
    }
    let Some(Value::Array(kinds)) = schema.get_mut("oneOf") else { return };
    let count = kinds.len();
    kinds.retain(|kind| kind["type"] != of_null);
    if kinds.len() == count {
        return;
    }
    let Some(Value::Object(first)) = kinds.first_mut() else { return };
    let reference = first.get("$ref").and_then(Value::as_str).unwrap_or_default();
    if let Some(Value::Object(referred)) = schemas.get(reference.trim_start_matches(SCHEMAS)) {
        // An array has its items beside its type.
        let stated = ["type", "items"].iter().filter_map(|member| referred.get_key_value(*member));
        first.extend(stated.map(|(name, value)| (name.clone(), value.clone())));
    }
    if first.contains_key("type") {
        first.insert("nullable".to_owned(), true.into());
    }
    if let [only] = kinds.as_mut_slice()
        && let Value::Object(only) = only.take()
    {
        schema.shift_remove("oneOf");
        schema.extend(only);
    }
}

/// A reference has no members beside it in OpenAPI 3.0.
fn join_reference(schema: &mut Map<String, Value>) {
    if schema.len() > 1
        && let Some(reference @ Value::String(_)) = schema.shift_remove("$ref")
    {
        schema.insert("allOf".to_owned(), json!([{"$ref": reference}]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_references_are_said_in_the_words_of_3_0() {
        for (newer, older) in [
            (json!({"type": ["integer", "null"]}), json!({"type": "integer", "nullable": true})),
            (
                json!({"oneOf": [{"$ref": "#/components/schemas/A", "description": "b"}, {"type": "null"}]}),
                json!({"description": "b", "type": "string", "nullable": true, "allOf": [{"$ref": "#/components/schemas/A"}]}),
            ),
            (
                json!({"oneOf": [{"$ref": "#/components/schemas/Any"}, {"type": "null"}]}),
                json!({"$ref": "#/components/schemas/Any"}),
            ),
            (
                json!({"oneOf": [{"type": "integer"}, {"type": "null"}, {"$ref": "#/b"}], "description": "c"}),
                json!({"oneOf": [{"type": "integer", "nullable": true}, {"$ref": "#/b"}], "description": "c"}),
            ),
            (json!({"$ref": "#/a", "default": 1}), json!({"allOf": [{"$ref": "#/a"}], "default": 1})),
            (json!({"$ref": "#/a"}), json!({"$ref": "#/a"})),
            (
                json!({"properties": {"$ref": {"type": "string"}, "b": {"type": "null"}}}),
                json!({"properties": {"$ref": {"type": "string"}, "b": {"type": "null"}}}),
            ),
        ] {
            let mut document = json!({
                "openapi": "3.1.0",
                "components": {"schemas": {"A": {"type": "string"}, "Any": {"description": "any"}}},
                "schema": newer,
                "example": {"type": ["a", "null"]},
            });
            rewrite(&mut document);
            let example = json!({"type": ["a", "null"]});
            assert_eq!((&document["schema"], &document["example"]), (&older, &example));
            assert_eq!(document["openapi"], "3.0.3");
        }
    }
}
