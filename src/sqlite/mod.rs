//! SQL: a SQLite database for each payer.
//!
//! Its pages are rows in PostgreSQL. SQLite runs in WebAssembly (`engine`), in processes that can do nothing else (`worker`).
//! A call runs there on a version of the database, outside of any lock. Its turn then checks that the version is still the
//! newest, and keeps the pages that it has written as the next one. Otherwise the call runs again: nothing has happened.

mod cache;
mod commit;
mod databases;
mod engine;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod limits;
mod metrics;
mod pages;
mod process;
mod running_call;
mod statement;
mod store;
mod tables;
mod value;
mod wire;
pub mod worker;

pub(crate) use commit::{Commit, Turn};
pub(crate) use databases::{Databases, File, Tries};
pub(crate) use engine::{Imported, Schema, StatementResult, Stopped, Table, TableColumn, TableIndex, TaskResult};
pub(crate) use running_call::{NotRun, SqlCall};
pub(crate) use statement::{Migration, Params, Statement, Task, sql_from_json};
pub(crate) use tables::TABLES;
pub(crate) use wire::Head;
