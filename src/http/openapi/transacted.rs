//! The calls of a transaction: a schema for each method, so that generated clients know its parameters.

#![expect(clippy::indexing_slicing, reason = "of a serde_json::Value: a missing member reads as null, or is inserted")]

use serde_json::{Map, Value, json};

use super::operations_mut;
use super::schemas::SCHEMAS;
use crate::call::{Entry, Spec};

/// The schema of a reference to an earlier result.
const REFERENCE: &str = "ResultReference";
/// A member that no call of a transaction may have.
const WAIT: &str = "waitMs";

/// Makes `TransactedCall` one of the methods that a transaction may contain, told apart by `method`.
pub(super) fn declare_calls(document: &mut Value, methods: &[Entry]) {
    let mut schemas = document["components"]["schemas"].take();
    let any_call = schemas["TransactedCall"].take();
    let mut mapping = Map::new();
    for (_, operation) in operations_mut(document) {
        let named = methods.iter().map(|method| method.spec).find(|spec| operation["operationId"] == spec.name);
        let Some(spec) = named.filter(Spec::can_be_transacted) else { continue };
        let mut call = any_call.clone();
        call["description"] = format!("A call of `{}` in a transaction.", spec.name).into();
        call["properties"]["method"] = json!({"type": "string", "enum": [spec.name]});
        let params = params(operation, &mut schemas, &spec);
        let is_required = resolved(&params, &schemas).get("required").is_some();
        call["required"] = if is_required { json!(["method", "params"]) } else { json!(["method"]) };
        call["properties"]["params"] = params;
        let name = schema_name(spec.name, "Call");
        mapping.insert(spec.name.to_owned(), format!("{SCHEMAS}{name}").into());
        schemas[name] = call;
    }
    let calls: Vec<Value> = mapping.values().map(|reference| json!({"$ref": reference})).collect();
    schemas["TransactedCall"] = json!({
        "description": any_call["description"],
        "oneOf": calls,
        "discriminator": {"propertyName": "method", "mapping": mapping},
    });
    schemas[REFERENCE] = json!({
        "type": "object",
        "description": "Stands for a member of the result of an earlier call of the transaction.",
        "required": ["$ref"],
        "properties": {"$ref": {
            "type": "string", "maxLength": 1_024, "example": "order.value",
            "description": "`<call>.<member>`: `as` or the index of the call, from 0, and the member of its result, which may \
                be followed by more members or indexes.",
        }},
        "additionalProperties": false,
    });
    if let Some(schemas) = schemas.as_object_mut() {
        schemas.sort_keys();
    }
    document["components"]["schemas"] = schemas;
}

/// `IncrementCall` for `increment` and `Call`.
fn schema_name(method: &str, kind: &str) -> String {
    let mut letters = method.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).chain(kind.chars()).collect()
}

/// A reference to the schema of the parameters of a call: the members of the body, and the parameters of the path and the
/// query. It is the schema of the body if that has them all.
fn params(operation: &Value, schemas: &mut Value, spec: &Spec) -> Value {
    let body_schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let body = resolved(body_schema, schemas);
    let mut properties = body["properties"].as_object().cloned().unwrap_or_default();
    let mut required = body["required"].as_array().cloned().unwrap_or_default();
    properties.shift_remove(WAIT);
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    for parameter in parameters.filter(|parameter| parameter["in"] == "path" || parameter["in"] == "query") {
        let mut schema = parameter["schema"].clone();
        schema["description"] = parameter["description"].clone();
        properties.insert(parameter["name"].as_str().unwrap_or_default().to_owned(), schema);
        if parameter["required"] == true {
            required.push(parameter["name"].clone());
        }
    }
    for (name, property) in &mut properties {
        if spec.refs.iter().any(|(member, _)| member == name) && !takes_objects(property, schemas) {
            allow_reference(property);
        }
    }
    if body["properties"].as_object() == Some(&properties) {
        return body_schema.clone();
    }
    let mut schema = json!({
        "type": "object",
        "description": format!("The parameters of a call of `{}` in a transaction.", spec.name),
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    let name = schema_name(spec.name, "Params");
    let reference = json!({"$ref": format!("{SCHEMAS}{name}")});
    schemas[name] = schema;
    reference
}

/// The schema that a reference leads to, or the schema itself.
fn resolved<'a>(schema: &'a Value, schemas: &'a Value) -> &'a Value {
    schema["$ref"].as_str().map_or(schema, |reference| &schemas[reference.trim_start_matches(SCHEMAS)])
}

/// Whether a schema takes an object with any members, and so a reference.
fn takes_objects(schema: &Value, schemas: &Value) -> bool {
    let schema = resolved(schema, schemas);
    match schema["oneOf"].as_array() {
        Some(kinds) => kinds.iter().any(|kind| takes_objects(kind, schemas)),
        None => {
            schema["additionalProperties"] == true || ["type", "enum"].iter().all(|kind| schema.get(kind).is_none())
        }
    }
}

/// Allows a reference instead of a value.
fn allow_reference(schema: &mut Value) {
    let reference = json!({"$ref": format!("{SCHEMAS}{REFERENCE}")});
    if let Some(Value::Array(kinds)) = schema.get_mut("oneOf") {
        kinds.push(reference);
        return;
    }
    let mut value = schema.take();
    let mut either = Map::new();
    either.extend(value.as_object_mut().and_then(|members| members.shift_remove_entry("description")));
    either.insert("oneOf".to_owned(), json!([value, reference]));
    *schema = either.into();
}
