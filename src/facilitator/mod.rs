//! The client of a facilitator: it has payments settled.
//!
//! A payment that was sent may have moved money, even if its answer is missing or can't be read. Then only its network
//! knows.

mod authentication;
mod cdp;
mod client;
#[cfg(fuzzing)]
pub mod fuzzing;
mod settled;

pub use authentication::{Authentication, InvalidHeader};
pub use cdp::{CdpKey, InvalidKey};
pub use client::{Facilitator, Settings};
pub use settled::{Answer, FacilitatorError, Settled};
