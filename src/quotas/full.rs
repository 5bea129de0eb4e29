//! The payers that have as much of a primitive as they may have.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use crate::payer::Payer;

/// The payers of whom a primitive is full, as the database said last. Only their calls look for the mark in their turn.
#[derive(Default)]
pub struct FullPayers(RwLock<HashSet<Payer>>);

impl FullPayers {
    /// Whether the payer is one of them.
    #[must_use]
    pub fn contains(&self, payer: &Payer) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(payer)
    }

    /// Adds one.
    pub fn insert(&self, payer: Payer) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(payer);
    }

    /// Replaces all of them.
    pub fn replace(&self, payers: HashSet<Payer>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = payers;
    }
}
