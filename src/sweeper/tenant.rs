//! The right of the sweeper to call its methods for any payer.

use std::sync::Arc;

use crate::auth::Proof;
use crate::call::{Engine, Tenant};

/// The calls of the sweeper for a payer. `None` if the text is no address of a payer.
pub(super) fn tenant(engine: &Arc<Engine>, payer: &str) -> Option<Tenant> {
    let proof = Proof::of_sweeper(payer.parse().ok()?);
    Some(Tenant::new(proof, Arc::clone(engine)))
}
