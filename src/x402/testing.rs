//! Payments for tests.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::asset::KNOWN_ASSETS;
use super::{Checked, Offer, PaymentPayload, Refusal, check};
use crate::wallet::Network;

/// The time at which the payments of the official client were signed.
pub(super) const SIGNED_AT: i64 = 1_764_000_000;

pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

pub(super) fn offer(symbol: &str, network: Network, pay_to: &str, max_timeout_seconds: u64) -> Offer {
    let known = KNOWN_ASSETS.iter().find(|known| (known.symbol, known.network) == (symbol, network)).unwrap();
    Offer::new(known.asset().unwrap(), pay_to.parse().unwrap(), 1_000, max_timeout_seconds).unwrap()
}

/// The offer that the official client paid.
pub(super) fn usdc() -> Offer {
    offer("USDC", Network::Evm { chain_id: 84_532 }, "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", 60)
}

/// A payment of an offer.
pub(super) fn with(offer: &Offer, payload: Value) -> Value {
    json!({"x402Version": 2, "payload": payload, "accepted": offer.to_requirements()})
}

/// Checks a payload that was sent for an offer.
pub(super) fn check_payload(offer: &Offer, payload: Value, seconds: i64) -> Result<Checked<'_>, Refusal> {
    let payment = PaymentPayload::from_json(with(offer, payload).to_string())?;
    check(std::slice::from_ref(offer), &payment, at(seconds))
}

/// PAYMENT-REQUIRED of an official server with two offers.
pub(super) const REQUIRED: &str = "\
        eyJ4NDAyVmVyc2lvbiI6MiwiZXJyb3IiOiJQYXltZW50IHJlcXVpcmVkIiwicmVzb3VyY2UiOnsidXJsIjoiaHR0cHM6Ly9wYXllcmJh\
        c2UuZXhhbXBsZS92MS9jb3VudGVycy92aXNpdHMvaW5jcmVtZW50IiwiZGVzY3JpcHRpb24iOiJpbmNyZW1lbnQiLCJtaW1lVHlwZSI6\
        ImFwcGxpY2F0aW9uL2pzb24iLCJzZXJ2aWNlTmFtZSI6InBheWVyYmFzZSIsInRhZ3MiOlsiY291bnRlciJdfSwiYWNjZXB0cyI6W3si\
        c2NoZW1lIjoiZXhhY3QiLCJuZXR3b3JrIjoiZWlwMTU1Ojg0NTMyIiwiYW1vdW50IjoiMTAwMCIsImFzc2V0IjoiMHgwMzZDYkQ1Mzg0\
        MmM1NDI2NjM0ZTc5Mjk1NDFlQzIzMThmM2RDRjdlIiwicGF5VG8iOiIweDcwOTk3OTcwQzUxODEyZGMzQTAxMEM3ZDAxYjUwZTBkMTdk\
        Yzc5QzgiLCJtYXhUaW1lb3V0U2Vjb25kcyI6NjAsImV4dHJhIjp7Im5hbWUiOiJVU0RDIiwidmVyc2lvbiI6IjIiLCJwYXltZW50Rmxv\
        dyI6InVwZnJvbnQifX0seyJzY2hlbWUiOiJleGFjdCIsIm5ldHdvcmsiOiJzdGFja3M6MjE0NzQ4MzY0OCIsImFtb3VudCI6IjEwMDAi\
        LCJhc3NldCI6IlNUWCIsInBheVRvIjoiU1QxUFFIUUtWMFJKWFpGWTFER1g4TU5TTllWRTNWR1pKU1JUUEdaR00iLCJtYXhUaW1lb3V0\
        U2Vjb25kcyI6MzAwLCJleHRyYSI6eyJwYXltZW50RmxvdyI6InVwZnJvbnQifX1dLCJleHRlbnNpb25zIjp7InBheW1lbnQtaWRlbnRp\
        ZmllciI6eyJpbmZvIjp7InJlcXVpcmVkIjpmYWxzZX0sInNjaGVtYSI6eyIkc2NoZW1hIjoiaHR0cHM6Ly9qc29uLXNjaGVtYS5vcmcv\
        ZHJhZnQvMjAyMC0xMi9zY2hlbWEiLCJ0eXBlIjoib2JqZWN0IiwicHJvcGVydGllcyI6eyJyZXF1aXJlZCI6eyJ0eXBlIjoiYm9vbGVh\
        biJ9LCJpZCI6eyJ0eXBlIjoic3RyaW5nIiwibWluTGVuZ3RoIjoxNiwibWF4TGVuZ3RoIjoxMjgsInBhdHRlcm4iOiJeW2EtekEtWjAt\
        OV8tXSskIn19LCJyZXF1aXJlZCI6WyJyZXF1aXJlZCJdfX19fQ==";

/// PAYMENT-SIGNATURE of the official client that pays the first of them.
pub(super) const SIGNATURE: &str = "\
        eyJ4NDAyVmVyc2lvbiI6MiwicGF5bG9hZCI6eyJhdXRob3JpemF0aW9uIjp7ImZyb20iOiIweGYzOUZkNmU1MWFhZDg4RjZGNGNlNmFC\
        ODgyNzI3OWNmZkZiOTIyNjYiLCJ0byI6IjB4NzA5OTc5NzBDNTE4MTJkYzNBMDEwQzdkMDFiNTBlMGQxN2RjNzlDOCIsInZhbHVlIjoi\
        MTAwMCIsInZhbGlkQWZ0ZXIiOiIwIiwidmFsaWRCZWZvcmUiOiIxNzY0MDAwMDYwIiwibm9uY2UiOiIweDAxMDIwMzA0MDUwNjA3MDgw\
        OTBhMGIwYzBkMGUwZjEwMTExMjEzMTQxNTE2MTcxODE5MWExYjFjMWQxZTFmMjAifSwic2lnbmF0dXJlIjoiMHgxNjAyM2YzN2UxZmMx\
        NDBlYmE1ZWNiMmNjMjE3MDExNmJmMmFjN2I0MGI4Y2I3OWZkMjhkMWEyODgwOTY5NDlmN2FlYmQ1ODllNzhlN2QwNzVmNTNjY2YzMTkx\
        MzA2ODBkZWRhNzViNjNmNDY5ZTZhNTZjYzcxNzc4MGRmODkxYTFiIn0sImV4dGVuc2lvbnMiOnsicGF5bWVudC1pZGVudGlmaWVyIjp7\
        ImluZm8iOnsicmVxdWlyZWQiOmZhbHNlLCJpZCI6InBheV83ZDVkNzQ3YmUxNjBlMjgwNTA0YzA5OWQ5ODRiY2ZlMCJ9LCJzY2hlbWEi\
        OnsiJHNjaGVtYSI6Imh0dHBzOi8vanNvbi1zY2hlbWEub3JnL2RyYWZ0LzIwMjAtMTIvc2NoZW1hIiwidHlwZSI6Im9iamVjdCIsInBy\
        b3BlcnRpZXMiOnsicmVxdWlyZWQiOnsidHlwZSI6ImJvb2xlYW4ifSwiaWQiOnsidHlwZSI6InN0cmluZyIsIm1pbkxlbmd0aCI6MTYs\
        Im1heExlbmd0aCI6MTI4LCJwYXR0ZXJuIjoiXlthLXpBLVowLTlfLV0rJCJ9fSwicmVxdWlyZWQiOlsicmVxdWlyZWQiXX19fSwicmVz\
        b3VyY2UiOnsidXJsIjoiaHR0cHM6Ly9wYXllcmJhc2UuZXhhbXBsZS92MS9jb3VudGVycy92aXNpdHMvaW5jcmVtZW50IiwiZGVzY3Jp\
        cHRpb24iOiJpbmNyZW1lbnQiLCJtaW1lVHlwZSI6ImFwcGxpY2F0aW9uL2pzb24iLCJzZXJ2aWNlTmFtZSI6InBheWVyYmFzZSIsInRh\
        Z3MiOlsiY291bnRlciJdfSwiYWNjZXB0ZWQiOnsic2NoZW1lIjoiZXhhY3QiLCJuZXR3b3JrIjoiZWlwMTU1Ojg0NTMyIiwiYW1vdW50\
        IjoiMTAwMCIsImFzc2V0IjoiMHgwMzZDYkQ1Mzg0MmM1NDI2NjM0ZTc5Mjk1NDFlQzIzMThmM2RDRjdlIiwicGF5VG8iOiIweDcwOTk3\
        OTcwQzUxODEyZGMzQTAxMEM3ZDAxYjUwZTBkMTdkYzc5QzgiLCJtYXhUaW1lb3V0U2Vjb25kcyI6NjAsImV4dHJhIjp7Im5hbWUiOiJV\
        U0RDIiwidmVyc2lvbiI6IjIiLCJwYXltZW50RmxvdyI6InVwZnJvbnQifX19";
