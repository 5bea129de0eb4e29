//! Ids in requests and results.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Id of a job, of a lease or of a payment: a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, format = "uuid")]
pub struct Id(Uuid);

impl Id {
    /// A new id, of version 7.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self).map_err(|_no_uuid| "must be a UUID")
    }
}
