//! Tests of the API over HTTP, with a real server on a real PostgreSQL. The tests share one cluster and one database,
//! and each uses its own payers, so that every run also tests isolation.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::too_many_lines,
    reason = "these are tests"
)]

mod allowances;
mod auth;
mod backup;
mod checker;
mod clients;
mod conformance;
mod connections;
mod counters;
mod counters_model;
mod credit;
mod dev;
mod document;
mod drift;
mod embeddings;
mod embeddings_local;
mod erase;
mod export;
mod faults;
mod generators;
mod grants;
mod idempotency;
mod isolation;
mod links;
mod locks;
mod locks_linearizable;
mod locks_model;
mod memories;
mod memories_search;
mod memories_words;
mod metrics;
mod odd_values;
mod operators;
mod pages;
mod paying_wallet;
mod payments;
mod payments_attacks;
mod payments_model;
mod pooler;
mod problems;
mod proxies;
mod queues;
mod queues_faults;
mod queues_model;
mod quotas;
mod rate_limits;
mod real_chain;
mod refusals;
mod replicas;
mod schemathesis;
mod sign_in;
mod sign_in_with_x;
mod sql;
mod sql_attacks;
mod sql_files;
mod sql_isolation;
mod sql_model;
mod sql_results;
mod sql_staged;
mod sql_suite;
mod sql_tables;
mod sql_workers;
mod strangers;
mod stub_facilitator;
mod support;
mod telemetry;
mod test_kit;
mod token_limits;
mod tokens;
mod transactions;
mod turn;
mod two_servers;
mod upgrade;
mod values;
mod wide_integers;
mod worked_example;
