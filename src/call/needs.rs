//! What a method needs that the database cannot make: it is made before the turn.

use crate::name::Name;
use crate::slug::Slug;
use crate::sqlite::{File, Task, TaskResult, Turn};
use crate::vector::Vector;

/// The needs of one call. Most methods have none.
#[derive(Default)]
pub struct Needs<'a> {
    /// Texts to embed.
    pub vectors: Vec<NeededVector<'a>>,
    /// A slug to reserve, or to keep.
    pub slug: Option<NeededSlug<'a>>,
    /// SQL to run.
    pub(crate) sql: Option<NeededSql<'a>>,
    /// Takes the database of SQL as a file.
    pub(crate) file: Option<PutFile<'a>>,
}

/// Takes a file.
pub(crate) type PutFile<'a> = Box<dyn FnOnce(File) + Send + 'a>;

impl<'a> Needs<'a> {
    /// The vectors of these texts.
    #[must_use]
    pub fn vectors(vectors: Vec<NeededVector<'a>>) -> Self {
        Self { vectors, ..Self::default() }
    }

    /// The results of this SQL.
    #[must_use]
    pub(crate) fn sql(sql: NeededSql<'a>) -> Self {
        Self { sql: Some(sql), ..Self::default() }
    }

    /// The database of SQL as a file.
    #[must_use]
    pub(crate) fn file(put: PutFile<'a>) -> Self {
        Self { file: Some(put), ..Self::default() }
    }

    /// Whether there is anything to make.
    pub(super) fn is_empty(&self) -> bool {
        self.vectors.is_empty() && self.slug.is_none() && self.sql.is_none() && self.file.is_none()
    }
}

/// A text that needs a vector.
pub struct NeededVector<'a> {
    /// The text.
    pub text: &'a str,
    /// Takes the vector. Not called if the server has no model.
    pub put: Box<dyn FnOnce(Embedded) + Send + 'a>,
}

/// A vector that the server made of a text.
pub struct Embedded {
    /// The vector.
    pub vector: Vector,
    /// The model that made it.
    pub model: Name,
}

/// SQL that runs before the turn.
pub(crate) struct NeededSql<'a> {
    /// Its tasks, in order.
    pub tasks: &'a [Task],
    /// Whether it may write.
    pub may_write: bool,
    /// The pointer to the statements of a task in the parameters; empty if they are none of a parameter.
    pub at: fn(usize) -> String,
    /// Takes the results.
    pub put: Box<dyn FnOnce(RanSql) + Send + 'a>,
}

/// SQL that ran.
pub(crate) struct RanSql {
    /// The result of each task.
    pub results: Vec<TaskResult>,
    /// What the turn does for it.
    pub turn: Turn,
    /// Whether the call is one of a transaction.
    pub is_in_transaction: bool,
}

/// A slug that must belong to the payer before the turn.
pub enum NeededSlug<'a> {
    /// Reserve it for a new link. If `is_generated`, the caller chose none, and another slug will do.
    New {
        /// The slug.
        slug: &'a mut Slug,
        /// Whether another slug will do.
        is_generated: bool,
    },
    /// Renew its reservation, because its link is about to be deleted.
    Renewed(&'a Slug),
    /// The slugs of the links that an erasure deletes next: their reservations are renewed.
    RenewedForErasure,
}
