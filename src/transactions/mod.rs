//! The route of transactions. [`crate::call`] runs them.

pub mod routes;
