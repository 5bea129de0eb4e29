//! The database by itself: lints over its catalogue and its functions, so that the next table and the next function
//! cannot forget a fence, and the plans of the statements that must stay fast.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "these are tests")]

mod catalogue;
mod functions;
mod memories;
mod migrate;
mod plans;
mod sweep;

#[path = "../api/support/database.rs"]
#[expect(dead_code, reason = "the API's tests use the rest")]
mod database;
