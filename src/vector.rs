//! Vectors: embeddings of texts, from callers and from models.

use std::fmt;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

/// Maximum number of dimensions of a vector. Models have fewer.
pub const DIMENSIONS_MAX: usize = 4_096;
/// Prefix of the details of `invalid-vector`.
pub(crate) const REFUSED: &str = "must be 1 to 4096 finite numbers";
/// Euclidean length of a vector. The squared length of a shorter or longer one underflows or overflows in single
/// precision.
const LENGTH: std::ops::RangeInclusive<f64> = 1e-15..=1e15;

/// Embedding vector: 1 to 4,096 finite numbers in single precision, not all zero. Its Euclidean length is 1e-15 to
/// 1e15.
#[derive(Clone, Debug, PartialEq, ToSchema)]
#[schema(value_type = Vec<f32>, min_items = 1, max_items = 4096, example = json!([0.12, -0.5, 0.33]))]
pub struct Vector(Vec<f32>);

impl Vector {
    /// The numbers of the vector.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// The vector as a parameter of a statement.
    pub(crate) fn to_pg(&self) -> pgvector::Vector {
        pgvector::Vector::from(self.0.clone())
    }

    /// Weighted mean of vectors, normalised to length 1. A text that was embedded in parts gets the mean of their
    /// vectors. `None` if the vectors differ in their dimensions or cancel each other out.
    #[must_use]
    pub fn mean<'a>(parts: impl IntoIterator<Item = (&'a [f32], f64)>) -> Option<Self> {
        let mut sum: Vec<f64> = Vec::new();
        for (part, weight) in parts {
            let length = length(part);
            sum.resize(part.len().max(sum.len()), 0.0);
            if sum.len() != part.len() || !LENGTH.contains(&length) {
                return None;
            }
            for (sum, number) in sum.iter_mut().zip(part) {
                *sum += f64::from(*number) * weight / length;
            }
        }
        let length = sum.iter().map(|number| number * number).sum::<f64>().sqrt();
        Self::try_from(sum.iter().map(|number| single(number / length)).collect::<Vec<f32>>()).ok()
    }
}

fn length(numbers: &[f32]) -> f64 {
    numbers.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt()
}

#[expect(
    clippy::as_conversions,
    reason = "rounds to the nearest number; larger ones become infinity, which is refused"
)]
pub(crate) fn single(number: f64) -> f32 {
    number as f32
}

impl TryFrom<Vec<f32>> for Vector {
    type Error = String;

    fn try_from(numbers: Vec<f32>) -> Result<Self, String> {
        if numbers.is_empty() || numbers.len() > DIMENSIONS_MAX {
            return Err(format!("{REFUSED}, and it has {}", numbers.len()));
        }
        let length = length(&numbers);
        match LENGTH.contains(&length) {
            true => Ok(Self(numbers)),
            false if length == 0.0 => Err(format!("{REFUSED}, not all of them zero")),
            false => Err(format!("{REFUSED}, of a length from 1e-15 to 1e15")),
        }
    }
}

/// A string in the syntax of the type `vector`. In JSON, a string stays as it is, but PostgreSQL would parse every
/// number of a list.
impl Serialize for Vector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(self.0.len() * 12);
        for number in &self.0 {
            text.push(if text.is_empty() { '[' } else { ',' });
            let _infallible = fmt::Write::write_fmt(&mut text, format_args!("{number:e}"));
        }
        text.push(']');
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers;

        impl<'de> Visitor<'de> for Numbers {
            type Value = Vec<f32>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of numbers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Vec<f32>, A::Error> {
                let mut numbers = Vec::with_capacity(access.size_hint().unwrap_or(384).min(DIMENSIONS_MAX));
                while let Some(Number(number)) = access.next_element()? {
                    if numbers.len() == DIMENSIONS_MAX {
                        return Err(A::Error::custom(format!("{REFUSED}, and it has more")));
                    }
                    numbers.push(number);
                }
                Ok(numbers)
            }
        }

        deserializer.deserialize_seq(Numbers)?.try_into().map_err(D::Error::custom)
    }
}

/// A finite number in single precision.
struct Number(f32);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Finite;

        impl Visitor<'_> for Finite {
            type Value = f32;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number")
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<f32, E> {
                let number = single(number);
                number.is_finite().then_some(number).ok_or_else(|| E::custom(format!("{REFUSED} in single precision")))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<f32, E> {
                #[expect(clippy::as_conversions, reason = "rounds to the nearest number")]
                self.visit_f64(number as f64)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<f32, E> {
                #[expect(clippy::as_conversions, reason = "rounds to the nearest number")]
                self.visit_f64(number as f64)
            }

            /// JavaScript writes `null` for NaN and the infinities.
            fn visit_unit<E: Error>(self) -> Result<f32, E> {
                Err(E::custom(format!("{REFUSED}: null is what some programs write for NaN and Infinity")))
            }
        }

        deserializer.deserialize_any(Finite).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Vector, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_vector_has_finite_numbers_and_a_nonzero_length() {
        for good in ["[1]", "[0, -1.5, 1e-3]", "[1000000000000]", &format!("[{}1]", "0,".repeat(4_095))] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["[]", "[0]", "[0.0, -0.0]", "[1e39]", "[-1e39, 1]", "[null]", "[1e-50]", "[1e30]", "[1e-30]"] {
            assert!(parse(bad).unwrap_err().starts_with(REFUSED), "{bad}");
        }
        assert!(parse(&format!("[{}1]", "0,".repeat(4_096))).unwrap_err().starts_with(REFUSED));
        for malformed in ["[NaN]", "[\"1\"]", "[[1]]", "1", "{}", "\"[1]\""] {
            assert!(!parse(malformed).unwrap_err().starts_with(REFUSED), "{malformed}");
        }
    }

    #[test]
    fn every_number_survives_a_round_trip() {
        let numbers: Vec<f32> = (0..2_000).map(|n| f32::from_bits(0x3a83_126f + n * 31_337)).collect();
        let text: String = serde_json::from_str(&serde_json::to_string(&Vector(numbers.clone())).unwrap()).unwrap();
        let read = text.trim_matches(['[', ']']).split(',').map(|number| number.parse::<f32>().unwrap());
        assert_eq!(read.collect::<Vec<_>>(), numbers);
    }

    #[test]
    fn the_mean_of_vectors_has_length_1() {
        let mean = Vector::mean([(&[3.0, 0.0][..], 1.0), (&[0.0, 0.5][..], 1.0)]).unwrap();
        assert!((mean.as_slice()[0] - mean.as_slice()[1]).abs() < 1e-6 && (length(mean.as_slice()) - 1.0).abs() < 1e-6);
        assert_eq!(Vector::mean([(&[1.0][..], 1.0), (&[-1.0][..], 1.0)]), None);
        assert_eq!(Vector::mean([(&[1.0, 2.0][..], 1.0), (&[1.0][..], 1.0)]), None);
    }
}
