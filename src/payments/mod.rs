//! Payments with x402: what is offered, how a payment is settled, and what becomes of it.
//!
//! A payment is checked offline, recorded and committed, and only then sent to a facilitator. If the outcome is not known, the
//! network decides: the request that waits asks it, and so does the sweeper. The money becomes credit of the payer in the
//! transaction that notes that it has arrived; calls are paid from the credit.

mod finish;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod limits;
mod metrics;
mod offers;
mod operator;
mod paid;
mod purchase;
mod record;
mod service;
mod settings;
mod sign_in;

pub use offers::{OfferedFor, Offers};
pub use operator::{retry, show};
pub use paid::Paid;
pub use purchase::Purchase;
pub(crate) use record::METHODS;
pub use record::{Reason, State};
pub use service::{Payments, Receipt};
pub use settings::{CannotBePaid, PaidNetwork, PaymentSettings};

/// The functions of this room.
pub(crate) const SQL: &[&str] = &[include_str!("payments.sql")];
