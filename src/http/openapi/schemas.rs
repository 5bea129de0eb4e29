//! Completes the schemas that utoipa collected, so that generated clients compile and can send what the server takes.

#![expect(clippy::indexing_slicing, reason = "of a serde_json::Value: a missing member reads as null, or is inserted")]

use serde_json::{Map, Value, json};

/// Beginning of a reference to a schema.
pub(super) const SCHEMAS: &str = "#/components/schemas/";

/// Names the pages, opens objects without members, allows `null` for optional members of requests, and names values of enums.
pub(super) fn complete(document: &mut Value) {
    name_pages(document);
    visit(document, &mut |schema| {
        open_object(schema);
        lift_description(schema);
    });
    for name in request_schemas(document) {
        allow_null(&mut document["components"]["schemas"][name]);
    }
    name_values(&mut document["components"]["schemas"]);
}

/// Names the values of an enum that has a value in common with `ProblemCode`: the constants of Go would have the same name.
fn name_values(schemas: &mut Value) {
    let codes = schemas["ProblemCode"]["enum"].as_array().cloned().unwrap_or_default();
    for (name, schema) in schemas.as_object_mut().into_iter().flatten().filter(|(name, _)| *name != "ProblemCode") {
        let values = schema.get("enum").and_then(Value::as_array);
        if let Some(values) = values.filter(|values| values.iter().any(|value| codes.contains(value))) {
            let of_value = |value: &Value| format!("{name}-{}", value.as_str().unwrap_or_default()).to_uppercase();
            let names: Vec<String> = values.iter().map(|value| of_value(value).replace('-', "_")).collect();
            schema["x-enum-varnames"] = names.into();
        }
    }
}

/// `Page_Counter`, whose items utoipa writes out, becomes `CounterPage`, whose items are a `Counter`.
fn name_pages(document: &mut Value) {
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        let items: Vec<String> =
            schemas.keys().filter_map(|name| Some(name.strip_prefix("Page_")?.to_owned())).collect();
        for item in items {
            let mut page = schemas.remove(&format!("Page_{item}")).unwrap_or_default();
            page["description"] = format!("One page of a list of `{item}`.").into();
            page["properties"]["items"]["items"] = json!({"$ref": format!("{SCHEMAS}{item}")});
            schemas.insert(format!("{item}Page"), page);
        }
        schemas.sort_keys();
    }
    visit(document, &mut |members| {
        if let Some(Value::String(reference)) = members.get_mut("$ref")
            && let Some((_, item)) = reference.split_once("/Page_")
        {
            *reference = format!("{SCHEMAS}{item}Page");
        }
    });
}

/// An object without declared members has any members. Some generators read it as an object without members otherwise.
fn open_object(members: &mut Map<String, Value>) {
    let is_object = members.get("type").is_some_and(|of_type| of_type == "object");
    if is_object && !members.contains_key("properties") && !members.contains_key("additionalProperties") {
        members.insert("additionalProperties".to_owned(), true.into());
    }
}

/// A description and a default of a reference that may be `null` belong to both: generators do not read them beside a `$ref`.
fn lift_description(schema: &mut Map<String, Value>) {
    let Some(Value::Array(kinds)) = schema.get_mut("oneOf") else { return };
    let referring = kinds.iter_mut().filter_map(Value::as_object_mut).find(|kind| kind.contains_key("$ref"));
    let Some(referring) = referring else { return };
    let lifted: Vec<(String, Value)> =
        ["description", "default"].iter().filter_map(|member| referring.shift_remove_entry(*member)).collect();
    for (member, value) in lifted {
        schema.entry(member).or_insert(value);
    }
}

/// The names of the schemas that the bodies of requests contain.
fn request_schemas(document: &Value) -> Vec<String> {
    let operations = document["paths"].as_object().into_iter().flatten();
    let operations = operations.flat_map(|(_, item)| item.as_object().into_iter().flatten());
    let mut left: Vec<&Value> = operations.map(|(_, operation)| &operation["requestBody"]).collect();
    let mut names = Vec::new();
    while let Some(value) = left.pop() {
        match value {
            Value::Object(members) => {
                left.extend(members.iter().filter(|(name, _)| *name != "examples").map(|(_, member)| member));
                let name = members.get("$ref").and_then(|reference| reference.as_str()?.strip_prefix(SCHEMAS));
                if let Some(name) = name.filter(|name| !names.iter().any(|known| known == name)) {
                    names.push(name.to_owned());
                    left.push(&document["components"]["schemas"][name]);
                }
            }
            Value::Array(items) => left.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    names
}

/// Allows `null` for the members that are not required: it means that the member is absent, or clears the value.
fn allow_null(schema: &mut Value) {
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (name, property) in properties.into_iter().flatten() {
        if required.iter().any(|required| required == name) {
            continue;
        }
        if property.get("$ref").is_some() {
            *property = json!({"oneOf": [property.take(), {"type": "null"}]});
            property.as_object_mut().into_iter().for_each(lift_description);
        } else if let Some(of_type) = property.get_mut("type")
            && of_type.is_string()
        {
            *of_type = json!([of_type.take(), "null"]);
        }
    }
}

/// Changes every object of the document except for values: examples and defaults. A property may have their names.
pub(super) fn visit(value: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            change(members);
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("example" | "examples" | "default", _) => {}
                    ("properties", Value::Object(properties)) => {
                        properties.values_mut().for_each(|property| visit(property, change));
                    }
                    (_, member) => visit(member, change),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| visit(item, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
