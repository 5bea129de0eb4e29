//! Components that many operations share: headers, and the answers to failed requests.

#![expect(clippy::indexing_slicing, reason = "of a serde_json::Value: a missing member reads as null, or is inserted")]

use serde_json::{Map, Value, json};

use super::operations_mut;

/// Moves the headers and the answers to failed requests into the components.
pub(super) fn share(document: &mut Value) {
    let (mut parameters, mut headers, mut responses) = (Map::new(), Map::new(), Map::new());
    for (_, operation) in operations_mut(document) {
        let name = operation["operationId"].as_str().unwrap_or_default().to_owned();
        for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
            if parameter["in"] == "header" {
                let name = parameter["name"].as_str().unwrap_or_default().to_owned();
                replace(parameter, "parameters", &name, &mut parameters);
            }
        }
        for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
            for (name, header) in response.get_mut("headers").and_then(Value::as_object_mut).into_iter().flatten() {
                replace(header, "headers", name, &mut headers);
            }
            if response["content"].get("application/problem+json").is_some() {
                let first = responses.iter().find(|(_, known)| *known == response).map(|(name, _)| name.clone());
                // It has the name of the first operation that answers so.
                let name = first.unwrap_or_else(|| format!("{name}-{status}"));
                replace(response, "responses", &name, &mut responses);
            }
        }
    }
    document["components"]["parameters"] = parameters.into();
    document["components"]["headers"] = headers.into();
    document["components"]["responses"] = responses.into();
}

/// Replaces a part by a reference to the component of this name. A part that differs from the component stays.
fn replace(part: &mut Value, kind: &str, name: &str, components: &mut Map<String, Value>) {
    if components.entry(name).or_insert_with(|| part.clone()) == part {
        *part = json!({"$ref": format!("#/components/{kind}/{name}")});
    }
}
