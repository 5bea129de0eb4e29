//! `payerbase payer`.

use clap::Subcommand;
use sqlx::ConnectOptions as _;

use super::Outcome;
use super::token::{Target, admin};
use crate::config::Config;
use crate::db::check::Refusal;
use crate::db::migrate::require_installed;
use crate::payer::Payer;
use crate::sweeper::erase_all_by_operator;

#[derive(Subcommand)]
pub(super) enum PayerCommand {
    /// Erase the data of a payer. It cannot be undone. Credit, ledger, payments, tokens, grants and the log of the account stay.
    Erase {
        /// The payer: an EVM or Stacks address.
        payer: Payer,
    },
}

pub(super) async fn payer(config: Config, target: Target, command: PayerCommand) -> Outcome {
    let mut admin = admin(&config, target)?.connect().await.map_err(Refusal::from)?;
    require_installed(&mut admin).await?;
    let PayerCommand::Erase { payer } = command;
    let rows = erase_all_by_operator(&mut admin, &payer).await?;
    tracing::info!(%payer, rows, "erased the data of the payer");
    Ok(())
}
