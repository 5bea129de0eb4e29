//! The credit of the caller, and its ledger.
//!
//! The functions behind the methods are in `src/pay/`.

pub mod methods;
pub mod routes;
pub mod types;
