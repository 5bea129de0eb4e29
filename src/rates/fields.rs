//! The HTTP fields `RateLimit-Policy`, `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11) and `Retry-After`.

use std::time::Duration;

use super::bucket::Decision;
use super::rate::Rate;

/// The largest integer of a structured field (RFC 9651).
const INTEGER_MAX: u64 = 999_999_999_999_999;

/// `RateLimit-Policy`: the burst, and the seconds in which it comes back. Empty without policies: then send no field.
#[must_use]
pub fn policy_field(policies: &[(&str, Rate)]) -> String {
    let policies = policies.iter().map(|(name, rate)| {
        let window = whole_seconds(rate.fill()).max(1);
        format!("{};q={};w={window}", quoted(name), rate.burst())
    });
    policies.collect::<Vec<_>>().join(", ")
}

/// `RateLimit`: the units that are left, and the seconds until there are more. For a refused request these are the seconds
/// of `Retry-After`, as the draft asks. Empty without decisions: then send no field.
#[must_use]
pub fn limit_field(decisions: &[(&str, Decision)]) -> String {
    let decisions = decisions.iter().map(|(name, decision)| {
        let more_in = whole_seconds(decision.more_in);
        format!("{};r={};t={more_in}", quoted(name), decision.remaining)
    });
    decisions.collect::<Vec<_>>().join(", ")
}

/// `Retry-After`: whole seconds, rounded up, at least 1.
#[must_use]
pub fn retry_after_field(decision: &Decision) -> String {
    whole_seconds(decision.retry_after).max(1).to_string()
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).min(INTEGER_MAX)
}

/// A string of a structured field. It has only printable ASCII characters: others become `?`.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            ' '..='~' => quoted.push(character),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn rate(units: u32, per_ms: u64, burst: u32) -> Rate {
        let n = |number| NonZeroU32::new(number).unwrap();
        Rate::new(n(units), Duration::from_millis(per_ms), n(burst)).unwrap()
    }

    fn decision(is_allowed: bool, remaining: u32, more_in_ms: u64) -> Decision {
        let more_in = Duration::from_millis(more_in_ms);
        let retry_after = if is_allowed { Duration::ZERO } else { more_in };
        Decision { is_allowed, limit: 100, remaining, reset: Duration::from_secs(99), more_in, retry_after }
    }

    #[test]
    fn policies() {
        assert_eq!(policy_field(&[("address", rate(10, 1_000, 100))]), r#""address";q=100;w=10"#);
        let two = [("address", rate(10, 1_000, 101)), ("payer", rate(1_000, 1_000, 1))];
        assert_eq!(policy_field(&two), r#""address";q=101;w=11, "payer";q=1;w=1"#);
        assert_eq!(policy_field(&[]), "");
    }

    #[test]
    fn limits() {
        let two = [("address", decision(true, 42, 2_001)), ("payer", decision(true, 100, 0))];
        assert_eq!(limit_field(&two), r#""address";r=42;t=3, "payer";r=100;t=0"#);
        assert_eq!(limit_field(&[("a", decision(false, 3, 3_000))]), r#""a";r=3;t=3"#);
    }

    #[test]
    fn names_are_strings_of_structured_fields() {
        assert_eq!(quoted("a b\"c\\d\u{e9}\n\u{7f}"), r#""a b\"c\\d???""#);
    }

    #[test]
    fn retry_after_is_whole_seconds() {
        let field = |ms| retry_after_field(&decision(false, 0, ms));
        assert_eq!([field(0), field(1), field(1_000), field(1_001)], ["1", "1", "1", "2"]);
    }
}
