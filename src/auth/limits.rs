//! Limits of tokens and of the log of accounts.

use std::time::Duration;

use crate::limits::limits;
use crate::number::Bounded;

limits! {
    /// Lifetime of a token whose maker says nothing else.
    TOKEN_LIFETIME: time = Duration::from_hours(24);
    /// Valid tokens and grants of a payer that were made with other tokens.
    TOKENS_MAX: number = 1_000;
    /// Valid grants of a payer to the same grantee.
    GRANTS_MAX: number = 16;
    /// How long an expired token is listed.
    TOKENS_KEPT: time = Duration::from_hours(30 * 24);
    /// Refused calls of one kind are put into the log of an account once in this time.
    REFUSALS_NOTED: time = Duration::from_hours(1);
    /// How long an entry of the log of an account is kept.
    AUDIT_KEPT: time = Duration::from_hours(366 * 24);
}

/// Lifetime of a token, in milliseconds: one minute to 366 days.
pub type TokenMs = Bounded<60_000, 31_622_400_000>;
