//! Why a call of SQL did not end.

use serde::{Deserialize, Serialize};

/// Why a call did not end. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Stopped {
    /// SQLite refuses the statement.
    Sql {
        /// SQLite's message.
        message: String,
        /// Where the fault is: the offset in the text, in bytes.
        offset: Option<u32>,
        /// The constraint that does not hold.
        constraint: Option<Constraint>,
    },
    /// The statement does something that is not allowed. The reason says what to do instead.
    NotAllowed(String),
    /// The parameters do not fit the statement.
    Parameters(String),
    /// The migration was applied with another text.
    MigrationChanged,
    /// It needed more time of the processor.
    Timeout,
    /// The machine was too busy to give it its time.
    Late,
    /// It needed more memory, or made a value that is too large.
    TooLarge,
    /// Its first row is larger than all rows of a call may be.
    RowTooLarge,
    /// The tables of primitives that it reads are too large.
    TablesTooLarge,
    /// The databases of others use all memory of the worker.
    Crowded,
    /// The database would exceed its size.
    Full,
    /// A page that it read has changed meanwhile.
    Moved,
    /// The instance does not behave as SQLite: it is not used again.
    Broken,
}

/// Maximum length of a message or a reason, in characters.
const TEXT_MAX: usize = 1_000;

/// The text, cut to its maximum length: SQLite's messages quote statements.
pub(super) fn shortened(text: String) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        None => text,
        Some((end, _)) => format!("{}..", text.get(..end).unwrap_or_default()),
    }
}

/// A kind of constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Constraint {
    Unique,
    PrimaryKey,
    NotNull,
    Check,
    ForeignKey,
    /// The type of a column of a `STRICT` table.
    Datatype,
}

impl Constraint {
    /// The constraint of an extended result code of SQLite.
    pub(super) fn of_code(code: i32) -> Option<Self> {
        match code {
            2067 => Some(Self::Unique),
            1555 | 2579 => Some(Self::PrimaryKey),
            1299 => Some(Self::NotNull),
            275 => Some(Self::Check),
            787 => Some(Self::ForeignKey),
            3091 => Some(Self::Datatype),
            _ => None,
        }
    }
}

impl Stopped {
    /// An error that only has a message.
    pub fn sql(message: impl Into<String>) -> Self {
        Self::Sql { message: message.into(), offset: None, constraint: None }
    }

    /// The same, with the offset in the whole text.
    ///   bytes  where the statement begins
    pub fn after(self, bytes: usize) -> Self {
        match self {
            Self::Sql { message, offset: Some(offset), constraint } => {
                let offset = u32::try_from(bytes).ok().and_then(|bytes| offset.checked_add(bytes));
                Self::Sql { message, offset, constraint }
            }
            other @ (Self::Sql { .. }
            | Self::NotAllowed(_)
            | Self::Parameters(_)
            | Self::MigrationChanged
            | Self::Timeout
            | Self::Late
            | Self::TooLarge
            | Self::RowTooLarge
            | Self::TablesTooLarge
            | Self::Crowded
            | Self::Full
            | Self::Moved
            | Self::Broken) => other,
        }
    }

    /// Whether the instance is as it was before, once its transaction is rolled back.
    pub fn leaves_instance_usable(&self) -> bool {
        match self {
            Self::Sql { .. }
            | Self::NotAllowed(_)
            | Self::Parameters(_)
            | Self::MigrationChanged
            | Self::RowTooLarge
            | Self::Full => true,
            Self::Timeout
            | Self::Late
            | Self::TooLarge
            | Self::TablesTooLarge
            | Self::Crowded
            | Self::Moved
            | Self::Broken => false,
        }
    }
}
