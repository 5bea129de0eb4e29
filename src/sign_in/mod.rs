//! Signing in: a wallet signs a message, and gets a token. These routes need no token.

pub mod routes;
pub mod types;
