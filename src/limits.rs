//! Limits that Rust, SQL and the docs share. Each is written once, as a constant of its room.
//!
//! SQL and the descriptions of the OpenAPI document name a limit as `{{name}}`; `docs/LIMITS.md` lists all of them.

use std::time::Duration;

/// A limit with a name.
#[derive(Clone, Debug)]
pub struct Named {
    /// Its name in SQL: the name of the constant, in lower case.
    pub name: String,
    /// Its meaning.
    pub about: &'static str,
    /// Its value in SQL.
    pub sql: String,
    /// Its value in words.
    pub words: String,
}

impl Named {
    /// A number.
    #[must_use]
    pub fn number(name: &str, about: &'static str, number: usize) -> Self {
        Self { name: name.to_ascii_lowercase(), about, sql: number.to_string(), words: with_commas(number) }
    }

    /// A size in bytes.
    #[must_use]
    pub fn bytes(name: &str, about: &'static str, bytes: usize) -> Self {
        const UNITS: [(usize, &str); 2] = [(1 << 20, "MiB"), (1 << 10, "KiB")];
        let unit = UNITS.into_iter().find(|(size, _)| bytes.is_multiple_of(*size) && bytes >= *size);
        let words = match unit {
            Some((size, unit)) => format!("{} {unit}", with_commas(bytes / size)),
            None => format!("{} bytes", with_commas(bytes)),
        };
        Self { words, ..Self::number(name, about, bytes) }
    }

    /// A time span: `interval '86400 seconds'` in SQL.
    #[must_use]
    pub fn time(name: &str, about: &'static str, time: Duration) -> Self {
        const UNITS: [(u64, &str); 3] = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
        let seconds = time.as_secs();
        // One day is 24 hours.
        let fits = |size: u64| seconds.is_multiple_of(size) && seconds >= size && (size < 86_400 || seconds > size);
        let unit = UNITS.into_iter().find(|(size, _)| fits(*size));
        let (count, unit) = unit.map_or((seconds, "second"), |(size, unit)| (seconds / size, unit));
        let words = format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
        Self { name: name.to_ascii_lowercase(), about, sql: format!("interval '{seconds} seconds'"), words }
    }

    /// A part of a statement.
    #[must_use]
    pub fn text(name: &str, sql: String) -> Self {
        Self { name: name.to_owned(), about: "", sql, words: String::new() }
    }

    /// Replaces `{{name}}` in a text.
    #[must_use]
    pub fn fill(limits: &[Self], text: &str, value: fn(&Self) -> &str) -> String {
        limits
            .iter()
            .fold(text.to_owned(), |text, limit| text.replace(&format!("{{{{{}}}}}", limit.name), value(limit)))
    }
}

fn with_commas(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Declares limits as constants, and `limits()` that lists them.
macro_rules! limits {
    ($($(#[doc = $about:literal])+ $name:ident: $kind:ident = $value:expr;)*) => {
        $($(#[doc = $about])+ pub const $name: $crate::limits::limits!(@type $kind) = $value;)*

        /// All limits of this room.
        #[must_use]
        pub fn limits() -> Vec<$crate::limits::Named> {
            vec![$($crate::limits::Named::$kind(stringify!($name), concat!($($about),+), $name)),*]
        }
    };
    (@type time) => { std::time::Duration };
    (@type bytes) => { usize };
    (@type number) => { usize };
}
pub(crate) use limits;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_formatted_for_people_and_for_sql() {
        let day = Named::time("JOBS_KEPT", "", Duration::from_hours(24));
        assert_eq!(
            (day.name.as_str(), day.sql.as_str(), day.words.as_str()),
            ("jobs_kept", "interval '86400 seconds'", "24 hours")
        );
        let words = |seconds| Named::time("a", "", Duration::from_secs(seconds)).words;
        assert_eq!(
            [words(1), words(60), words(600), words(3_600), words(14 * 86_400)],
            ["1 second", "1 minute", "10 minutes", "1 hour", "14 days"]
        );
        let words = |bytes| Named::bytes("a", "", bytes).words;
        assert_eq!(
            [words(100), words(262_144), words(8 << 20), words(1_500)],
            ["100 bytes", "256 KiB", "8 MiB", "1,500 bytes"]
        );
        assert_eq!(Named::fill(&[day], "kept for {{jobs_kept}}", |limit| &limit.words), "kept for 24 hours");
    }
}
