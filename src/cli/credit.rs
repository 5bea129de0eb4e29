//! `payerbase credit` and `payerbase ledger`.

use clap::Subcommand;
use sqlx::ConnectOptions as _;

use super::token::{Target, admin};
use super::{Outcome, print};
use crate::config::Config;
use crate::db::check::Refusal;
use crate::db::migrate::require_installed;
use crate::name::Name;
use crate::pay::{self, Gift};
use crate::payer::Payer;
use crate::wallet::Network;
use crate::x402::{Asset, Domain, KNOWN_ASSETS, KnownAsset};

#[derive(Subcommand)]
pub(super) enum CreditCommand {
    /// Give a payer credit.
    Give {
        /// The payer: an EVM or Stacks address.
        #[arg(long, value_name = "ADDRESS")]
        payer: Payer,
        /// Network of the asset: `eip155:8453` (Base), `eip155:84532` (Base Sepolia), `stacks:1`, `stacks:2147483648`, or another
        /// EVM chain.
        #[arg(long, value_name = "NETWORK")]
        network: Network,
        /// The asset: `USDC`, `STX`, `sBTC` or `USDCx` on its network, the address of a token, or a contract of Stacks.
        #[arg(long, value_name = "ASSET")]
        asset: String,
        /// The amount, in the smallest unit of the asset: 1000000 is one USDC.
        #[arg(long, value_name = "AMOUNT", value_parser = clap::value_parser!(i64).range(1..))]
        amount: i64,
        /// Name of the gift in the ledger, 1 to 256 bytes. A second gift with this name to the same payer changes nothing, and is an error if it differs.
        #[arg(long, value_name = "NAME", value_parser = parse::<Name>)]
        reference: Name,
    },
}

#[derive(Subcommand)]
pub(super) enum LedgerCommand {
    /// Check that the ledger and the credit of all payers agree. Prints the sums of the accounts.
    Check,
}

/// Parses a value as requests do.
fn parse<T: TryFrom<String>>(text: &str) -> Result<T, T::Error> {
    text.to_owned().try_into()
}

pub(super) async fn credit(config: Config, target: Target, command: CreditCommand) -> Outcome {
    let mut admin = admin(&config, target)?.connect().await.map_err(Refusal::from)?;
    require_installed(&mut admin).await?;
    let CreditCommand::Give { payer, network, asset, amount, reference } = command;
    let known = KNOWN_ASSETS.iter().find(|known| known.network == network && known.symbol == asset);
    // The names of the domain do not matter here.
    let domain = matches!(network, Network::Evm { .. }).then(|| Domain { name: String::new(), version: String::new() });
    let asset = known.map_or_else(|| Asset::new(network, &asset, domain), KnownAsset::asset)?;
    let said = match pay::give(&mut admin, &payer, &asset, amount, reference.as_str()).await? {
        Gift::Given => "gave credit",
        Gift::Earlier { asset: of, amount: given } if of == pay::asset_name(&asset) && given == amount => {
            "the payer has this gift already: nothing changed"
        }
        Gift::Earlier { asset, amount } => {
            let reference = reference.as_str();
            let fault = format!("nothing changed: the payer has a gift `{reference}` already, of {amount} of {asset}");
            return Err(fault.into());
        }
    };
    tracing::info!(%payer, %network, %asset, amount, reference = reference.as_str(), "{said}");
    Ok(())
}

pub(super) async fn ledger(config: Config, target: Target, LedgerCommand::Check: LedgerCommand) -> Outcome {
    let mut admin = admin(&config, target)?.connect().await.map_err(Refusal::from)?;
    require_installed(&mut admin).await?;
    let mut table = format!("{:<64}  {:<8}  {:>20}\n", "asset", "account", "amount");
    for pay::Account { asset, name, amount } in pay::accounts(&mut admin).await? {
        table += &format!("{asset:<64}  {name:<8}  {amount:>20}\n");
    }
    print(&table)?;
    let faults = pay::faults(&mut admin).await?;
    for pay::Fault { payer, asset, posted, in_ledger } in &faults {
        let shown = |amount: &Option<String>| amount.clone().unwrap_or_else(|| "none".to_owned());
        tracing::error!(payer, asset, credit = shown(posted), ledger = shown(in_ledger), "credit and ledger differ");
    }
    match faults.len() {
        0 => Ok(()),
        count => Err(format!("the ledger has {count} faults").into()),
    }
}
