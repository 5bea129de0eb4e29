//! Tests of the database alone: lints over its catalogue and functions, so that a new table or function cannot miss a
//! fence, and the plans of the statements that must stay fast.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "these are tests")]

mod catalogue;
mod functions;
mod memories;
mod migrate;
mod plan;
mod plans;
mod sweep;

#[path = "../api/support/database.rs"]
#[expect(dead_code, reason = "the API's tests use the rest")]
mod database;
