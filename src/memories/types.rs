//! Values and results of memories.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::json::{DEPTH_MAX, check_depth};
use crate::name::Name;
use crate::number::Bounded;
use crate::time::Time;
use crate::vector::Vector;

/// The longest content, in characters.
const CONTENT_CHARS_MAX: usize = 100_000;
/// The largest metadata of one call, in bytes as JSON.
const METADATA_BYTES_MAX: usize = 16 << 10;
/// Most tags of a memory or of a search.
const TAGS_MAX: usize = 32;
/// How long a memory lives, in milliseconds: 1 second to 10 years.
pub type MemoryTtlMs = Bounded<1_000, 315_360_000_000>;
/// What to remember: 1 to 100,000 characters, not only spaces.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 100000, example = "Ada prefers tea, without sugar.")]
pub struct Content(pub String);

impl TryFrom<String> for Content {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        is_text(&text, CONTENT_CHARS_MAX).map(|()| Self(text))
    }
}

/// Refuses what is no text to be read.
pub(super) fn is_text(text: &str, chars_max: usize) -> Result<(), String> {
    match !text.trim().is_empty() && (text.len() <= chars_max || text.chars().count() <= chars_max) {
        true => Ok(()),
        false => Err(format!("must be 1 to {chars_max} characters, not only spaces")),
    }
}

/// What else to know of a memory, and to filter by: a JSON object of at most 16 KiB, nested at most 64 levels deep.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Map<String, Value>")]
#[schema(value_type = Object, example = json!({"kind": "preference"}))]
pub struct Metadata(Map<String, Value>);

impl TryFrom<Map<String, Value>> for Metadata {
    type Error = String;

    fn try_from(members: Map<String, Value>) -> Result<Self, String> {
        check_depth(members.values(), DEPTH_MAX - 1)?;
        match serde_json::to_string(&members) {
            Ok(json) if json.len() <= METADATA_BYTES_MAX => Ok(Self(members)),
            _ => Err(format!("must be at most {METADATA_BYTES_MAX} bytes as JSON")),
        }
    }
}

/// Up to 32 names.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Vec<Name>")]
#[schema(value_type = Vec<Name>, max_items = 32, example = json!(["preferences"]))]
pub struct Tags(Vec<Name>);

impl TryFrom<Vec<Name>> for Tags {
    type Error = String;

    fn try_from(mut tags: Vec<Name>) -> Result<Self, String> {
        let mut seen = HashSet::new();
        tags.retain(|tag| seen.insert(tag.clone()));
        match tags.len() <= TAGS_MAX {
            true => Ok(Self(tags)),
            false => Err(format!("must be at most {TAGS_MAX} tags")),
        }
    }
}

/// How important a memory is: 0 to 1. For the caller's own use: no search looks at it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "f64")]
#[schema(value_type = f64, minimum = 0, maximum = 1, default = 0.5)]
pub struct Importance(f64);

impl Default for Importance {
    fn default() -> Self {
        Self(0.5)
    }
}

impl TryFrom<f64> for Importance {
    type Error = &'static str;

    fn try_from(importance: f64) -> Result<Self, Self::Error> {
        match (0.0..=1.0).contains(&importance) {
            true => Ok(Self(importance)),
            false => Err("must be 0 to 1"),
        }
    }
}

/// A place for memories of one kind, such as those about one user. Ids are the payer's, and the same in all namespaces.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Name, default = "default", example = "user-42")]
pub struct Namespace(Name);

impl Default for Namespace {
    fn default() -> Self {
        Self(Name::ours("default"))
    }
}

/// A memory.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// What the payer calls it.
    pub id: Name,
    /// Where it is.
    pub namespace: Namespace,
    /// What is remembered.
    pub content: String,
    /// What else is known of it.
    #[schema(value_type = Metadata)]
    pub metadata: Map<String, Value>,
    /// Its tags.
    pub tags: Tags,
    /// How important it is.
    pub importance: Importance,
    /// Whether it can be found by meaning.
    #[schema(example = true)]
    pub has_embedding: bool,
    /// What made its vector; `null` where the caller gave it and did not say.
    #[schema(required, example = "all-MiniLM-L6-v2:53aa5117")]
    pub embedding_model: Option<Name>,
    /// Of its vector.
    #[schema(required, example = 384)]
    pub dimensions: Option<u32>,
    /// Its vector, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vector>)]
    pub embedding: Option<Vec<f32>>,
    /// When it ends.
    #[schema(required, example = json!(null))]
    pub expires_at: Option<Time>,
    /// When it was stored first.
    pub created_at: Time,
    /// When it was last written.
    pub updated_at: Time,
}

/// A memory that was stored.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StoredMemory {
    /// The memory.
    #[serde(flatten)]
    pub memory: Memory,
    /// Whether it took the place of another one.
    #[schema(example = false)]
    pub replaced: bool,
}

/// Memories that were stored.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StoredMemories {
    /// In the order of the call.
    pub memories: Vec<StoredMemory>,
}
