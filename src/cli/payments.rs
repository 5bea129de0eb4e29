//! `payerbase payments`.

use chrono::{DateTime, Utc};
use clap::Subcommand;
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions as _, Row as _};
use uuid::Uuid;

use super::token::{Target, admin};
use super::{Outcome, print};
use crate::config::Config;
use crate::db::check::Refusal;
use crate::db::migrate::require_installed;
use crate::payer::Payer;
use crate::payments;
use crate::time::Time;

/// Payments that `list` shows.
const LISTED_MAX: i32 = 1_000;

#[derive(Subcommand)]
pub(super) enum PaymentsCommand {
    /// List payments, newest first: those that are not final, or all of a payer.
    List {
        /// All payments of this payer.
        #[arg(long, value_name = "ADDRESS")]
        payer: Option<Payer>,
    },
    /// Show a payment, as JSON.
    Show {
        /// The payer of the payment.
        #[arg(long, value_name = "ADDRESS")]
        payer: Payer,
        /// Id of the payment.
        id: Uuid,
    },
    /// Ask the network now what became of a payment, instead of later.
    Retry {
        /// The payer of the payment.
        #[arg(long, value_name = "ADDRESS")]
        payer: Payer,
        /// Id of the payment.
        id: Uuid,
    },
}

pub(super) async fn payments(config: Config, target: Target, command: PaymentsCommand) -> Outcome {
    let mut admin = admin(&config, target)?.connect().await.map_err(Refusal::from)?;
    require_installed(&mut admin).await?;
    match command {
        PaymentsCommand::List { payer } => list(&mut admin, payer.as_ref()).await,
        PaymentsCommand::Show { payer, id } => {
            let payment = payments::show(&mut admin, &payer, id).await?;
            print(&format!("{}\n", payment.ok_or("the payer has no such payment")?))
        }
        PaymentsCommand::Retry { payer, id } => match payments::retry(&mut admin, &payer, id).await? {
            true => {
                tracing::info!(%id, "the next round of the sweeper asks the network");
                Ok(())
            }
            false => Err("the payer has no such payment, or it is final".into()),
        },
    }
}

async fn list(admin: &mut PgConnection, payer: Option<&Payer>) -> Outcome {
    let listed = sqlx::query("select * from sweep.list_payments($1, $2)").bind(payer.map(Payer::as_str));
    let mut table =
        format!("{:<36}  {:<42}  {:<19}  {:>20}  {:<27}  asset\n", "id", "payer", "state", "amount", "received");
    for payment in listed.bind(LISTED_MAX).fetch_all(admin).await? {
        let (id, payer, state): (String, String, String) =
            (payment.try_get("id")?, payment.try_get("payer")?, payment.try_get("state")?);
        let (amount, asset): (i64, String) = (payment.try_get("amount")?, payment.try_get("asset")?);
        let received: DateTime<Utc> = payment.try_get("received_at")?;
        let received = Time(received).to_string();
        table += &format!("{id:<36}  {payer:<42}  {state:<19}  {amount:>20}  {received:<27}  {asset}\n");
    }
    print(&table)
}
