//! What operators do with credit, as the role that migrates.

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Postgres, Row as _, Transaction};
use uuid::Uuid;

use crate::payer::Payer;
use crate::x402::Asset;

/// What has gone into an account of the ledger.
#[derive(Debug, PartialEq, Eq)]
pub struct Account {
    /// The asset, `<network>/<id>`.
    pub asset: String,
    /// Name of the account.
    pub name: String,
    /// The amount, in the smallest unit of the asset; negative if more has gone out.
    pub amount: String,
}

/// A payer whose ledger and credit differ.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// The payer.
    pub payer: String,
    /// The asset, `<network>/<id>`.
    pub asset: String,
    /// What was booked, as the credit says. `None`: there is none.
    pub posted: Option<String>,
    /// The sum of the ledger. `None`: it has no entry.
    pub in_ledger: Option<String>,
}

/// The name of an asset in the database.
pub(crate) fn asset_name(asset: &Asset) -> String {
    format!("{}/{asset}", asset.network())
}

/// Begins a turn of a payer, under its lock.
pub(crate) async fn as_payer<'a>(
    admin: &'a mut PgConnection,
    payer: &Payer,
) -> sqlx::Result<Transaction<'a, Postgres>> {
    let mut transaction = admin.begin().await?;
    sqlx::query("select set_config('payerbase.payer', $1, true), pg_advisory_xact_lock(tenant.payer_lock($1))")
        .bind(payer.as_str())
        .execute(&mut *transaction)
        .await?;
    Ok(transaction)
}

/// What became of a gift.
#[derive(Debug, PartialEq, Eq)]
pub enum Gift {
    /// It was given now.
    Given,
    /// The payer has a gift with this reference already.
    Earlier {
        /// The asset, `<network>/<id>`.
        asset: String,
        /// Its amount, in the smallest unit.
        amount: i64,
    },
}

/// Gives a payer credit, once for each `reference`.
///
/// # Errors
/// Those of the database.
pub async fn give(
    admin: &mut PgConnection,
    payer: &Payer,
    asset: &Asset,
    amount: i64,
    reference: &str,
) -> sqlx::Result<Gift> {
    let mut transaction = as_payer(admin, payer).await?;
    let is_given: bool = sqlx::query_scalar("select rpc.add_credit($1, $2::uuid, $3, $4, 'operator', $5)")
        .bind(payer.as_str())
        .bind(Uuid::now_v7().to_string())
        .bind(asset_name(asset))
        .bind(amount)
        .bind(reference)
        .fetch_one(&mut *transaction)
        .await?;
    let gift = match is_given {
        true => Gift::Given,
        false => {
            let find = "select asset, amount from tenant.ledger where payer = $1 and reference = $2";
            let find = sqlx::query_as(find).bind(payer.as_str()).bind(reference);
            let (asset, amount) = find.fetch_one(&mut *transaction).await?;
            Gift::Earlier { asset, amount }
        }
    };
    transaction.commit().await?;
    Ok(gift)
}

/// The accounts of the ledger. The amounts of each asset sum up to zero.
///
/// # Errors
/// Those of the database.
pub async fn accounts(admin: &mut PgConnection) -> sqlx::Result<Vec<Account>> {
    let rows = sqlx::query("select asset, account, amount::text from sweep.ledger_accounts()").fetch_all(admin).await?;
    let account = |row: &sqlx::postgres::PgRow| {
        Ok(Account { asset: row.try_get(0)?, name: row.try_get(1)?, amount: row.try_get(2)? })
    };
    rows.iter().map(account).collect()
}

/// The faults of the ledger: none, unless there is a bug or somebody changed the tables.
///
/// # Errors
/// Those of the database.
pub async fn faults(admin: &mut PgConnection) -> sqlx::Result<Vec<Fault>> {
    let find = "select payer, asset, posted::text, in_ledger::text from sweep.ledger_faults()";
    let rows = sqlx::query(find).fetch_all(admin).await?;
    let fault = |row: &sqlx::postgres::PgRow| {
        let (payer, asset) = (row.try_get(0)?, row.try_get(1)?);
        Ok(Fault { payer, asset, posted: row.try_get(2)?, in_ledger: row.try_get(3)? })
    };
    rows.iter().map(fault).collect()
}
