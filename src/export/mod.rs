//! The export of all that a payer has: lines of JSON, page by page. It knows the types of all slices.

mod kinds;
pub mod methods;
mod operator;
pub mod routes;

pub use operator::{ExportError, export_by_operator};

/// SQL functions of the export.
pub(crate) const SQL: &[&str] = &[include_str!("export.sql")];
