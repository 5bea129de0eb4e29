//! Scopes: the rights of a token.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use crate::json::read_list;

/// Declares the scopes and their spelling once.
macro_rules! scopes {
    ($($variant:ident $text:literal)*) => {
        /// A right of a token: to read or to write one primitive, or something of the account; `*` is everything. Writing does not
        /// include reading.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
        #[serde(try_from = "String")]
        pub enum Scope {
            $(#[doc = concat!("`", $text, "`.")] #[schema(rename = $text)] $variant,)*
        }

        impl Scope {
            /// All scopes.
            pub const ALL: &'static [Scope] = &[$(Scope::$variant),*];

            /// The scope as text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Scope::$variant => $text,)* }
            }
        }
    };
}

// New scopes come last: challenges name them by their places.
scopes! {
    Everything "*"
    CountersRead "counters:read"
    CountersWrite "counters:write"
    LinksRead "links:read"
    LinksWrite "links:write"
    LocksRead "locks:read"
    LocksWrite "locks:write"
    QueuesRead "queues:read"
    QueuesWrite "queues:write"
    MemoriesRead "memories:read"
    MemoriesWrite "memories:write"
    TokensRead "tokens:read"
    TokensWrite "tokens:write"
    AuditRead "audit:read"
    CreditRead "credit:read"
    SqlRead "sql:read"
    SqlWrite "sql:write"
    AccountErase "account:erase"
    AccountExport "account:export"
}

impl Scope {
    /// Whether it is a right to the account, and not to data.
    #[must_use]
    pub fn is_of_account(self) -> bool {
        matches!(
            self,
            Self::Everything
                | Self::TokensRead
                | Self::TokensWrite
                | Self::AuditRead
                | Self::CreditRead
                | Self::AccountErase
                | Self::AccountExport
        )
    }

    /// Whether a token with the scope `self` may do what needs the scope `needed`.
    #[must_use]
    pub fn allows(self, needed: Self) -> bool {
        self == Self::Everything || self == needed
    }
}

/// Deserializes an optional list of scopes, which is not empty.
pub(crate) fn scopes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Scope>>, D::Error> {
    struct Scopes(Vec<Scope>);

    impl<'de> Deserialize<'de> for Scopes {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let many = format!("must have 1 to {} scopes", Scope::ALL.len());
            let scopes = read_list(deserializer, Scope::ALL.len(), &many, |_: &Scope| true)?;
            if scopes.is_empty() { Err(D::Error::custom(many)) } else { Ok(Self(scopes)) }
        }
    }

    Ok(Option::<Scopes>::deserialize(deserializer)?.map(|scopes| scopes.0))
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl TryFrom<String> for Scope {
    type Error = NotAScope;

    fn try_from(text: String) -> Result<Self, NotAScope> {
        text.parse()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not a scope.
#[derive(Clone, Debug, thiserror::Error)]
#[error("must be a scope: {}", Scope::ALL.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", "))]
pub struct NotAScope;

impl FromStr for Scope {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        Self::ALL.iter().copied().find(|scope| scope.as_str() == text).ok_or(NotAScope)
    }
}
