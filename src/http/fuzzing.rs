//! Headers and heads of requests for fuzz targets.

use super::headers;
use crate::call::Guard;
use crate::problem::Problem;

pub use super::wire::fuzzing::{head_ends, heads};

/// Reads the header with a lock that a write must hold.
///
/// # Errors
/// `invalid-header`
pub fn guard(text: &str) -> Result<Guard, Problem> {
    headers::parse_guard(text)
}
