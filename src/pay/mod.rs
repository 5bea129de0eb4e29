//! What calls cost, and how they are paid from the credit of their payer.
//!
//! A write is paid in its own turn: `rpc.write_batch` takes its price under the payer's lock. Reads take no lock, so a
//! [`Meter`] adds up what they cost, and takes it from the credit within a second.

pub mod limits;
mod meter;
mod operator;
mod prices;

pub use meter::{Meter, Metered};
pub use operator::{Account, Fault, Gift, accounts, faults, give};
pub(crate) use operator::{as_payer, asset_name};
pub use prices::{AssetPrices, Price, Prices, Tier};

/// The functions that check the ledger.
pub(crate) const CHECK_SQL: &str = include_str!("check.sql");

/// The functions of this room.
pub(crate) const SQL: &[&str] = &[include_str!("credit.sql"), include_str!("ledger.sql")];
