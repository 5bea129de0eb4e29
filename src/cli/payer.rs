//! `payerbase payer`.

use clap::Subcommand;
use sqlx::ConnectOptions as _;

use super::Outcome;
use super::token::{Target, admin};
use crate::config::Config;
use crate::db::check::Refusal;
use crate::db::migrate::require_installed;
use crate::export::{ExportError, export_by_operator};
use crate::payer::Payer;
use crate::site::Site;
use crate::sweeper::erase_all_by_operator;

#[derive(Subcommand)]
pub(super) enum PayerCommand {
    /// Export all that a payer has as lines of JSON, as `exportPayer` does. The database of SQL is only mentioned.
    Export {
        /// The payer: an EVM or Stacks address.
        payer: Payer,
    },
    /// Erase the data of a payer. It cannot be undone. Credit, ledger, payments, tokens, grants and the log of the account stay.
    Erase {
        /// The payer: an EVM or Stacks address.
        payer: Payer,
    },
}

pub(super) async fn payer(config: Config, target: Target, command: PayerCommand) -> Outcome {
    let mut admin = admin(&config, target)?.connect().await.map_err(Refusal::from)?;
    require_installed(&mut admin).await?;
    match command {
        PayerCommand::Export { payer } => {
            let url = match &config.public_url {
                Some(url) => url.clone(),
                None => format!("http://{}", config.listen).parse()?,
            };
            match export_by_operator(&mut admin, &payer, &Site::new(url), &mut std::io::stdout()).await {
                // A reader that has seen enough is no error.
                Err(ExportError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
                ended => Ok(ended?),
            }
        }
        PayerCommand::Erase { payer } => {
            let rows = erase_all_by_operator(&mut admin, &payer).await?;
            tracing::info!(%payer, rows, "erased the data of the payer");
            Ok(())
        }
    }
}
