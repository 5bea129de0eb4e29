//! What tests need of a server, on `payerbase dev` alone: a payer without data, a clock that they move, and the URL from outside.

mod kit;
mod routes;

pub use kit::TestKit;
pub use routes::configure;
