//! Methods of credit, with their parameters.

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use uuid::Uuid;

use super::types::{Credit, LedgerEntry, Payment};
use crate::auth::Scope;
use crate::call::{Entry, Spec, method};
use crate::id::Id;
use crate::number::Bounded;
use crate::page::{Cursor, CursorOf, Limit, Page};
use crate::pay::Tier;
use crate::problem::Code;

/// All methods of credit.
pub const METHODS: &[Entry] = &[
    Entry::of::<GetCredit>(),
    Entry::of::<TopUp>(),
    Entry::of::<ListLedger>(),
    Entry::of::<ListPayments>(),
    Entry::of::<GetPayment>(),
];

/// Gets the credit of the payer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct GetCredit {}

method!(GetCredit => Credit, Spec::read("getCredit").scope(Scope::CreditRead).tier(Tier::Free));

/// Makes credit of the payment of the request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct TopUp {
    /// The amount.
    pub amount: CreditAmount,
}

method!(TopUp => Credit, Spec::write("topUp").tops_up().problems(&[Code::NotFound]));

/// Amount of credit, in the smallest unit of the asset.
pub type CreditAmount = Bounded<1, 9_000_000_000_000_000>;

/// Lists the payments of the payer, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[into_params(parameter_in = Query)]
pub struct ListPayments {
    /// Maximum number of payments in the page, 1 to 1,000. Default: 100.
    #[serde(default)]
    #[param(value_type = Option<Limit>)]
    pub limit: Limit,
    /// `nextCursor` of the previous page. Default: the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Cursor>)]
    pub cursor: Option<CursorOf<Uuid>>,
}

method!(ListPayments => Page<Payment>, Spec::slow_read("listPayments").scope(Scope::CreditRead).tier(Tier::Free));

/// Gets a payment.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct GetPayment {
    /// Id of the payment.
    pub id: Id,
}

method!(
    GetPayment => Payment,
    Spec::read("getPayment").scope(Scope::CreditRead).tier(Tier::Free).problems(&[Code::NotFound])
);

/// Lists the ledger of the payer.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[into_params(parameter_in = Query)]
pub struct ListLedger {
    /// Maximum number of entries in the page, 1 to 1,000. Default: 100.
    #[serde(default)]
    #[param(value_type = Option<Limit>)]
    pub limit: Limit,
    /// `nextCursor` of the previous page. Default: the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Cursor>)]
    pub cursor: Option<CursorOf<Uuid>>,
}

method!(ListLedger => Page<LedgerEntry>, Spec::slow_read("listLedger").scope(Scope::CreditRead).tier(Tier::Free));
