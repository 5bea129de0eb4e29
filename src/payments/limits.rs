//! Limits of payments.

use std::time::Duration;

use crate::limits::limits;

limits! {
    /// How long a server may work on a payment before another one takes it over.
    PAYMENT_LEASE: time = Duration::from_secs(120);
    /// How often a request can be sent again with the payment that it was sent with.
    PAYMENT_REPEATS_MAX: number = 200;
}
