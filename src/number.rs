//! Integers in requests.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize};

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
        formatter.write_str("an integer of 64 bits")
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
}

fn out_of_range<E: Error>() -> E {
    E::custom("must be an integer of 64 bits, from 2^53 on without a fraction or an exponent")
}

/// Deserializes an integer. `1.0` and `1e3` are integers. One of more than 64 bits is an invalid value (422); a fraction or
/// another type is malformed (400).
///
/// # Errors
/// The errors of the deserializer.
pub fn int64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_i64(Int64)
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
