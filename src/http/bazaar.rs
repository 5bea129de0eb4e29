//! The extension `bazaar`: what a route takes and answers, for indexes of routes that cost something.

use serde_json::{Map, Value, json};

/// Maximum size of the extension as JSON, in bytes. The caller returns it in a header, with other extensions.
const BYTES_MAX: usize = 3 * 1024;
/// Levels of a schema that are read: a schema may contain itself.
const LEVELS_MAX: usize = 8;
/// Members of a schema that the extension shows, besides those that contain schemas.
const SHOWN: [&str; 5] = ["type", "const", "enum", "minimum", "maximum"];
/// Forms of the extension, largest first: whether it has the answer, and levels of its schema. The body is at level 2.
const FORMS: [(bool, usize); 4] = [(true, LEVELS_MAX), (false, LEVELS_MAX), (false, 3), (false, 2)];

/// The extension of an offer for an operation of an OpenAPI document: the same for all requests to the operation.
/// `None` if the document has no such operation, or if the example of its body is too large.
#[must_use]
pub(super) fn bazaar(document: &Value, method: &str, path: &str) -> Option<Value> {
    let operation = document.get("paths")?.get(path)?.get(method.to_ascii_lowercase())?;
    let mut forms = FORMS.iter().map(|(answers, levels)| {
        let schema = schema_of_info(document, operation, method, *answers);
        let schema = Schema::new(document, &schema);
        let (mut info, mut shown) = (schema.example(LEVELS_MAX), schema.shown(*levels));
        agree(&mut info);
        shown.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        let mut extension = Map::from_iter([("info".to_owned(), info), ("schema".to_owned(), shown.into())]);
        if path.contains('{') {
            extension.insert("routeTemplate".to_owned(), path.replace('{', ":").replace('}', "").into());
        }
        Value::Object(extension)
    });
    forms.find(|extension| extension.to_string().len() <= BYTES_MAX)
}

/// The schema of `info`, with examples.
fn schema_of_info(document: &Value, operation: &Value, method: &str, answers: bool) -> Value {
    let mut input = vec![
        ("type", json!({"type": "string", "const": "http"}), true),
        ("method", json!({"type": "string", "enum": [method]}), true),
    ];
    if matches!(method, "POST" | "PUT" | "PATCH") {
        let body = operation.get("requestBody").and_then(json_content);
        input.push(("bodyType", json!({"type": "string", "enum": ["json"]}), true));
        input.push(("body", body.unwrap_or_else(|| json!({"type": "object", "example": {}})), true));
    }
    for (name, place) in [("pathParams", "path"), ("queryParams", "query")] {
        let all = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
        let here = all.filter(|parameter| parameter.get("in").is_some_and(|own| own == place));
        let parameters: Vec<_> = here.filter_map(parameter).collect();
        if !parameters.is_empty() {
            input.push((name, object(parameters), true));
        }
    }
    let mut info = vec![("input", object(input), true)];
    let responses = operation.get("responses").and_then(Value::as_object).into_iter().flatten();
    let mut successes = responses.filter(|(status, _)| status.starts_with('2'));
    if let Some(answer) = successes.find_map(|(_, response)| json_content(response)).filter(|_| answers) {
        let example = Schema::new(document, &answer).example(LEVELS_MAX);
        let schema = if example.is_object() {
            json!({"type": "object", "example": example})
        } else {
            json!({"example": example})
        };
        let kind = ("type", json!({"type": "string", "example": "json"}), true);
        info.push(("output", object(vec![kind, ("example", schema, true)]), true));
    }
    object(info)
}

/// The schema of an object, from names and schemas of its members, and whether each is required.
fn object(members: Vec<(&str, Value, bool)>) -> Value {
    let required: Vec<&str> = members.iter().filter(|(.., required)| *required).map(|(name, ..)| *name).collect();
    let properties: Object = members.iter().map(|(name, schema, _)| ((*name).to_owned(), schema.clone())).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

/// Name and schema of a parameter, and whether it is required.
fn parameter(parameter: &Value) -> Option<(&str, Value, bool)> {
    let required = parameter.get("required").is_some_and(|required| required == true);
    Some((parameter.get("name")?.as_str()?, with_example(parameter)?, required))
}

/// The schema of the JSON of a body.
fn json_content(body: &Value) -> Option<Value> {
    with_example(body.get("content")?.get("application/json")?)
}

/// The schema of a body or of a parameter, with the first example.
fn with_example(described: &Value) -> Option<Value> {
    let mut schema = described.get("schema")?.clone();
    let first = described.get("examples").and_then(Value::as_object).and_then(|examples| examples.values().next());
    let example = described.get("example").or_else(|| first?.get("value"));
    schema.as_object_mut()?.extend(example.map(|example| ("example".to_owned(), example.clone())));
    Some(schema)
}

/// Makes members of the answer agree with those of the same names in the path and in the body. Lists may differ: those of an
/// answer can have more in each item.
fn agree(info: &mut Value) {
    let sent = ["/input/pathParams", "/input/body"].map(|place| info.pointer(place).cloned());
    let answer = info.pointer_mut("/output/example").and_then(Value::as_object_mut);
    for (name, value) in answer.into_iter().flatten() {
        let sent = sent.iter().find_map(|sent| sent.as_ref()?.get(name));
        if let Some(sent) = sent.filter(|sent| !sent.is_array()) {
            value.clone_from(sent);
        }
    }
}

type Object = Map<String, Value>;

/// A schema with those that it consists of.
struct Schema<'a> {
    document: &'a Value,
    /// The schema, then those that it refers to. An earlier one outranks a later one.
    parts: Vec<&'a Object>,
    nullable: bool,
}

impl<'a> Schema<'a> {
    fn new(document: &'a Value, schema: &'a Value) -> Self {
        let mut new = Self { document, parts: Vec::new(), nullable: false };
        new.read(schema, LEVELS_MAX);
        new
    }

    fn read(&mut self, schema: &'a Value, levels: usize) {
        let (Some(part), Some(levels)) = (schema.as_object(), levels.checked_sub(1)) else { return };
        self.parts.push(part);
        let list = |name: &str| part.get(name).and_then(Value::as_array).into_iter().flatten();
        let reference = part.get("$ref").and_then(Value::as_str);
        let target = reference.and_then(|reference| self.document.pointer(reference.strip_prefix('#')?));
        target.into_iter().chain(list("allOf")).for_each(|part| self.read(part, levels));
        let is_null = |choice: &&Value| choice.get("type").is_some_and(|kind| kind == "null");
        let (nulls, choices): (Vec<_>, Vec<_>) = list("oneOf").partition(is_null);
        self.nullable |= !nulls.is_empty() || list("type").any(|kind| kind == "null");
        if let [only] = *choices {
            self.read(only, levels);
        }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.parts.iter().find_map(|part| part.get(name))
    }

    /// The type, other than `null`.
    fn kind(&self) -> Option<&'a str> {
        let kind = self.get("type")?;
        kind.as_str().or_else(|| kind.as_array()?.iter().filter_map(Value::as_str).find(|kind| *kind != "null"))
    }

    fn required(&self) -> Vec<Value> {
        self.parts.iter().filter_map(|part| part.get("required")?.as_array()).flatten().cloned().collect()
    }

    fn properties(&self) -> impl Iterator<Item = (&'a String, Self)> {
        let properties = self.parts.iter().filter_map(|part| part.get("properties")?.as_object()).flatten();
        properties.map(|(name, schema)| (name, Self::new(self.document, schema)))
    }

    fn items(&self) -> Option<Self> {
        Some(Self::new(self.document, self.get("items")?))
    }

    /// The value that the document gives.
    fn known(&self) -> Option<Value> {
        let given = ["example", "default", "const"].iter().find_map(|name| self.get(name));
        given.or_else(|| self.get("enum")?.get(0)).cloned()
    }

    /// A valid value: the one that the document gives, or a made one. An optional member is there if the document gives it.
    /// At the last level, the value is empty.
    fn example(&self, levels: usize) -> Value {
        let own = self.parts.first().and_then(|part| part.get("example")).cloned();
        let null = self.nullable.then_some(Value::Null);
        if let Some(value) = own.or(null).or_else(|| self.known()) {
            return value;
        }
        let (deeper, levels) = (levels > 0, levels.saturating_sub(1));
        match self.kind().unwrap_or_default() {
            "object" => {
                let required = self.required();
                let is_wanted =
                    |name: &str, schema: &Self| required.iter().any(|one| one == name) || schema.known().is_some();
                let members = self.properties().filter(|(name, schema)| deeper && is_wanted(name, schema));
                members.map(|(name, schema)| (name.clone(), schema.example(levels))).collect()
            }
            "array" => self.items().filter(|_| deeper).map(|items| items.example(levels)).into_iter().collect(),
            "string" if self.get("format").is_some_and(|format| format == "uuid") => {
                "019ab1c2-6f3e-7d10-9c55-2f4d8e1b7a90".into()
            }
            "string" => {
                let least = self.get("minLength").and_then(Value::as_u64).unwrap_or(0);
                "text".repeat(usize::try_from(least.div_ceil(4)).unwrap_or(1).max(1)).into()
            }
            "integer" | "number" => self.get("minimum").cloned().unwrap_or_else(|| 0.into()),
            "boolean" => false.into(),
            _ => Value::Null,
        }
    }

    /// The schema in short, without references. At the last level, it is only the type and the allowed values.
    fn shown(&self, levels: usize) -> Object {
        let below = levels.checked_sub(1);
        let names = SHOWN.iter().take(below.map_or(3, |_| SHOWN.len()));
        let members = names.filter_map(|name| Some(((*name).to_owned(), self.get(name)?.clone())));
        let mut shown: Object = members.collect();
        if let (Some(kind), true) = (self.kind(), self.nullable) {
            shown.insert("type".to_owned(), json!([kind, "null"]));
            if let Some(values) = shown.get_mut("enum").and_then(Value::as_array_mut) {
                values.push(Value::Null);
            }
        }
        let Some(levels) = below else { return shown };
        let properties = self.properties().map(|(name, schema)| (name.clone(), schema.shown(levels).into()));
        let (properties, required): (Object, _) = (properties.collect(), self.required());
        let properties = (!properties.is_empty()).then(|| ("properties".to_owned(), properties.into()));
        let required = (!required.is_empty()).then(|| ("required".to_owned(), required.into()));
        let items = self.items().map(|items| ("items".to_owned(), items.shown(levels).into()));
        shown.extend([properties, required, items].into_iter().flatten());
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        serde_json::from_str(include_str!("../../openapi/openapi.json")).unwrap()
    }

    fn all(document: &Value) -> Vec<(String, String, Value)> {
        let items = document["paths"].as_object().unwrap().iter();
        let each = items.flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |verb| (verb, path)));
        each.map(|(verb, path)| {
            let method = verb.to_ascii_uppercase();
            let extension = bazaar(document, &method, path).unwrap_or_else(|| panic!("{method} {path}"));
            (method, path.clone(), extension)
        })
        .collect()
    }

    fn each<'a>(value: &'a Value, see: &mut impl FnMut(&'a Value)) {
        see(value);
        value.as_array().into_iter().flatten().for_each(|item| each(item, see));
        value.as_object().into_iter().flatten().for_each(|(_, member)| each(member, see));
    }

    #[test]
    fn every_operation_has_a_small_extension() {
        let document = document();
        let all = all(&document);
        assert_eq!(all.len(), 74);
        for (method, path, extension) in all {
            let (input, schema) = (&extension["info"]["input"], &extension["schema"]);
            let text = extension.to_string();
            assert!(text.len() <= BYTES_MAX, "{method} {path}: {}", text.len());
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), extension);
            assert_eq!((&input["type"], &input["method"]), (&json!("http"), &json!(method)));
            assert_eq!(schema["required"][0], "input");
            let names: Vec<&str> =
                path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
            match extension.get("routeTemplate") {
                Some(template) => {
                    let parts = path.split('/').map(|part| match part.strip_prefix('{') {
                        Some(name) => format!(":{}", name.trim_end_matches('}')),
                        None => part.to_owned(),
                    });
                    assert_eq!(*template, parts.collect::<Vec<_>>().join("/"));
                    assert_eq!(input["pathParams"].as_object().unwrap().keys().collect::<Vec<_>>(), names);
                }
                None => assert!(names.is_empty() && input.get("pathParams").is_none()),
            }
            let takes_body = matches!(method.as_str(), "POST" | "PUT" | "PATCH");
            assert_eq!((input.get("bodyType").is_some(), input["body"].is_object()), (takes_body, takes_body));
            let responses = document["paths"][&path][method.to_ascii_lowercase()]["responses"].as_object().unwrap();
            let json = responses.iter().any(|(code, of)| code.starts_with('2') && json_content(of).is_some());
            assert_eq!(extension["info"]["output"]["example"].is_object(), json, "{method} {path}");
            each(schema, &mut |schema| assert!(schema.get("$ref").is_none() && schema.get("oneOf").is_none()));
        }
    }

    /// The server compares the `info` that comes back. Clients in JavaScript write 1.0 as 1, and round large integers.
    #[test]
    fn numbers_survive_a_client() {
        for (method, path, extension) in all(&document()) {
            each(&extension["info"], &mut |value| {
                let safe = value.as_i64().is_some_and(|number| number.unsigned_abs() < 1 << 53);
                let fraction = value.as_f64().is_some_and(|number| number.fract() != 0.0);
                assert!(!value.is_number() || safe || fraction, "{method} {path}: {value}");
            });
        }
    }

    #[test]
    fn the_extension_comes_from_the_operation() {
        let document = document();
        let extension = bazaar(&document, "POST", "/v1/counters/{name}/decrement").unwrap();
        assert_eq!(extension["routeTemplate"], "/v1/counters/:name/decrement");
        let input = json!({
            "type": "http", "method": "POST", "bodyType": "json", "body": {"amount": 2, "min": 0},
            "pathParams": {"name": "visits"}
        });
        assert_eq!(extension["info"]["input"], input);
        let answer = &extension["info"]["output"]["example"];
        assert_eq!((&answer["name"], &answer["min"], &answer["value"]), (&json!("visits"), &json!(0), &json!(42)));
        let schema = &extension["schema"]["properties"]["input"]["properties"];
        let bound = json!({"type": ["string", "null"], "enum": ["saturate", "reject", null]});
        assert_eq!(schema["body"]["properties"]["onBound"], bound);
        let list = bazaar(&document, "GET", "/v1/counters").unwrap();
        assert_eq!(list["info"]["input"]["queryParams"], json!({"prefix": "vis", "limit": 100}));
        let query = &list["schema"]["properties"]["input"]["properties"]["queryParams"];
        assert_eq!(query["properties"]["limit"], json!({"type": "integer", "minimum": 1, "maximum": 1000}));
        assert_eq!((query["properties"].get("cursor").is_some(), query.get("required")), (true, None));
        for (method, path) in [("PUT", "/v1/counters"), ("GET", "/v1/none"), ("HEAD", "/v1/counters")] {
            assert_eq!(bazaar(&document, method, path), None);
        }
    }

    #[test]
    fn a_large_extension_loses_its_answer_then_its_schema() {
        let made = |properties: usize, text: usize, answer: usize| {
            let wide =
                |count: usize| (0..count).map(|at| (format!("m{at}"), json!({"$ref": "#/s/t"}))).collect::<Object>();
            let document = json!({
                "s": {"t": {"type": "object", "required": ["a"], "properties": {
                    "a": {"type": "array", "items": {"type": "integer", "minimum": 3}},
                    "again": {"$ref": "#/s/t"}, "b": {"type": "string", "maxLength": 9}
                }}},
                "paths": {"/a": {"post": {
                    "requestBody": {"content": {"application/json": {
                        "schema": {"type": "object", "properties": wide(properties)}, "example": {"text": "x".repeat(text)}
                    }}},
                    "responses": {"200": {"content": {"application/json": {
                        "schema": {"type": "object", "required": ["own"], "properties": {"own": {"$ref": "#/s/t"}}},
                        "example": {"answer": "y".repeat(answer)}
                    }}}}
                }}}
            });
            let extension = bazaar(&document, "POST", "/a")?;
            assert!(extension.to_string().len() <= BYTES_MAX);
            let input = &extension["schema"]["properties"]["input"]["properties"];
            assert_eq!((&input["type"]["const"], &input["method"]["enum"]), (&json!("http"), &json!(["POST"])));
            let body = &input["body"];
            let first = &body["properties"]["m0"];
            let levels = (body.get("properties").is_some(), first.get("properties").is_some());
            Some((extension["info"].get("output").is_some(), levels))
        };
        assert_eq!(made(1, 1, 1), Some((true, (true, true))));
        assert_eq!(made(1, 1, 3000), Some((false, (true, true))));
        assert_eq!(made(50, 1, 1), Some((false, (true, false))));
        assert_eq!(made(500, 1, 1), Some((false, (false, false))));
        assert_eq!(made(1, 3000, 1), None);
    }

    #[test]
    fn examples_are_made_from_schemas() {
        let made = |schema: Value| {
            Schema::new(
                &json!({"t": {"required": ["t"], "type": "object", "properties": {
            "t": {"$ref": "#/t"}}}, "loop": {"$ref": "#/loop"}}),
                &schema,
            )
            .example(2)
        };
        assert_eq!(made(json!({"type": "string"})), "text");
        assert_eq!(made(json!({"type": "string", "minLength": 9})), "texttexttext");
        assert_eq!(made(json!({"type": "number", "minimum": 2})), 2);
        assert_eq!(made(json!({"type": "boolean"})), false);
        assert_eq!(made(json!({"enum": ["a", "b"]})), "a");
        assert_eq!(made(json!({"type": "integer", "default": 7, "minimum": 1})), 7);
        assert_eq!(made(json!({"type": ["integer", "null"], "default": 7})), Value::Null);
        assert_eq!(made(json!({"oneOf": [{"type": "string"}, {"type": "null"}]})), Value::Null);
        assert_eq!(made(json!({"type": "array", "items": {"type": "integer"}})), json!([0]));
        assert_eq!(made(json!({"$ref": "#/t"})), json!({"t": {"t": {}}}));
        assert_eq!(made(json!({"$ref": "#/loop"})), Value::Null);
        let both = json!({"allOf": [{"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}},
            {"type": "object", "required": ["b"], "properties": {"b": {"type": "boolean"}, "c": {}}}]});
        assert_eq!(made(both), json!({"a": 0, "b": false}));
    }
}
