//! Turns: how calls reach the database.
//!
//! A call goes to the lane of its payer. All light calls that wait for a lane become one statement and one commit. A lone call
//! is not delayed: a batch forms only while the previous one runs. Heavy calls run one at a time, on a connection of their own.

mod access;
mod apart;
mod busy;
mod call;
mod error;
mod history;
mod inbox;
mod lane;
mod metrics;
mod rerun;
mod resting;
mod ring;
mod send_error;
mod statement;
mod turns;

pub use access::{Access, Batching, Origin};
pub use call::CALL_TIMEOUT;
pub(crate) use call::{CallResult, Command};
pub use turns::{LaneCounts, Turns};

/// The functions of this room.
pub(crate) const SQL: &[&str] = &[include_str!("turn.sql")];
