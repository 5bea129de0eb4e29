//! The right of the sweeper to call its methods for any payer.

use std::sync::Arc;

use crate::auth::Proof;
use crate::call::{Engine, Tenant};
use crate::payer::Payer;

/// The calls of the sweeper for a payer. `None` if the text is no address of a payer.
pub(super) fn tenant(engine: &Arc<Engine>, payer: &str) -> Option<Tenant> {
    Some(tenant_of(engine, payer.parse().ok()?))
}

/// The calls of the sweeper for a payer.
pub(super) fn tenant_of(engine: &Arc<Engine>, payer: Payer) -> Tenant {
    Tenant::new(Proof::of_sweeper(payer), Arc::clone(engine))
}
