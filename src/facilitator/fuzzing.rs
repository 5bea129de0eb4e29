//! Answers of facilitators for fuzz targets.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};

use super::client;
use crate::payer::Payer;
use crate::x402::Outcome;

/// What an answer to `POST /settle` says about a payment of a payer on a network, and the text for the log.
#[must_use]
pub fn understand(status: u16, body: &[u8], network: &str, payer: &Payer) -> (Outcome, String) {
    client::understand(status, body, network, payer)
}

/// The time in `Retry-After`. `None` if it is no time.
#[must_use]
pub fn retry_after(value: &[u8], now: DateTime<Utc>) -> Option<Duration> {
    let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_bytes(value).ok()?)]);
    client::retry_after(&headers, now)
}
