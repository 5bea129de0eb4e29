//! Limits of a token, beside its scopes: some methods, and names that begin with a prefix.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::name::Name;

/// Limits of a token, beside its scopes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenLimits {
    /// The only methods that it may call, by their `operationId`; `null`: all that its scopes allow.
    #[schema(required, example = json!(["pushJob"]))]
    pub methods: Option<Vec<String>>,
    /// Prefix of all names that it may use; `null`: any name. Names are those of counters, locks and queues, and the ids and
    /// namespaces of memories.
    #[schema(required, value_type = Option<Name>, example = "jobs-")]
    pub prefix: Option<Name>,
}

impl TokenLimits {
    /// Whether it may call a method.
    #[must_use]
    pub fn allows_method(&self, method: &str) -> bool {
        self.methods.as_ref().is_none_or(|methods| methods.iter().any(|allowed| allowed == method))
    }

    /// Whether it may use a name. Names are compared byte by byte.
    #[must_use]
    pub fn allows_name(&self, name: &str) -> bool {
        self.prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix.as_str()))
    }
}
