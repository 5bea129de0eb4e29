//! The OpenAPI document: the descriptions of the routes, and the parts that all routes share.

#![expect(clippy::indexing_slicing, reason = "of a serde_json::Value: a missing member reads as null, or is inserted")]

mod operation_problems;
mod problem_schema;
mod schemas;
mod shared;
mod transacted;
mod version_3_0;

use actix_web::dev::ResourceDef;
use actix_web::http::Method as Verb;
use actix_web::http::header::EntityTag;
use serde_json::{Map, Value, json};
use url::Url;
use utoipa::OpenApi;

use operation_problems::example;
use problem_schema::{ProblemBody, ProblemCode, StoredVectors};

use crate::call::{Entry, Operation as _, Spec, Transaction, digest_of};
use crate::limits::Named;
use crate::page::{Cursor, Limit};
use crate::problem::{Code, InvalidField};
use crate::turn::Access;

/// The document, and the paths of the server.
pub struct Document {
    /// The document.
    pub v3_1: Rendering,
    /// The document in OpenAPI 3.0.3.
    pub v3_0: Rendering,
    /// Pattern of each path, and its HTTP methods for `Allow`.
    paths: Vec<(ResourceDef, String)>,
    /// HTTP method, pattern and description of each method.
    operations: Vec<(Verb, String, Spec)>,
}

/// The document in one version of OpenAPI.
pub struct Rendering {
    /// JSON.
    pub json: String,
    /// Changes with the document, for `ETag`. It is weak: a compressed answer has the same one.
    pub tag: EntityTag,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "payerbase",
        description = "A backend over HTTP with private data for each payer, a wallet address.\n\nA call needs a token: \
            a wallet signs in (`createChallenge`), or the operator runs `payerbase token create --payer <wallet address>` \
            (`payerbase dev` prints one for a demo payer). On a server with prices, a payment (x402, version 2) does instead: see `listPaidRoutes`. The caller sends a token as `Authorization: Bearer <token>`. On the rendered page, press \
            *Authorize* and paste it.\n\nEvery error response is a problem (`application/problem+json`, RFC 9457). \
            Names are 1 to 256 bytes of UTF-8 without control characters, percent-encoded in paths. Times are RFC \
            3339 in UTC with microseconds, from the database's clock. Amounts of money are digits as text, in the smallest unit of the \
            asset. An integer may be written as a float without a \
            fraction (`1.0`, `1e3`) below 2^53. Values and bounds of counters, and fences, may be strings of decimal digits in requests, \
            and are so in answers if the header `Payerbase-Integers` is `string`. For an optional member of a request, `null` means absent, unless its \
            description says that `null` clears the value. Send amounts beyond 2^53 in payloads and metadata as \
            strings: numbers there are 64-bit integers or doubles. The answer to a write is sent after the write is \
            durable.",
    ),
    tags(
        (name = "counters", description = "64-bit signed integers with optional bounds."),
        (name = "links", description = "Short URLs that redirect and count clicks."),
        (name = "locks", description = "Locks with a lease and a fencing token, on the database's clock."),
        (name = "queues",
            description = "Job queues with priorities, retries, leases and dead letters. Delivery is at least once."),
        (name = "memories", description = "Texts for an agent to remember, with full-text, vector and hybrid search."),
        (name = "sql", description = "A database of SQLite: tables of the payer's own, and the other primitives as tables."),
        (name = "transactions", description = "Several calls in one transaction: all of them happen, or none."),
        (name = "account", description = "Payer, tokens, grants, credit, payments, log, usage and limits of the caller."),
        (name = "operations", description = "Health, metrics and documentation of the server."),
    ),
    components(schemas(ProblemBody, ProblemCode, StoredVectors, InvalidField, Limit, Cursor)),
)]
struct Base;

/// The document without routes.
#[must_use]
pub fn base() -> utoipa::openapi::OpenApi {
    Base::openapi()
}

impl Document {
    /// Completes the document that utoipa collected from the routes. `methods` brings the scopes and problems. `server` is the
    /// base URL of the API; without it, the base is where the document is, also behind a path prefix.
    #[must_use]
    pub fn new(
        collected: &utoipa::openapi::OpenApi,
        methods: &[Entry],
        limits: &[Named],
        server: Option<&Url>,
    ) -> Self {
        let mut document = json!(collected);
        let server = server.map_or(".", |url| url.as_str().trim_end_matches('/'));
        document["servers"] = json!([{"url": server}]);
        document["components"]["securitySchemes"] = json!({
            "token": {
                "type": "http", "scheme": "bearer",
                "description": "API token `pb_live_<id>_<secret>_<checksum>`, from `verifyChallenge` or `payerbase token create`."
            },
            "payment": {
                "type": "apiKey", "in": "header", "name": "PAYMENT-SIGNATURE",
                "description": "Payment for the request, on servers with prices (x402, version 2): one of the offers in \
                    `PAYMENT-REQUIRED` of the answer 402, signed by a wallet. It needs no token."
            },
            "signIn": {
                "type": "apiKey", "in": "header", "name": "SIGN-IN-WITH-X",
                "description": "Sign-in of a wallet that has credit, for this request, once (`sign-in-with-x` of x402): the message of \
                    that extension in `PAYMENT-REQUIRED` of the answer 402, signed. It needs no token."
            }
        });
        document["security"] = json!([{"token": []}]);
        document["components"]["schemas"]["Problem"]["additionalProperties"] = true.into();
        schemas::complete(&mut document);
        let schemas = document["components"]["schemas"].clone();
        let (mut paths, mut operations) = (Vec::new(), Vec::new());
        if let Some(items) = document["paths"].as_object_mut() {
            for (path, item) in items.iter_mut() {
                let verbs = item.as_object().into_iter().flatten().map(|(verb, _)| match verb.as_str() {
                    "get" => "GET, HEAD".to_owned(),
                    verb => verb.to_ascii_uppercase(),
                });
                paths.push((ResourceDef::new(path.as_str()), verbs.collect::<Vec<_>>().join(", ")));
                for (verb, operation) in item.as_object_mut().into_iter().flatten() {
                    let spec = spec_of(operation, methods);
                    let verb_name = verb.to_ascii_uppercase().parse().ok();
                    operations.extend(verb_name.zip(spec).map(|(verb, spec)| (verb, path.clone(), spec)));
                    finish(verb, operation, methods);
                    relax_body(operation, &schemas);
                    name_example(operation);
                }
            }
            put_in_order(items, methods);
        }
        let text = document["paths"].to_string();
        let used = Code::ALL.iter().filter(|code| text.contains(&format!("/examples/{}\"", code.slug())));
        document["components"]["examples"] = used.map(|code| (code.slug(), json!({"value": example(*code)}))).collect();
        transacted::declare_calls(&mut document, methods);
        shared::share(&mut document);
        let v3_1 = Rendering::of(&document, limits);
        version_3_0::rewrite(&mut document);
        Self { v3_1, v3_0: Rendering::of(&document, limits), paths, operations }
    }

    /// HTTP method, pattern of the path and description of each method.
    #[must_use]
    pub fn operations(&self) -> &[(Verb, String, Spec)] {
        &self.operations
    }

    /// HTTP methods of `path`, as in the header `Allow`. `None` if the path does not exist.
    #[must_use]
    pub fn allow(&self, path: &str) -> Option<&str> {
        if path == "/" || path == "/docs" || path.starts_with("/docs/") {
            return Some("GET, HEAD");
        }
        let known = self.paths.iter().find(|(pattern, _)| pattern.is_match(path));
        known.map(|(_, methods)| methods.as_str())
    }
}

impl Rendering {
    fn of(document: &Value, limits: &[Named]) -> Self {
        let json = Named::fill(limits, &format!("{document:#}\n"), |limit| &limit.words);
        let digest = digest_of([json.as_bytes()]);
        let tag = EntityTag::new_weak(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect());
        Self { json, tag }
    }
}

/// The HTTP method and the description of every operation.
fn operations_mut(document: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    let items = document["paths"].as_object_mut().into_iter().flatten();
    items.flat_map(|(_, item)| item.as_object_mut().into_iter().flatten())
}

/// The description of an operation. `None` if it is no method.
fn spec_of(operation: &Value, methods: &[Entry]) -> Option<Spec> {
    let name = operation["operationId"].as_str()?;
    let methods = methods.iter().map(|method| method.spec).chain([Transaction::SPEC]);
    methods.into_iter().find(|spec| spec.name == name)
}

/// Sorts the operations of the methods in the order of `methods`, in which their examples follow each other. A path has its
/// place from its first operation.
fn put_in_order(items: &mut Map<String, Value>, methods: &[Entry]) {
    let place = |operation: &Value| {
        let name = operation["operationId"].as_str().unwrap_or_default();
        let place = methods.iter().position(|method| name == method.spec.name);
        place.unwrap_or(methods.len() + usize::from(name != Transaction::SPEC.name))
    };
    for item in items.values_mut().filter_map(Value::as_object_mut) {
        sort_by(item, place);
    }
    sort_by(items, |item| item.as_object().and_then(|item| item.values().map(place).min()));
}

fn sort_by<K: Ord>(members: &mut Map<String, Value>, place: impl Fn(&Value) -> K) {
    let mut sorted: Vec<(String, Value)> = std::mem::take(members).into_iter().collect();
    sorted.sort_by_key(|(_, value)| place(value));
    members.extend(sorted);
}

/// Gives the name in the path an example that fits its kind. Slugs and ids of jobs have none: the server makes them.
fn name_example(operation: &mut Value) {
    const EXAMPLES: &[(&str, &str, &str)] = &[
        ("counters", "name", "visits"),
        ("locks", "name", "nightly-report"),
        ("queues", "queue", "mails"),
        ("memories", "id", "user-42-drink"),
    ];
    let tag = operation["tags"][0].clone();
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let example = EXAMPLES.iter().find(|(of, name, _)| tag == *of && parameter["name"] == *name);
        if let Some((_, _, example)) = example.filter(|_| parameter["in"] == "path") {
            parameter["example"] = (*example).into();
        }
    }
}

/// Makes a body of JSON optional if it has no required members.
fn relax_body(operation: &mut Value, schemas: &Value) {
    let Some(body) = operation.get_mut("requestBody") else { return };
    let Some(json) = body["content"].get("application/json") else { return };
    let reference = json["schema"]["$ref"].as_str().unwrap_or_default();
    let schema = &schemas[reference.rsplit('/').next().unwrap_or_default()];
    body["required"] = schema.get("required").is_some().into();
}

/// Adds the scope, the problems and the headers of an operation.
fn finish(verb: &str, operation: &mut Value, methods: &[Entry]) {
    let name = operation["operationId"].as_str().unwrap_or_default().to_owned();
    if operation_problems::add_to_public(operation, &name) {
        return;
    }
    if name == Transaction::SPEC.name {
        operation["x-price-tier"] = "sum".into();
        operation_problems::add_to_transaction(operation, methods);
        add_payment(operation, false);
        add_act_for(operation);
        add_headers(operation, false);
    } else if let Some(method) = methods.iter().find(|method| method.spec.name == name) {
        if let Some(scope) = method.spec.scope {
            operation["x-scope"] = scope.as_str().into();
            let description = operation["description"].as_str().map(|text| format!("{text}\n\n")).unwrap_or_default();
            operation["description"] = format!("{description}Needs the scope `{scope}`.").into();
        }
        operation["x-price-tier"] = method.spec.tier.as_str().into();
        operation_problems::add_to_method(operation, verb, &method.spec);
        if method.spec.costs() {
            add_payment(operation, method.spec.tops_up);
        }
        if method.spec.scope.is_some_and(|scope| !scope.is_of_account()) {
            add_act_for(operation);
        }
        if method.spec.access == Access::Write {
            add_headers(operation, method.spec.shows_secret_once);
        }
    }
    if HAS_WIDE_INTEGERS.iter().any(|tag| operation["tags"][0] == *tag || operation["operationId"] == *tag) {
        add_integers(operation);
    }
}

/// Operations whose answers have values of counters, or fences: their tags, or their names.
const HAS_WIDE_INTEGERS: &[&str] = &["counters", "locks", "transactions", "exportPayer"];

/// Adds the header of a client whose numbers have less than 64 bits.
fn add_integers(operation: &mut Value) {
    add_parameters(
        operation,
        vec![json!({
            "name": "Payerbase-Integers", "in": "header",
            "description": "`string`: the answer has values and bounds of counters, and fences, as strings of decimal \
                digits, also in problems: `\"value\": \"9007199254740993\"`. A JavaScript number is exact only up to 2^53. \
                The schemas describe the answer without this header. Requests may have such strings in any case.",
            "schema": {"type": "string", "enum": ["number", "string"], "default": "number"},
        })],
    );
}

/// Adds what a caller needs to know who pays for the operation. Credit is only paid, and not spent.
fn add_payment(operation: &mut Value, tops_up: bool) {
    operation["security"] = match tops_up {
        true => json!([{"token": []}, {"payment": []}]),
        false => json!([{"token": []}, {"payment": []}, {"signIn": []}]),
    };
    let response = json!({
        "description": "What became of the payment of the request: SettlementResponse of x402 in base64.",
        "schema": {"type": "string"},
    });
    for (status, answer) in operation["responses"].as_object_mut().into_iter().flatten() {
        if status.starts_with('2') || status == "402" {
            answer["headers"]["PAYMENT-RESPONSE"] = response.clone();
        }
        if status == "402" {
            answer["headers"]["PAYMENT-REQUIRED"] = json!({
                "description": "Offers to pay for the request: PaymentRequired of x402 in base64.",
                "schema": {"type": "string"},
            });
        }
    }
}

/// Adds the header of a caller who acts for another payer.
fn add_act_for(operation: &mut Value) {
    add_parameters(
        operation,
        vec![json!({
            "name": "Payerbase-Act-For", "in": "header",
            "description": "Address of another payer, who has granted the call to the caller (`createGrant`). The call runs \
                on the data of that payer.",
            "schema": {"type": "string"},
        })],
    );
}

fn add_parameters(operation: &mut Value, more: Vec<Value>) {
    match operation["parameters"].as_array_mut() {
        Some(parameters) => parameters.extend(more),
        None => operation["parameters"] = more.into(),
    }
}

/// Adds the headers of every write: those of the request, and `Idempotent-Replay` in its success responses. A write that shows a
/// secret once takes no idempotency key.
fn add_headers(operation: &mut Value, shows_secret_once: bool) {
    let mut headers = vec![
        json!({
            "name": "Idempotency-Key", "in": "header",
            "description": "Key that makes the write safe to retry, 8 to 128 characters of printable ASCII. For 24 \
                hours, the same request with the same key does not run again: it gets the first answer, with the \
                header `Idempotent-Replay: true`. Another request with the same key is `idempotency-mismatch`. \
                Problems and pops without a job are not kept: a retry runs again.",
            "schema": {"type": "string", "minLength": 8, "maxLength": 128, "pattern": "^[ -~]+$"},
        }),
        json!({
            "name": "Payerbase-Guard", "in": "header",
            "description": "Percent-encoded name of a lock, and the fence of its lease. The write runs only while \
                this lock is held with this fence; otherwise it fails with `stale-fence`. The lock is checked in the \
                same transaction as the write. For example: `nightly%20report; fence=12`.",
            "schema": {"type": "string"},
        }),
    ];
    if shows_secret_once {
        headers.remove(0);
    }
    add_parameters(operation, headers);
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        if status.starts_with('2') && !shows_secret_once {
            response["headers"]["Idempotent-Replay"] = json!({
                "description": "`true` if this is the answer to an earlier request with the same `Idempotency-Key`.",
                "schema": {"type": "string"},
            });
        }
    }
}
