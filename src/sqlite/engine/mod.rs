//! SQLite in WebAssembly: one instance for each database, driven through SQLite's C API.

mod code;
mod compiled;
mod database;
mod execute;
mod guest;
mod host;
mod import;
mod memory;
mod memory_share;
mod migration;
mod primitive_tables;
mod result;
mod rules;
mod schema;
mod stopped;

pub(crate) use compiled::Engine;
pub(crate) use database::{Database, Done, Failed, Limits, Work};
pub(crate) use host::{Page, Pages};
pub(crate) use memory_share::AllMemory;
pub(crate) use result::{Imported, Schema, StatementResult, Table, TableColumn, TableIndex, TaskResult};
pub(crate) use stopped::Stopped;

#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod tests;
