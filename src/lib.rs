//! payerbase: a backend over HTTP with private data for each payer, a wallet address, in one PostgreSQL database.
//!
//! Read `docs/ARCHITECTURE.md` first. A request passes these rooms from top to bottom: [`http`], a slice such as [`counters`],
//! [`call`], [`turn`], [`auth`] and [`db`]. `tests/house/imports.rs` holds the order.

pub mod app;
mod aside;
pub mod auth;
mod budget;
pub mod call;
pub mod chain;
pub mod cli;
pub mod config;
pub mod counters;
pub mod credit;
pub mod db;
pub mod embeddings;
pub mod endpoint;
pub mod export;
pub mod facilitator;
pub mod folders;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod http;
mod id;
pub mod json;
pub mod limits;
pub mod links;
pub mod locks;
pub mod me;
pub mod memories;
pub mod name;
pub mod number;
pub mod page;
mod parse;
pub mod pay;
pub mod payer;
mod payer_limit;
pub mod payments;
pub mod pip;
pub mod problem;
pub mod queues;
pub mod quotas;
pub mod rates;
pub mod redis;
pub mod search_text;
pub mod sign_in;
pub mod site;
mod slices;
pub mod slug;
pub mod sql;
pub mod sqlite;
pub mod sweeper;
pub mod telemetry;
pub mod test_kit;
pub mod testing;
pub mod time;
pub mod tokens;
pub mod transactions;
pub mod turn;
pub mod vector;
pub mod waiting;
pub mod wallet;
pub mod x402;

pub use slices::{limits_markdown, methods, schema};
