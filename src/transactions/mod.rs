//! Transactions: several calls, all or none. [`crate::call`] runs them; here is their route.

pub mod routes;
