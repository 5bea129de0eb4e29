//! Transactions as callers send them: several calls, all or none.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::conditions::Guard;
use super::limits::TRANSACTION_CALLS_MAX;
use super::method::Operation;
use super::spec::Spec;
use crate::json::{Plain, read_list};

/// One call of a transaction.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct TransactedCall {
    /// The `operationId` of a write or of a fast read.
    #[schema(example = "increment")]
    pub method: String,
    /// The body of the call, with the path parameters as members. `{"$ref": "<as>.<member>"}` is replaced by a member of the
    /// result of an earlier call, as that result shows it. The token of a lock cannot be referred to. `{"$literal": value}` is replaced by `value`, which may then contain `$ref`.
    // As text, which needs much less memory than its values.
    #[serde(default, deserialize_with = "members")]
    #[schema(value_type = Object, required = false, example = json!({"name": "orders", "amount": 1}))]
    pub params: Box<RawValue>,
    /// Name of the result for `$ref` in later calls. The index of the call, from 0, is always a name too.
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "order")]
    pub alias: Option<String>,
    /// Lock that must be held when the call runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
}

/// Calls that run in one transaction: all or none.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Transaction {
    /// 1 to {{transaction_calls_max}} calls, run in order. Their total weight is at most {{transaction_weight_max}}: a simple call is 1, a batch 1 for each job,
    /// `purgeQueue` 100, `retryDead` its `limit` but at least 100, and a memory 1 for each 250 bytes of its
    /// content and for each 2 KiB of its metadata.
    #[serde(deserialize_with = "calls")]
    #[schema(min_items = 1, max_items = 50)]
    pub calls: Vec<TransactedCall>,
}

impl Operation for Transaction {
    /// Each call refuses U+0000 in its parameters, or removes it.
    const SPEC: Spec = Spec::write("transact").takes_nul();
}

/// The results of a transaction.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = TransactionResults)]
pub struct Results {
    /// The result of each call, in order. `null` for a call that alone would answer 204.
    #[schema(value_type = Vec<Value>, example = json!([{"name": "credits", "value": 37}, null]))]
    pub results: Vec<Box<RawValue>>,
}

fn calls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TransactedCall>, D::Error> {
    let count = format!("must be 1 to {TRANSACTION_CALLS_MAX} calls");
    let calls = read_list(deserializer, TRANSACTION_CALLS_MAX, &count, |_: &TransactedCall| true)?;
    match calls.is_empty() {
        true => Err(D::Error::custom(count)),
        false => Ok(calls),
    }
}

/// An object, or `null`. Refuses a member that occurs twice.
fn members<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<RawValue>, D::Error> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Map<String, Value>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(Map::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut members = Map::new();
            while let Some((name, Plain(value))) = access.next_entry::<String, Plain>()? {
                if members.contains_key(&name) {
                    return Err(A::Error::custom(format!("duplicate field `{name}`")));
                }
                members.insert(name, value);
            }
            Ok(members)
        }
    }

    let members = deserializer.deserialize_any(Members)?;
    to_raw_value(&members).map_err(D::Error::custom)
}
