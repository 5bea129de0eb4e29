//! Tests of the database without a server: checks of its catalogue and functions, so that every new table and function
//! isolates payers, and the plans of the statements that must stay fast.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "these are tests")]

mod backup;
mod catalogue;
mod functions;
mod memories;
mod migrate;
mod migrate_refused;
mod plan;
mod plans;
mod quotas;
mod secret;
mod sweep;

#[path = "../api/support/database.rs"]
mod database;
