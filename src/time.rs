//! Times, as the API reads and writes them.

use std::fmt;

use chrono::{DateTime, Datelike as _, SecondsFormat, Utc};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use crate::limits::Named;

/// Time on the database's clock: RFC 3339 in UTC with microseconds. Requests may use any offset; digits beyond
/// microseconds are cut, and a leap second is the first second of the next minute. The year is 1 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, format = DateTime, example = "2026-11-23T16:47:00.123456Z")]
pub struct Time(pub DateTime<Utc>);

impl TryFrom<String> for Time {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let time = DateTime::parse_from_rfc3339(&text).ok();
        // Microseconds since 1970 have no leap seconds: second 60 becomes second 0 of the next minute.
        let time = time.and_then(|time| DateTime::from_timestamp_micros(time.timestamp_micros()));
        let time = time.filter(|time| (1..=9_999).contains(&time.year()));
        time.map(Self).ok_or("must be a time such as `2026-11-23T16:47:00Z` (RFC 3339), from the year 1 to 9999")
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

/// The last time that the API writes. SQL shows it in place of a later one: versions before 0.1 stored the year 10000.
pub(crate) fn last_time() -> Named {
    Named::text("last_time", "timestamptz '9999-12-31 23:59:59.999999+00'".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leap_second_is_the_next_second_and_further_digits_are_cut() {
        for (given, read) in [
            ("2026-12-31T23:59:60Z", "2027-01-01T00:00:00.000000Z"),
            ("2026-12-31T23:59:60.5Z", "2027-01-01T00:00:00.500000Z"),
            ("2027-03-06T00:59:60.000001+01:00", "2027-03-06T00:00:00.000001Z"),
            ("1969-12-31T23:59:60.999999999Z", "1970-01-01T00:00:00.999999Z"),
            ("0001-01-01T00:00:00.0000009Z", "0001-01-01T00:00:00.000000Z"),
            ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.999999Z"),
            ("9999-12-31T22:59:59-01:00", "9999-12-31T23:59:59.000000Z"),
        ] {
            assert_eq!(Time::try_from(given.to_owned()).unwrap().to_string(), read, "{given}");
        }
        for bad in [
            "9999-12-31T23:59:60Z",
            "9999-12-31T22:59:60-01:00",
            "9999-12-31T23:59:60.9Z",
            "9999-12-31T23:59:59-00:01",
            "10000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+00:01",
            "0000-12-31T23:59:59Z",
            "2026-12-31T23:59:61Z",
            "2026-12-31",
            "infinity",
            "",
        ] {
            assert!(Time::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
