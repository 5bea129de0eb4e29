//! The API as its callers meet it: a real server on a real PostgreSQL, over HTTP. Tests share one cluster and one
//! database, each with payers of its own, so that every run is a test of isolation too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::too_many_lines,
    reason = "these are tests"
)]

mod auth;
mod counters;
mod counters_model;
mod dev;
mod drift;
mod embeddings;
mod embeddings_local;
mod faults;
mod idempotency;
mod isolation;
mod links;
mod locks;
mod locks_linearizable;
mod locks_model;
mod memories;
mod memories_search;
mod pages;
mod problems;
mod queues;
mod queues_faults;
mod queues_model;
mod replicas;
mod schemathesis;
mod support;
mod telemetry;
mod transactions;
mod turn;
mod worked_example;
