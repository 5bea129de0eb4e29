//! Problems: every answer that is not a success is one of the catalogue (RFC 9457).

mod catalogue;
mod occurrence;

pub use catalogue::{Code, catalogue_html, catalogue_markdown};
pub(crate) use occurrence::pointer;
pub use occurrence::{InvalidField, Problem};

/// The media type of every problem.
pub const PROBLEM_JSON: &str = "application/problem+json";
