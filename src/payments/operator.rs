//! What operators do with payments, as the role that migrates.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::pay::as_payer;
use crate::payer::Payer;

/// A payment, as its payer sees it, in JSON. `None` if the payer has no such payment.
///
/// # Errors
/// Those of the database.
pub async fn show(admin: &mut PgConnection, payer: &Payer, id: Uuid) -> sqlx::Result<Option<String>> {
    let mut transaction = as_payer(admin, payer).await?;
    let find = "select jsonb_pretty((rpc.get_payment($1, jsonb_build_object('id', $2::text))->'ok')::jsonb)";
    let found = sqlx::query_scalar(find).bind(payer.as_str()).bind(id.to_string()).fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(found)
}

/// Makes the work on a payment due now. Answers whether there is any.
///
/// # Errors
/// Those of the database.
pub async fn retry(admin: &mut PgConnection, payer: &Payer, id: Uuid) -> sqlx::Result<bool> {
    let mut transaction = as_payer(admin, payer).await?;
    let is_due = sqlx::query_scalar("select rpc.retry_payment($1, $2::uuid)")
        .bind(payer.as_str())
        .bind(id.to_string())
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(is_due)
}
