//! The record of a payment, in the database of its payer. Every change of it is a turn.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::json::read_members;
use crate::payer::Payer;
use crate::problem::{Code, Problem};
use crate::telemetry::because;
use crate::turn::{Access, Batching, Command, Origin, Turns};

/// What became of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = PaymentState)]
pub enum State {
    /// It is recorded, and was not sent to its network: its request may be sent again.
    Received,
    /// It is being settled.
    Settling,
    /// It was sent, and nobody knows yet whether the money has arrived. Its network will say.
    Unknown,
    /// Its network has taken it, and has not executed it yet. On Stacks, that may take a minute.
    SettledUnconfirmed,
    /// The money has arrived, and is credit.
    Settled,
    /// No money has moved.
    Rejected,
}

impl State {
    pub(super) const ALL: [Self; 6] =
        [Self::Received, Self::Settling, Self::Unknown, Self::SettledUnconfirmed, Self::Settled, Self::Rejected];

    /// Whether its request waits for the outcome.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Settling | Self::Unknown | Self::SettledUnconfirmed)
    }

    /// Its name in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Settling => "settling",
            Self::Unknown => "unknown",
            Self::Settled => "settled",
            Self::SettledUnconfirmed => "settled-unconfirmed",
            Self::Rejected => "rejected",
        }
    }
}

/// Why a payment was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = PaymentReason)]
pub enum Reason {
    /// The payer had too little of the asset.
    InsufficientFunds,
    /// It was no longer valid, or not yet.
    Expired,
    /// The facilitator and this server are configured for different payments.
    FacilitatorMismatch,
    /// The network would not execute it.
    Invalid,
    /// The payer has canceled it.
    Canceled,
}

/// A payment as a server sees it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    pub id: Uuid,
    pub state: State,
    /// Whether this server has the lease.
    pub is_yours: bool,
    pub transaction: Option<String>,
    pub reason: Option<Reason>,
    /// How often its request was sent again.
    pub repeats: u32,
    /// What the server with the lease needs to know.
    pub work: Option<Work>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Work {
    pub asset: String,
    pub amount: i64,
    pub pay_to: Payer,
    pub nonce: String,
    pub max_timeout_s: u64,
    pub transaction: Option<String>,
    pub payload: String,
    pub valid_before: Option<DateTime<Utc>>,
    pub from_block: Option<u64>,
    pub tries: u32,
}

/// How the work on a payment ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub state: State,
    pub transaction: Option<String>,
    pub reason: Option<Reason>,
    /// When the sweeper looks at it again. `None`: never.
    pub retry: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Ok(Record),
    Empty(()),
    Problem(#[serde(deserialize_with = "read_members")] Map<String, Value>),
}

/// The methods of this room, which only it calls.
pub(crate) const METHODS: [&str; 4] = [RECEIVE, TAKE, FINISH, USE_SIGN_IN];
const RECEIVE: &str = "receivePayment";
const TAKE: &str = "takePayment";
const FINISH: &str = "finishPayment";
pub(super) const USE_SIGN_IN: &str = "useSignIn";

/// The records of all payers.
pub(super) struct Records(pub Arc<Turns>);

impl Records {
    /// Records a payment, or finds it.
    ///
    /// # Errors
    /// `payment-used`, and those of the lanes.
    pub async fn receive(&self, payer: &Payer, params: Value) -> Result<Record, Problem> {
        self.call(payer, RECEIVE, params).await?.ok_or_else(|| Problem::new(Code::Internal))
    }

    /// Takes over the work on a payment that is due. `None`: there is none. Without an id, the first one that is due.
    pub async fn take(&self, payer: &Payer, id: Option<Uuid>, lease: Uuid) -> Result<Option<Record>, Problem> {
        self.call(payer, TAKE, json!({"id": id, "lease": lease})).await
    }

    /// Ends the work on a payment.
    pub async fn finish(&self, payer: &Payer, id: Uuid, lease: Uuid, ending: &Ending) -> Result<Record, Problem> {
        let Ending { state, transaction, reason, retry } = ending;
        let params = json!({
            "id": id, "lease": lease, "state": state, "transaction": transaction, "reason": reason,
            "retryMs": retry.map(|retry| u64::try_from(retry.as_millis()).unwrap_or(u64::MAX)), "entry": Uuid::now_v7(),
        });
        self.call(payer, FINISH, params).await?.ok_or_else(|| Problem::new(Code::Internal))
    }

    async fn call(&self, payer: &Payer, method: &'static str, params: Value) -> Result<Option<Record>, Problem> {
        match self.dispatch(payer, method, params, None).await? {
            Outcome::Ok(record) => Ok(Some(record)),
            Outcome::Empty(()) => Ok(None),
            Outcome::Problem(members) => Err(Problem::from_sql(members)),
        }
    }

    /// Runs a method of this room, and reads its result.
    pub(super) async fn dispatch<T: DeserializeOwned>(
        &self,
        payer: &Payer,
        method: &'static str,
        params: Value,
        conditions: Option<String>,
    ) -> Result<T, Problem> {
        let command = Command {
            method,
            access: Access::Write,
            batching: Batching::Batched,
            params: params.to_string(),
            conditions,
            vector: None,
            weight: 1,
            origin: Origin::Payer,
            price: None,
        };
        let result = self.0.dispatch(payer.clone(), command).await.map_err(Problem::from)?;
        serde_json::from_str(&result.json).map_err(|error| {
            because(format!("{method}: its types in Rust and in SQL differ: {error}"));
            Problem::new(Code::Internal)
        })
    }
}
