//! What every route shares: request ids, bodies, problems for whatever goes wrong, and the pages around the API.

pub mod authenticate;
pub mod call;
pub mod drain;
pub mod edge;
pub mod metrics;
pub mod openapi;
pub mod pages;
pub mod reply;
