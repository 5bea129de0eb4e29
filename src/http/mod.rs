//! HTTP: from a request to a call, and from its result to an answer. All other routes are pages about the API.

pub mod admin;
pub mod answer_log;
pub mod authenticate;
mod bazaar;
mod body;
pub mod drain;
pub mod edge;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod headers;
mod members;
pub mod metrics;
pub mod openapi;
pub mod pages;
mod parameters;
pub mod paywall;
pub mod rate_limits;
pub mod reply;
mod request;
pub mod request_id;
mod send_limit;
pub mod server;
pub mod verbs;
mod wire;
