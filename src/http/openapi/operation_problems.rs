//! The problems of each operation, in the OpenAPI document.

#![expect(clippy::indexing_slicing, reason = "of a serde_json::Value: a missing member reads as null, or is inserted")]

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::call::{BODY_BYTES_MAX, Entry, Operation as _, Spec, Transaction};
use crate::problem::{Code, Problem};
use crate::turn::Access;

/// Problems of the operations that are not methods.
const PUBLIC: &[(&str, &[Code])] = &[
    ("readyz", &[Code::DatabaseUnavailable, Code::ServerStopping]),
    (
        "followLink",
        &[
            Code::NotFound,
            Code::RateLimited,
            Code::LinkGone,
            Code::Internal,
            Code::Overloaded,
            Code::PayerBusy,
            Code::DatabaseUnavailable,
            Code::DatabaseExhausted,
            Code::OutcomeUnknown,
        ],
    ),
    ("linkQr", &[Code::NotFound, Code::RateLimited]),
    ("createChallenge", &[Code::RateLimited]),
    ("verifyChallenge", &[Code::SignInFailed, Code::RateLimited]),
    ("openapi", &[Code::RateLimited]),
    ("openapi30", &[Code::RateLimited]),
    ("problems", &[Code::RateLimited]),
    ("listPaidRoutes", &[Code::RateLimited]),
];

/// Problems of such operations if they take a body.
const OF_PUBLIC_BODY: &[Code] = &[
    Code::InvalidJson,
    Code::InvalidValue,
    Code::InvalidText,
    Code::InvalidHeader,
    Code::RequestTimeout,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::Internal,
    Code::Overloaded,
    Code::DatabaseUnavailable,
    Code::DatabaseExhausted,
];

/// Problems of operations that need a scope.
const OF_SCOPE: &[Code] = &[Code::MissingScope, Code::TokenLimited, Code::AllowanceExceeded];

/// Problems of operations that cost something.
const OF_PRICE: &[Code] = &[
    Code::PaymentRequired,
    Code::PaymentNotOffered,
    Code::PaymentExpired,
    Code::PaymentInvalid,
    Code::InsufficientFunds,
    Code::PaymentMalformed,
    Code::PaymentUsed,
    Code::FacilitatorUnavailable,
    Code::FacilitatorMismatch,
    Code::PaymentUnknown,
];

/// Adds the problems of an operation that is no method. `false` if it is a method.
pub(super) fn add_to_public(operation: &mut Value, name: &str) -> bool {
    let known = PUBLIC.iter().find(|(public, _)| *public == name);
    if let Some((_, problems)) = known {
        let of_body = if operation.get("requestBody").is_some() { OF_PUBLIC_BODY } else { &[] };
        add_problems(operation, &[problems, of_body].concat());
    }
    known.is_some()
}

/// Adds the problems of a transaction: those of all methods.
pub(super) fn add_to_transaction(operation: &mut Value, methods: &[Entry]) {
    let mut problems = problems_of("post", &Transaction::SPEC);
    problems.extend(OF_SCOPE);
    problems.extend(OF_PRICE);
    problems.extend(methods.iter().flat_map(|method| method.spec.problems));
    add_problems(operation, &problems);
}

/// Adds the problems of a method.
pub(super) fn add_to_method(operation: &mut Value, verb: &str, spec: &Spec) {
    add_problems(operation, &problems_of(verb, spec));
}

/// The problems of a method: its own, and those that all methods share.
fn problems_of(verb: &str, spec: &Spec) -> Vec<Code> {
    let takes_body = matches!(verb, "post" | "put" | "patch");
    let of_form: &[Code] = match takes_body {
        true => &[
            Code::InvalidPath,
            Code::InvalidJson,
            Code::RequestTimeout,
            Code::PayloadTooLarge,
            Code::UnsupportedMediaType,
        ],
        false => &[Code::InvalidPath, Code::InvalidQuery],
    };
    let of_write: &[Code] = match spec.access {
        Access::Write => &[Code::OutcomeUnknown, Code::PayerBusy, Code::IdempotencyMismatch, Code::StaleFence],
        Access::Read => &[],
    };
    let of_scope: &[Code] = if spec.scope.is_some() { OF_SCOPE } else { &[] };
    let of_all = [
        Code::TokenMissing,
        Code::TokenMalformed,
        Code::TokenInvalid,
        Code::TokenExpired,
        Code::TokenRevoked,
        Code::NotGranted,
        Code::RateLimited,
        Code::InvalidHeader,
        Code::InvalidValue,
        Code::InvalidText,
        Code::Internal,
        Code::Overloaded,
        Code::DatabaseUnavailable,
        Code::DatabaseExhausted,
    ];
    let of_price: &[Code] = if spec.costs() { OF_PRICE } else { &[] };
    [&of_all, of_form, of_write, of_scope, of_price, spec.problems].concat()
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
        let reference = |slug: &str| json!({"$ref": format!("#/components/examples/{slug}")});
        let examples: Map<String, Value> =
            codes.iter().map(|code| (code.slug().to_owned(), reference(code.slug()))).collect();
        let mut response = json!({
            "description": lines.join("\n\n"),
            "content": {"application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples,
            }},
        });
        if codes.iter().any(|code| code.retry_after_s().is_some()) {
            response["headers"] = json!({"Retry-After": {
                "description": "Time to wait before the next attempt, in seconds.", "schema": {"type": "integer"},
            }});
        }
        if codes.contains(&Code::RateLimited) {
            add_rate_headers(&mut response);
        }
        operation["responses"][status.to_string()] = response;
    }
}

/// Adds the headers of an answer whose request was counted.
fn add_rate_headers(response: &mut Value) {
    let of_draft = "(draft-ietf-httpapi-ratelimit-headers-11)";
    response["headers"]["RateLimit-Policy"] = json!({
        "description": format!("The limit that counted the request: `\"payer\";q=<requests>;w=<seconds>` {of_draft}."),
        "schema": {"type": "string"},
    });
    response["headers"]["RateLimit"] = json!({
        "description": format!("What is left of the limit: `\"payer\";r=<requests>;t=<seconds until more>` {of_draft}."),
        "schema": {"type": "string"},
    });
}

/// The example of a problem with this code.
pub(super) fn example(code: Code) -> Value {
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
