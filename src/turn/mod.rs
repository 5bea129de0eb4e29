//! Turns: how calls reach the database.
//!
//! A call goes to the lane of its payer. All calls that wait for a lane become one statement and one commit. A lone call is
//! not delayed: a batch forms only while the previous one runs.

mod access;
mod busy;
mod call;
mod error;
mod inbox;
mod lane;
mod metrics;
mod rerun;
mod resting;
mod send_error;
mod statement;
mod turns;

pub use access::{Access, Batching};
pub(crate) use call::Command;
pub(crate) use error::CallError;
pub use turns::{CALL_TIMEOUT, LaneCounts, Turns};

/// The functions of this room.
pub(crate) const SQL: &[&str] = &[include_str!("turn.sql")];
