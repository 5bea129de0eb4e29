//! `storeMemory` and `storeMemories`.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::check::{WEIGHT_BYTES, check_pairs, invalid};
use super::search_text::{self, SearchText};
use super::types::{Content, Importance, MemoryTtlMs, Metadata, Namespace, StoredMemories, StoredMemory, Tags};
use crate::auth::Scope;
use crate::call::{self, Context, Embedded, Method, NeededVector, Needs, Spec};
use crate::json::patched;
use crate::name::Name;
use crate::problem::{Code, Problem};
use crate::time::Time;
use crate::vector::Vector;

/// Memories in one call.
const BATCH_MAX: usize = 100;
/// Bytes of text in a batch, as words are found in it. Finding and indexing these words takes a fifth of a second.
const BATCH_TEXT_BYTES_MAX: usize = 256 << 10;
/// Size limit of a batch, in bytes: a hundred vectors of 1,536 dimensions are 3 MiB as JSON.
const BODY_BYTES_MAX: usize = 8 << 20;

const PROBLEMS: &[Code] = &[Code::InvalidVector, Code::EmbeddingFailed];
const REFS: &[call::Ref] = &[("id", "\"a\""), ("metadata", "{}")];

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
    pub search_text: SearchText,
}

fn drawn_id() -> Name {
    Name::ours(Uuid::now_v7().to_string())
}

impl StoreMemory {
    /// The vector of the content, unless the caller gave one.
    fn needed_vector(&mut self) -> Option<NeededVector<'_>> {
        let Self { content, embedding: embedding @ None, embedding_model, is_made, .. } = self else { return None };
        let put = Box::new(|made: Embedded| {
            (*embedding, *embedding_model, *is_made) = (Some(Some(made.vector)), Some(made.model), true);
        });
        Some(NeededVector { text: &content.0, put })
    }
}

impl Method for StoreMemory {
    type Output = StoredMemory;
    const SPEC: Spec = Spec::write("storeMemory").scope(Scope::MemoriesWrite).problems(PROBLEMS).refs(REFS);

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Problem> {
        let has_vector = matches!(self.embedding, Some(Some(_)));
        check_pairs(self.ttl_ms.is_some(), self.expires_at.is_some(), self.embedding_model.is_some(), has_vector)?;
        self.search_text = search_text::read(context.language, &self.content.0);
        Ok(())
    }

    fn weight(&self) -> usize {
        1 + self.search_text.bytes(&self.content.0) / WEIGHT_BYTES
    }

    fn needs(&mut self) -> Needs<'_> {
        Needs::vectors(self.needed_vector().into_iter().collect())
    }
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

impl Method for StoreMemories {
    type Output = StoredMemories;
    const SPEC: Spec =
        Spec::write("storeMemories").scope(Scope::MemoriesWrite).problems(PROBLEMS).body_bytes_max(BODY_BYTES_MAX);

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Problem> {
        let mut memories = self.memories.iter_mut().enumerate();
        memories.try_for_each(|(index, memory)| {
            Method::prepare(memory, context).map_err(|problem| problem.within(&format!("/memories/{index}")))
        })?;
        let bytes: usize = self.memories.iter().map(|memory| memory.search_text.bytes(&memory.content.0)).sum();
        if bytes > BATCH_TEXT_BYTES_MAX {
            let detail = format!(
                "must have contents of at most {BATCH_TEXT_BYTES_MAX} bytes together, as words are found in them"
            );
            return Err(invalid("/memories", &detail));
        }
        Ok(())
    }

    fn weight(&self) -> usize {
        self.memories.iter().map(Method::weight).sum()
    }

    fn needs(&mut self) -> Needs<'_> {
        Needs::vectors(self.memories.iter_mut().filter_map(StoreMemory::needed_vector).collect())
    }
}
