//! Background clean-up: applies expired leases and due jobs, deletes rows that are past their retention, frees unused slugs,
//! and grows the graphs of large spaces.
//!
//! One server sweeps at a time (`sweep.lead`). It walks over the rows in stretches (`due.sql`). For each payer with due work
//! it calls methods of its own, which run in turns like those of callers, a little work at a time. A round
//! spends a quarter of a second on each kind, and the next round continues where it ended. Between two rounds it grows
//! graphs, and makes the words of memories that an earlier version stored. It also walks over the queues and counts their
//! jobs, for the metrics of the operator, and measures what payers have, for their quotas.
//!
//! Every server, leading or not, also notes what it has written and refused for each payer (`notes.rs`).

mod backlog;
mod erase;
pub mod limits;
mod measure;
mod methods;
mod metrics;
mod notes;
mod rounds;
mod tenant;
mod walk;

pub use erase::{erase_all, erase_all_by_operator};
pub(crate) use methods::METHODS;
pub use notes::note_all;
pub use rounds::{SWEEP_INTERVAL, SweepSettings, Sweeper, WRITTEN_INTERVAL};

/// SQL functions that find due work.
pub(crate) const SQL: &str = include_str!("due.sql");
