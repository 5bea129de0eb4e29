//! Fixtures of the tests: a database, a server, a payer.

pub mod app;
pub mod clock;
pub mod database;
pub mod evm;
pub mod facilitator;
pub mod model;
pub mod nginx;
pub mod official;
pub mod raw;
pub mod redis;
pub mod shop;
pub mod stacks;
pub mod wallet;
pub mod world;

pub use app::{Answer, Caller, TestApp};
pub use clock::{Clock, TimedApp};
pub use database::TestDatabase;
pub use facilitator::{Fault, StubChain, StubFacilitator};
pub use nginx::Nginx;
pub use raw::Connection;
pub use redis::TestRedis;
pub use wallet::{PayingWallet, Terms};
