//! The method of this slice.

use serde::{Deserialize, Serialize};

use super::types::Usage;
use crate::call::{Entry, Spec, method};

/// All methods of this slice.
pub const METHODS: &[Entry] = &[Entry::of::<GetMe>()];

/// Reads the usage of the payer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetMe {}

method!(GetMe => Usage, Spec::slow_read("getMe"));
