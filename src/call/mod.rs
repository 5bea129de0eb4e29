//! Calls: what every request goes through, from the proof of its payer to its answer.
//!
//! [`Tenant`] runs a method or a transaction. Its steps are in `pipeline.rs`: authorize, prepare, work outside of the turn,
//! execute one statement, and after the commit wake waiting calls.

mod charge;
mod compile;
mod conditions;
mod dispatch_sql;
mod engine;
pub mod limits;
mod method;
mod metrics;
mod needs;
mod outcome;
mod outside;
mod pipeline;
mod plan;
mod references;
mod request;
mod rights;
mod send;
mod spec;
mod sql;
mod tenant;
mod token_limits;
mod transaction;

pub use conditions::{Conditions, Guard, IdempotencyKey, digest_of};
pub(crate) use dispatch_sql::dispatch_sql;
pub use engine::{CallSettings, Engine, Services};
pub(crate) use method::method;
pub use method::{Context, Entry, Method, Operation, Wait};
pub use needs::{Embedded, NeededSlug, NeededVector, Needs};
pub(crate) use needs::{NeededSql, RanSql};
pub use outside::EMBEDDING_TIMEOUT;
pub(crate) use request::FileAnswer;
pub use request::{Answer, Created, Request};
pub use spec::{BODY_BYTES_MAX, Ref, Spec};
pub use tenant::Tenant;
pub use transaction::{Results, TransactedCall, Transaction};

/// The functions of this room.
pub(crate) const SQL: &[&str] =
    &[include_str!("problem.sql"), include_str!("conditions.sql"), include_str!("transact.sql")];
