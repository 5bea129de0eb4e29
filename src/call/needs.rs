//! What a method needs that the database cannot make: it is made before the turn.

use crate::name::Name;
use crate::slug::Slug;
use crate::vector::Vector;

/// The needs of one call. Most methods have none.
#[derive(Default)]
pub struct Needs<'a> {
    /// Texts to embed.
    pub vectors: Vec<NeededVector<'a>>,
    /// A slug to reserve, or to keep.
    pub slug: Option<NeededSlug<'a>>,
}

impl<'a> Needs<'a> {
    /// The vectors of these texts.
    #[must_use]
    pub fn vectors(vectors: Vec<NeededVector<'a>>) -> Self {
        Self { vectors, slug: None }
    }

    /// Whether there is anything to make.
    pub(super) fn is_empty(&self) -> bool {
        self.vectors.is_empty() && self.slug.is_none()
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
}
