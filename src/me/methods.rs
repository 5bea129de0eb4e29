//! The method of the account.

use serde::{Deserialize, Serialize};

use super::types::Usage;
use crate::call::{Entry, Spec, method};

/// All methods of the account.
pub const METHODS: &[Entry] = &[Entry::of::<GetMe>()];

/// Gets the usage of the payer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetMe {}

method!(GetMe => Usage, Spec::slow_read("getMe"));
