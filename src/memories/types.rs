//! What goes into the methods of memories, and what comes out.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use uuid::Uuid;

use super::searchable::Reading;
use crate::json::{DEPTH_MAX, check_depth, patched, present};
use crate::name::Name;
use crate::number::Bounded;
use crate::page::{Cursor, Limit};
use crate::time::Time;
use crate::vector::Vector;

/// The longest content, in characters.
const CONTENT_CHARS_MAX: usize = 100_000;
/// The largest metadata of one call, in bytes as JSON.
const METADATA_BYTES_MAX: usize = 16 << 10;
/// Most tags of a memory or of a search.
const TAGS_MAX: usize = 32;
/// Most memories of one call.
const BATCH_MAX: usize = 100;
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

/// Stores a memory in the place of whatever had its id.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreMemory {
    /// What the payer calls it.
    #[serde(default = "drawn_id")]
    #[schema(ignore)]
    pub id: Name,
    /// What to remember.
    pub content: Content,
    /// What it means, for searches by meaning. Left out, it is made from the content by the server's model, if it has one;
    /// `null`: none.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vector>)]
    pub embedding: Option<Option<Vector>>,
    /// What made the vector: only vectors of the same model and dimensions are compared. Only with `embedding`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "text-embedding-3-small")]
    pub embedding_model: Option<Name>,
    /// Whether the server made the vector.
    #[serde(skip_deserializing)]
    #[schema(ignore)]
    pub is_made: bool,
    /// What else to know of it.
    #[serde(default)]
    #[schema(value_type = Metadata, required = false)]
    pub metadata: Metadata,
    /// Its tags.
    #[serde(default)]
    #[schema(value_type = Tags, required = false)]
    pub tags: Tags,
    /// How important it is.
    #[serde(default)]
    #[schema(value_type = Importance, required = false)]
    pub importance: Importance,
    /// Where it goes.
    #[serde(default)]
    #[schema(value_type = Namespace, required = false)]
    pub namespace: Namespace,
    /// When it ends; at once if that is past. Not together with `ttlMs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// How long it lives, in milliseconds: up to 10 years.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 1000, maximum = 315360000000i64)]
    pub ttl_ms: Option<MemoryTtlMs>,
    /// How it is read.
    #[serde(skip_deserializing)]
    #[schema(ignore)]
    pub reading: Reading,
}

fn drawn_id() -> Name {
    Name::ours(Uuid::now_v7().to_string())
}

/// One memory of a batch: a [`StoreMemory`] with its id. It is only described; a `StoreMemory` is read.
pub struct BatchedMemory;

impl PartialSchema for BatchedMemory {
    fn schema() -> RefOr<Schema> {
        let mut schema = StoreMemory::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.description = Some("One memory of a batch.".to_owned());
            let id = Ref::builder()
                .ref_location_from_schema_name(Name::name())
                .description(Some("What the payer calls it; else a UUID of version 7."));
            object.properties.insert("id".to_owned(), id.build().into());
        }
        schema
    }
}

impl ToSchema for BatchedMemory {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Name::name().into_owned(), Name::schema()));
        StoreMemory::schemas(schemas);
    }
}

/// Stores memories: all or none.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreMemories {
    /// 1 to 100 memories, of different ids, with contents of at most 256 KiB together.
    #[serde(deserialize_with = "batch")]
    #[schema(value_type = Vec<BatchedMemory>, min_items = 1, max_items = 100)]
    pub memories: Vec<StoreMemory>,
}

fn batch<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<StoreMemory>, D::Error> {
    let memories = Vec::<StoreMemory>::deserialize(deserializer)?;
    let refused = |detail: String| Err(serde::de::Error::custom(detail));
    if memories.is_empty() || memories.len() > BATCH_MAX {
        return refused(format!("must be 1 to {BATCH_MAX} memories"));
    }
    let mut ids = HashSet::new();
    match memories.iter().find(|memory| !ids.insert(&memory.id)) {
        Some(_twice) => refused("must have each id once".to_owned()),
        None => Ok(memories),
    }
}

/// Reads a memory.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RecallMemory {
    /// The memory.
    #[param(ignore)]
    pub id: Name,
    /// Whether to answer its vector too.
    #[serde(default)]
    #[param(value_type = Option<bool>, default = false)]
    pub include_embedding: bool,
}

/// Changes a memory: a JSON merge patch (RFC 7396).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateMemory {
    /// The memory.
    #[schema(ignore)]
    pub id: Name,
    /// What to remember instead. A vector that the server made is made anew, or taken away if it has no model any more; one
    /// that the caller gave stays.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Content, required = false)]
    pub content: Option<Content>,
    /// What it means; `null` takes the vector away.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vector>)]
    pub embedding: Option<Option<Vector>>,
    /// What made the vector. Only with `embedding`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "text-embedding-3-small")]
    pub embedding_model: Option<Name>,
    /// Whether the server made the vector.
    #[serde(skip_deserializing)]
    #[schema(ignore)]
    pub is_made: bool,
    /// Patched member by member; `null` clears it. At most 32 KiB may come of it.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Metadata>)]
    pub metadata: Option<Option<Metadata>>,
    /// All of its tags from now on; `null`: none.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Tags>)]
    pub tags: Option<Option<Tags>>,
    /// How important it is; `null`: 0.5.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Importance>)]
    pub importance: Option<Option<Importance>>,
    /// Where it goes; `null`: to `default`.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Namespace>)]
    pub namespace: Option<Option<Namespace>>,
    /// When it ends; `null`: never. Not together with `ttlMs`.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Time>)]
    pub expires_at: Option<Option<Time>>,
    /// How long it lives from now on, in milliseconds; `null`: for ever.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 1000, maximum = 315360000000i64)]
    pub ttl_ms: Option<Option<MemoryTtlMs>>,
    /// How it is read.
    #[serde(skip_deserializing)]
    #[schema(ignore)]
    pub reading: Reading,
}

/// Deletes a memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgetMemory {
    /// The memory.
    pub id: Name,
}

/// Reads a page of memories in the order of their ids.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListMemories {
    /// Only memories in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Name>, example = "user-42")]
    pub namespace: Option<Name>,
    /// Only memories with this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Name>, example = "preferences")]
    pub tag: Option<Name>,
    /// Only memories whose ids start with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Name>, example = "te")]
    pub prefix: Option<Name>,
    /// How many at most.
    #[serde(default)]
    #[param(value_type = Option<Limit>)]
    pub limit: Limit,
    /// `nextCursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Cursor>)]
    pub cursor: Option<Cursor>,
}
