//! Scopes: the rights of a token.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

/// Declares the scopes and their spelling once.
macro_rules! scopes {
    ($($variant:ident $text:literal)*) => {
        /// A right of a token: to read or to write one primitive, or everything.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
        #[serde(try_from = "String")]
        pub enum Scope {
            $(#[doc = concat!("`", $text, "`.")] $variant,)*
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
}

impl Scope {
    /// Whether a token with the scope `self` may do what needs the scope `needed`.
    #[must_use]
    pub fn allows(self, needed: Self) -> bool {
        self == Self::Everything || self == needed
    }
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
