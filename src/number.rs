//! Integers in requests, and how answers write those that may need more than 53 bits.

use std::fmt;
use std::io;
use std::time::Duration;

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use serde_json::ser::Formatter;

/// An integer from `MIN` to `MAX`. `1.0` and `1e3` are integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bounded<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> Bounded<MIN, MAX> {
    /// A constant, for defaults. A number out of bounds does not compile.
    #[must_use]
    pub const fn of<const NUMBER: i64>() -> Self {
        const { assert!(MIN <= NUMBER && NUMBER <= MAX) };
        Self(NUMBER)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The number as a size. 0 if it is negative.
    #[must_use]
    pub fn size(self) -> usize {
        self.0.try_into().unwrap_or_default()
    }

    /// The number as a duration in milliseconds. Zero if it is negative.
    #[must_use]
    pub fn millis(self) -> Duration {
        Duration::from_millis(self.0.try_into().unwrap_or_default())
    }
}

impl<const MIN: i64, const MAX: i64> Bounded<MIN, MAX> {
    /// Deserializes an optional member: `null` is `DEFAULT`, as if the member were absent.
    ///
    /// # Errors
    /// The errors of the deserializer.
    pub fn or<'de, const DEFAULT: i64, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or_else(Self::of::<DEFAULT>))
    }
}

/// The default of a number with minimum 0 is 0.
impl<const MAX: i64> Default for Bounded<0, MAX> {
    fn default() -> Self {
        Self::of::<0>()
    }
}

impl<'de, const MIN: i64, const MAX: i64> Deserialize<'de> for Bounded<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Within<const MIN: i64, const MAX: i64>;

        impl<const MIN: i64, const MAX: i64> Visitor<'_> for Within<MIN, MAX> {
            type Value = i64;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an integer")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
                match (MIN..=MAX).contains(&number) {
                    true => Ok(number),
                    false => Err(E::custom(format!("must be {MIN} to {MAX}"))),
                }
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<i64, E> {
                match whole(number) {
                    Some(number) => self.visit_i64(number),
                    None if number.fract() == 0.0 => Err(E::custom(format!("must be {MIN} to {MAX}"))),
                    None => Err(E::invalid_type(Unexpected::Float(number), &self)),
                }
            }
        }

        deserializer.deserialize_i64(Within::<MIN, MAX>).map(Self)
    }
}

/// 2^53: a float below it is exactly the number that the caller wrote.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The integer that was written as a float, such as `1.0` or `1e3`. `None` if it has a fraction or may have lost digits.
fn whole(number: f64) -> Option<i64> {
    #[expect(clippy::as_conversions, reason = "exact: the number is whole and below 2^53")]
    (number.fract() == 0.0 && number.abs() < EXACT_MAX).then_some(number as i64)
}

struct Int64;

impl Visitor<'_> for Int64 {
    type Value = i64;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an integer of 64 bits, or its decimal digits as a string")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
        i64::try_from(number).map_err(|_too_large| out_of_range())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<i64, E> {
        // serde_json parses an integer of more than 64 bits as a float.
        match whole(number) {
            Some(number) => Ok(number),
            None if number.fract() == 0.0 => Err(out_of_range()),
            None => Err(E::invalid_type(Unexpected::Float(number), &self)),
        }
    }

    /// Decimal digits, for clients whose numbers have less than 64 bits.
    fn visit_str<E: Error>(self, text: &str) -> Result<i64, E> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if is_integer => Ok(number),
            _ if is_integer => Err(out_of_range()),
            _ => Err(E::invalid_type(Unexpected::Str(text), &self)),
        }
    }
}

fn out_of_range<E: Error>() -> E {
    E::custom("must be an integer of 64 bits, from 2^53 on without a fraction or an exponent")
}

/// Deserializes an integer. `1.0` and `1e3` are integers, and so is a string of decimal digits. One of more than 64 bits is an
/// invalid value (422); a fraction or another type is malformed (400).
///
/// # Errors
/// The errors of the deserializer.
pub fn int64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_any(Int64)
}

/// Deserializes an optional integer: `null` is `DEFAULT`, as if the member were absent.
///
/// # Errors
/// The errors of the deserializer.
pub fn int64_or<'de, const DEFAULT: i64, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    Ok(maybe_int64(deserializer)?.flatten().unwrap_or(DEFAULT))
}

/// Deserializes a member that may be absent (`None`), null (`Some(None)`) or an integer. For `#[serde(default)]`
/// fields.
///
/// # Errors
/// The errors of the deserializer.
pub fn maybe_int64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<i64>>, D::Error> {
    struct Maybe;

    impl<'de> Visitor<'de> for Maybe {
        type Value = Option<i64>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an integer of 64 bits or null")
        }

        fn visit_none<E: Error>(self) -> Result<Option<i64>, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<i64>, D::Error> {
            int64(deserializer).map(Some)
        }
    }

    deserializer.deserialize_option(Maybe).map(Some)
}

/// How an answer writes [`wide`] integers: the values and bounds of counters, and fences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Integers {
    /// As numbers.
    #[default]
    Numbers,
    /// As strings of decimal digits, for clients whose numbers have less than 64 bits.
    Strings,
}

impl Integers {
    /// Writes a result as JSON.
    ///
    /// # Errors
    /// Those of the writer and of the result.
    pub fn write<T: Serialize>(self, writer: impl io::Write, result: &T) -> serde_json::Result<()> {
        match self {
            Self::Numbers => serde_json::to_writer(writer, result),
            Self::Strings => result.serialize(&mut serde_json::Serializer::with_formatter(writer, WideAsStrings)),
        }
    }

    /// A result as JSON.
    ///
    /// # Errors
    /// Those of the result.
    pub fn to_json<T: Serialize>(self, result: &T) -> serde_json::Result<String> {
        let mut json = Vec::with_capacity(128);
        self.write(&mut json, result)?;
        String::from_utf8(json).map_err(serde::ser::Error::custom)
    }
}

/// Serializes an integer that may need more than 53 bits, or none. Its type tells it from other integers: 128 bits, which
/// nothing else has.
///
/// # Errors
/// Those of the serializer.
pub fn wide<S: Serializer>(integer: &(impl Into<Option<i64>> + Copy), serializer: S) -> Result<S::Ok, S::Error> {
    match (*integer).into() {
        Some(integer) => serializer.serialize_i128(integer.into()),
        None => serializer.serialize_none(),
    }
}

/// Compact JSON with [`wide`] integers as strings.
struct WideAsStrings;

impl Formatter for WideAsStrings {
    fn write_i128<W: ?Sized + io::Write>(&mut self, writer: &mut W, integer: i128) -> io::Result<()> {
        write!(writer, "\"{integer}\"")
    }
}
