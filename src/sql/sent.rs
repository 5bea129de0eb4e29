//! What the methods share: what their turns are sent, and the problems of writes.

use serde::{Deserialize, Serialize};

use crate::problem::Code;
use crate::sqlite::Turn;

/// The problems of a statement that may write, and of a file.
pub(super) const WRITE_PROBLEMS: &[Code] =
    &[Code::SqlError, Code::SqlNotAllowed, Code::SqlTimeout, Code::SqlTooLarge, Code::DatabaseFull, Code::DatabaseBusy];

/// The parameters of a method without any.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct NoParams {}

/// The parameters of the SQL function: made by the statements, which have run.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Sent {
    pub turn: Option<Turn>,
    /// As JSON in a text: the database keeps each digit of its numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

impl Sent {
    /// How much work it is for the turn.
    pub fn weight(&self) -> usize {
        self.turn.as_ref().map_or(1, Turn::weight)
    }
}

pub(super) fn to_text(result: &impl Serialize) -> Option<String> {
    serde_json::to_string(result).ok()
}
