//! Sign-ins for one request: each is used once.

use rand::RngExt as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::record::{Records, USE_SIGN_IN};
use super::service::Payments;
use crate::auth::{Proof, SignedRequest};
use crate::json::read_members;
use crate::problem::{Code, Problem};

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Ok(()),
    Problem(#[serde(deserialize_with = "read_members")] Map<String, Value>),
}

impl Payments {
    /// Uses a sign-in. `None` if it was used before, at any server.
    ///
    /// # Errors
    /// Those of the lanes.
    pub async fn use_sign_in(&self, signed: SignedRequest) -> Result<Option<Proof>, Problem> {
        match self.records().use_sign_in(&signed).await {
            Ok(()) => Ok(Some(Proof::of_signature(signed.payer))),
            Err(problem) if problem.code() == Code::IdempotencyMismatch => Ok(None),
            Err(problem) => Err(problem),
        }
    }
}

impl Records {
    /// Keeps the nonce of a sign-in as an idempotency key, each time with another request.
    async fn use_sign_in(&self, signed: &SignedRequest) -> Result<(), Problem> {
        let key = hex::encode(Sha256::digest(format!("sign-in {}", signed.nonce)));
        let request: [u8; 32] = rand::rng().random();
        let conditions = json!({"key": key, "request": hex::encode(request)}).to_string();
        match self.dispatch(&signed.payer, USE_SIGN_IN, json!({}), Some(conditions)).await? {
            Outcome::Ok(()) => Ok(()),
            Outcome::Problem(members) => Err(Problem::from_sql(members)),
        }
    }
}
