//! payerbase: every wallet that pays gets a private, stateful backend over HTTP, in one PostgreSQL database keyed by
//! payer address.
//!
//! Read `docs/ARCHITECTURE.md` first. A call comes in through [`http`], [`auth`] finds out who pays, a slice such as
//! [`counters`] makes it a method, and [`turn`] runs it.

pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod counters;
pub mod db;
pub mod embeddings;
pub mod http;
pub mod json;
pub mod links;
pub mod locks;
pub mod me;
pub mod memories;
pub mod name;
pub mod number;
pub mod package;
pub mod page;
pub mod problem;
pub mod queues;
pub mod redis;
pub mod sweeper;
pub mod time;
pub mod transaction;
pub mod turn;
pub mod vector;

use std::sync::LazyLock;

use turn::Entry;

/// Every method there is, slice by slice.
#[must_use]
pub fn methods() -> &'static [Entry] {
    static METHODS: LazyLock<Vec<Entry>> = LazyLock::new(|| {
        [counters::METHODS, links::METHODS, locks::METHODS, queues::METHODS, memories::METHODS, me::METHODS].concat()
    });
    &METHODS
}
