//! Values and results of memories.

use std::collections::HashSet;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::check::METADATA_WEIGHT_BYTES;
use super::limits::MEMORY_METADATA_MAX;
use crate::json::{self, Json, flattened};
use crate::name::Name;
use crate::number::Bounded;
use crate::time::Time;
use crate::vector::Vector;

/// Length limit of a content, in characters.
const CONTENT_CHARS_MAX: usize = 100_000;
/// Maximum number of tags of a memory or of a search.
const TAGS_MAX: usize = 32;

/// Lifetime of a memory, in milliseconds, 1,000 (one second) to 315,360,000,000 (10 years).
pub type MemoryTtlMs = Bounded<1_000, 315_360_000_000>;

/// Content of a memory, 1 to 100,000 characters, not only white space.
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

/// Refuses a text that is blank or longer than `chars_max` characters.
pub(super) fn is_text(text: &str, chars_max: usize) -> Result<(), String> {
    match !text.trim().is_empty() && (text.len() <= chars_max || text.chars().count() <= chars_max) {
        true => Ok(()),
        false => Err(format!("must be 1 to {chars_max} characters, not only spaces")),
    }
}

/// Arbitrary metadata of a memory: a JSON object of at most 16 KiB, at most 64 levels deep. The size is that of
/// compact JSON in UTF-8, with all digits of its numbers. Searches can filter by it.
#[derive(Clone, Debug, Default, ToSchema)]
#[schema(value_type = Object, example = json!({"kind": "preference"}))]
pub struct Metadata(Option<Json>);

impl Metadata {
    /// How much work it is to index, in simple calls.
    pub(super) fn weight(&self) -> usize {
        self.0.as_ref().map_or(0, |metadata| metadata.text().len() / METADATA_WEIGHT_BYTES)
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(metadata) => metadata.serialize(serializer),
            None => Map::new().serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = json::read_members_within(deserializer, MEMORY_METADATA_MAX)?;
        let metadata = Json::within(Value::Object(members), MEMORY_METADATA_MAX);
        metadata.map(|metadata| Self(Some(metadata))).map_err(D::Error::custom)
    }
}

/// Tags, at most 32. Duplicates are removed.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(value_type = Vec<Name>, max_items = 32, example = json!(["preferences"]))]
pub struct Tags(Vec<Name>);

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let too_many = format!("must be at most {TAGS_MAX} tags");
        let mut seen = HashSet::new();
        json::read_list(deserializer, TAGS_MAX, &too_many, |tag: &Name| seen.insert(tag.clone())).map(Self)
    }
}

/// Importance of a memory, 0 to 1. It is for the caller's use; searches ignore it.
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

/// Namespace of related memories, such as all memories about one user. An id is unique across all namespaces of the
/// payer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, min_length = 1, max_length = 256, pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$", default = "default", example = "user-42")]
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
    /// Id of the memory.
    pub id: Name,
    /// Namespace of the memory.
    pub namespace: Namespace,
    /// Content of the memory.
    pub content: String,
    /// Metadata of the memory.
    #[schema(value_type = Metadata)]
    pub metadata: Box<RawValue>,
    /// Tags of the memory.
    pub tags: Tags,
    /// Importance of the memory, 0 to 1.
    pub importance: Importance,
    /// Whether the memory has a vector. Without one, searches by meaning do not find it.
    #[schema(example = true)]
    pub has_embedding: bool,
    /// Model that made the vector. `null` if there is no vector, or the caller did not name a model.
    #[schema(required, example = "all-MiniLM-L6-v2:53aa5117")]
    pub embedding_model: Option<Name>,
    /// Number of dimensions of the vector. `null` if there is no vector.
    #[schema(required, example = 384)]
    pub dimensions: Option<u32>,
    /// Vector of the memory. `null` if the request has no `includeEmbedding`, or the memory has no vector.
    #[serde(default)]
    #[schema(required, value_type = Option<Vector>)]
    pub embedding: Option<Vec<f32>>,
    /// Time at which the memory expires. `null`: never.
    #[schema(required, example = json!(null))]
    pub expires_at: Option<Time>,
    /// Time at which the memory was first stored.
    pub created_at: Time,
    /// Time of the last change.
    pub updated_at: Time,
}

/// Result of storing a memory.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StoredMemory {
    /// The memory.
    #[serde(flatten)]
    pub memory: Memory,
    /// Whether the memory replaced another one.
    #[schema(example = false)]
    pub replaced: bool,
}

flattened!(StoredMemory { memory, replaced: bool });

/// Result of storing a batch.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StoredMemories {
    /// Stored memories, in the order of the request.
    pub memories: Vec<StoredMemory>,
}
