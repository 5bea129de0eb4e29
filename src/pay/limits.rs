//! Limits of credit.

use std::time::Duration;

use crate::limits::limits;

limits! {
    /// How many reads of a payer a server may run before it takes their price from the credit.
    UNPAID_READS_MAX: number = 100;
    /// How often what calls have spent becomes an entry of the ledger.
    USAGE_POSTED: time = Duration::from_hours(1);
}
