//! The OpenAPI document: what the routes say of themselves, and what all of them share, added once.

#![expect(clippy::indexing_slicing, reason = "of a serde_json::Value: what is missing is null, or made")]

use std::collections::BTreeMap;

use actix_web::dev::ResourceDef;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::call::{BODY_BYTES_MAX, Entry, Operation as _, Spec, Transaction};
use crate::page::{Cursor, Limit};
use crate::problem::{Code, InvalidField, Problem};
use crate::turn::Access;

/// The problems of operations that are no methods.
const PUBLIC: &[(&str, &[Code])] = &[
    ("readyz", &[Code::DatabaseUnavailable]),
    (
        "followLink",
        &[
            Code::NotFound,
            Code::LinkGone,
            Code::Internal,
            Code::Overloaded,
            Code::PayerBusy,
            Code::DatabaseUnavailable,
            Code::OutcomeUnknown,
        ],
    ),
    ("linkQr", &[Code::NotFound]),
];

/// The document, and what the server derives from it.
pub struct Document {
    /// The JSON, as it is served.
    pub json: String,
    /// Every path, with the methods that it takes.
    paths: Vec<(ResourceDef, String)>,
}

/// What the answer to a failed call looks like (RFC 9457). The page `/problems` says what each `code` means.
#[derive(utoipa::ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "it is only described: Problem writes it")]
struct ProblemBody {
    /// A reference to the description of this kind of problem.
    #[schema(rename = "type", example = "/problems#invalid-value")]
    r#type: String,
    /// One sentence that is the same for every occurrence.
    title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// One sentence about this occurrence.
    detail: String,
    /// The id of the request.
    instance: String,
    /// The stable slug: branch on it.
    #[schema(example = "invalid-value")]
    code: String,
    /// The invalid values, if that is what it is.
    errors: Option<Vec<InvalidField>>,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "payerbase",
        description = "Every wallet that pays gets a private, stateful backend over HTTP.\n\nEvery answer that is not a \
            success is a problem (`application/problem+json`, RFC 9457). Names are 1 to 256 bytes of UTF-8 without control \
            characters, percent-encoded in paths. Times are RFC 3339 in UTC with microseconds, from the database's clock. A \
            write is answered when it is durable.",
    ),
    tags(
        (name = "counters", description = "64-bit signed integers with optional bounds."),
        (name = "links", description = "Short URLs that count who follows them."),
        (name = "locks", description = "Leases with a fencing token, on the database's clock."),
        (name = "queues", description = "Jobs with priority, retries, leases and dead letters; each is run at least once."),
        (name = "memories", description = "What an agent should remember, found again by words and by meaning."),
        (name = "transactions", description = "Many calls as one: all of them happen, or none."),
        (name = "account", description = "Who is calling."),
        (name = "operations", description = "For those who run payerbase."),
    ),
    components(schemas(ProblemBody, InvalidField, Limit, Cursor)),
)]
struct Base;

/// The part of the document that no route brings.
#[must_use]
pub fn base() -> utoipa::openapi::OpenApi {
    Base::openapi()
}

impl Document {
    /// Finishes what the routes said of themselves.
    #[must_use]
    pub fn new(collected: &utoipa::openapi::OpenApi, methods: &[Entry]) -> Self {
        let mut document = json!(collected);
        document["components"]["securitySchemes"] = json!({"token": {
            "type": "http", "scheme": "bearer", "bearerFormat": "pb_live_<id>_<secret>_<checksum>",
            "description": "An API token: `payerbase token create` makes one."
        }});
        document["security"] = json!([{"token": []}]);
        let schemas = document["components"]["schemas"].clone();
        let mut paths = Vec::new();
        if let Some(items) = document["paths"].as_object_mut() {
            for (path, item) in items.iter_mut() {
                let verbs =
                    item.as_object().map(|item| item.keys().map(|verb| verb.to_ascii_uppercase()).collect::<Vec<_>>());
                paths.push((ResourceDef::new(path.as_str()), verbs.unwrap_or_default().join(", ")));
                for (verb, operation) in item.as_object_mut().into_iter().flatten() {
                    finish(verb, operation, methods);
                    relax_body(operation, &schemas);
                }
            }
        }
        let json = format!("{document:#}\n");
        Self { json, paths }
    }

    /// The methods that `path` takes, as the header `Allow` lists them; nothing for a path that does not exist.
    #[must_use]
    pub fn allow(&self, path: &str) -> Option<&str> {
        let known = self.paths.iter().find(|(pattern, _)| pattern.is_match(path));
        known.map(|(_, methods)| methods.as_str())
    }
}

/// A body of which no member is required may be absent.
fn relax_body(operation: &mut Value, schemas: &Value) {
    let Some(body) = operation.get_mut("requestBody") else { return };
    let reference = body["content"]["application/json"]["schema"]["$ref"].as_str().unwrap_or_default();
    let schema = &schemas[reference.rsplit('/').next().unwrap_or_default()];
    body["required"] = schema.get("required").is_some().into();
}

/// Adds the problems that an operation can answer.
fn finish(verb: &str, operation: &mut Value, methods: &[Entry]) {
    let name = operation["operationId"].as_str().unwrap_or_default();
    let public = PUBLIC.iter().find(|(public, _)| *public == name);
    if let Some((_, problems)) = public {
        add_problems(operation, problems);
    } else if name == Transaction::SPEC.name {
        let mut problems = problems_of(verb, &Transaction::SPEC);
        problems.push(Code::MissingScope);
        problems.extend(methods.iter().flat_map(|method| method.spec.problems));
        add_problems(operation, &problems);
        add_headers(operation);
    } else if let Some(method) = methods.iter().find(|method| method.spec.name == name) {
        if let Some(scope) = method.spec.scope {
            operation["x-scope"] = scope.as_str().into();
        }
        add_problems(operation, &problems_of(verb, &method.spec));
        if method.spec.access == Access::Write {
            add_headers(operation);
        }
    }
}

/// What every write takes and may answer.
fn add_headers(operation: &mut Value) {
    let headers = [
        json!({
            "name": "Idempotency-Key", "in": "header",
            "description": "Makes the write run once, whatever is sent again: for 24 hours the same request with the same key \
                is answered as the first one was, with the header `Idempotent-Replay: true`.",
            "schema": {"type": "string", "minLength": 8, "maxLength": 128, "pattern": "^[ -~]+$"},
        }),
        json!({
            "name": "Payerbase-Guard", "in": "header",
            "description": "Lets the write run only while this lock is held with this fence: the percent-encoded name of a \
                lock and the fence of its lease. Checked in the same turn.",
            "schema": {"type": "string"}, "example": "nightly%20report; fence=12",
        }),
    ];
    match operation["parameters"].as_array_mut() {
        Some(parameters) => parameters.extend(headers),
        None => operation["parameters"] = headers.into_iter().collect(),
    }
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        if status.starts_with('2') {
            response["headers"]["Idempotent-Replay"] = json!({
                "description": "`true` on the answer to an earlier request with the same key.", "schema": {"type": "string"},
            });
        }
    }
}

/// The problems that a method can meet: its own, and those of the way to it.
fn problems_of(verb: &str, spec: &Spec) -> Vec<Code> {
    let takes_body = matches!(verb, "post" | "put" | "patch");
    let form: &[Code] = match takes_body {
        true => &[
            Code::InvalidPath,
            Code::InvalidJson,
            Code::RequestTimeout,
            Code::PayloadTooLarge,
            Code::UnsupportedMediaType,
        ],
        false => &[Code::InvalidPath, Code::InvalidQuery],
    };
    let written: &[Code] = match spec.access {
        Access::Write => &[Code::OutcomeUnknown, Code::PayerBusy, Code::IdempotencyMismatch, Code::StaleFence],
        Access::Read => &[],
    };
    let scope: &[Code] = if spec.scope.is_some() { &[Code::MissingScope] } else { &[] };
    let all = [
        Code::TokenMissing,
        Code::TokenMalformed,
        Code::TokenInvalid,
        Code::TokenExpired,
        Code::TokenRevoked,
        Code::InvalidHeader,
        Code::InvalidValue,
        Code::InvalidText,
        Code::Internal,
        Code::Overloaded,
        Code::DatabaseUnavailable,
    ];
    [&all, form, written, scope, spec.problems].concat()
}

fn add_problems(operation: &mut Value, codes: &[Code]) {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        let codes = by_status.entry(code.status().as_u16()).or_default();
        if !codes.contains(code) {
            codes.push(*code);
        }
    }
    for (status, codes) in by_status {
        let lines: Vec<String> = codes.iter().map(|code| format!("`{}`: {}", code.slug(), code.title())).collect();
        let examples: Map<String, Value> =
            codes.iter().map(|code| (code.slug().to_owned(), json!({"value": example(*code)}))).collect();
        let mut response = json!({
            "description": lines.join("\n\n"),
            "content": {"application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples,
            }},
        });
        if codes.iter().any(|code| code.retry_after_s().is_some()) {
            response["headers"] = json!({"Retry-After": {
                "description": "After how many seconds to try again.", "schema": {"type": "integer"},
            }});
        }
        operation["responses"][status.to_string()] = response;
    }
}

/// The body of a problem of this code as the documentation shows it.
fn example(code: Code) -> Value {
    let mut example = Problem::new(code);
    if code == Code::InvalidValue {
        example = example.field("/name", "must be 1 to 256 bytes of UTF-8");
    } else if code == Code::MissingScope {
        example = example.member("scope", "counters:write");
    } else if code == Code::PayloadTooLarge {
        example = example.member("limitBytes", BODY_BYTES_MAX);
    } else if code == Code::CounterOutOfBounds {
        example = example.member("value", 3).member("min", 0).member("max", Value::Null);
    } else if code == Code::CounterOverflow {
        example = example.member("value", i64::MAX);
    }
    Value::Object(example.body(Some("019ab1c2-6f3e-7d10-9c55-2f4d8e1b7a90".to_owned())))
}
