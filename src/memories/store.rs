//! `storeMemory` and `storeMemories`.

use std::collections::HashSet;

use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::check::{WEIGHT_BYTES, check_pairs, invalid};
use super::types::{Content, Importance, MemoryTtlMs, Metadata, Namespace, StoredMemories, StoredMemory, Tags};
use crate::auth::Scope;
use crate::call::{self, Context, Embedded, Method, NeededVector, Needs, Spec};
use crate::json::{self, or_default, patched};
use crate::name::{Name, in_paths};
use crate::pay::Tier;
use crate::problem::{Code, Problem};
use crate::quotas::Primitive;
use crate::search_text::{self, SearchText};
use crate::time::Time;
use crate::vector::Vector;

/// Maximum number of memories in one call.
const BATCH_MAX: usize = 100;
/// Size limit of the prepared texts of a batch, in bytes. Parsing and indexing them takes a fifth of a second.
const BATCH_TEXT_BYTES_MAX: usize = 256 << 10;
/// Size limit of the request body of a batch, in bytes. A hundred vectors of 1,536 dimensions are 3 MiB of JSON.
const BODY_BYTES_MAX: usize = 8 << 20;

const PROBLEMS: &[Code] = &[Code::InvalidVector, Code::EmbeddingFailed, Code::QuotaExceeded];
const REFS: &[call::Ref] = &[("id", "\"a\""), ("metadata", "{}")];

/// Store a memory. It replaces the memory with the same id.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct StoreMemory {
    /// Id of the memory. Default: a UUID of version 7.
    #[serde(default = "new_id", deserialize_with = "or_new_id")]
    #[schema(ignore)]
    pub id: Name,
    /// Content of the memory, 1 to 100,000 characters.
    pub content: Content,
    /// Vector of the content, for searches by meaning. Absent: the server makes it, if it has a model. `null`: no
    /// vector.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vector>)]
    pub embedding: Option<Option<Vector>>,
    /// Model that made `embedding`; only with `embedding`. Only vectors of the same model and dimensions are compared.
    /// `null` or absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "text-embedding-3-small")]
    pub embedding_model: Option<Name>,
    /// Whether the server made the vector.
    #[serde(skip_deserializing)]
    #[schema(ignore)]
    pub is_made: bool,
    /// Arbitrary metadata, at most 16 KiB of JSON. Searches can filter by it. Default: `{}`.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Metadata, required = false)]
    pub metadata: Metadata,
    /// Tags of the memory, at most 32. Default: `[]`.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Tags, required = false)]
    pub tags: Tags,
    /// Importance of the memory, 0 to 1. Default: 0.5.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Importance, required = false)]
    pub importance: Importance,
    /// Namespace of the memory. Default: `default`.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Namespace, required = false)]
    pub namespace: Namespace,
    /// Time at which the memory expires. A past time means now. `null` or absent: never, unless `ttlMs` is given.
    /// Cannot be combined with `ttlMs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Lifetime of the memory, in milliseconds, 1,000 (one second) to 315,360,000,000 (10 years). `null` or absent: no
    /// limit, unless `expiresAt` is given. Cannot be combined with `expiresAt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 1000, maximum = 315360000000i64)]
    pub ttl_ms: Option<MemoryTtlMs>,
    /// The content, as it is searched by words.
    #[serde(skip_deserializing)]
    #[schema(ignore)]
    pub search_text: SearchText,
}

fn new_id() -> Name {
    Name::ours(Uuid::now_v7().to_string())
}

fn or_new_id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
    let id: Option<Name> = Option::deserialize(deserializer)?;
    id.map_or_else(|| Ok(new_id()), in_paths).map_err(serde::de::Error::custom)
}

impl StoreMemory {
    /// The vector to make from the content. `None` if the caller gave a vector or `null`.
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
    const SPEC: Spec = Spec::write("storeMemory")
        .primitive(Primitive::Memories)
        .names(&["id", "namespace"])
        .tier(Tier::Ai)
        .scope(Scope::MemoriesWrite)
        .problems(PROBLEMS)
        .refs(REFS);

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Problem> {
        let has_vector = matches!(self.embedding, Some(Some(_)));
        check_pairs(self.ttl_ms.is_some(), self.expires_at.is_some(), self.embedding_model.is_some(), has_vector)?;
        self.search_text = search_text::read(context.language, &self.content.0);
        Ok(())
    }

    fn weight(&self) -> usize {
        1 + self.search_text.all_bytes(&self.content.0) / WEIGHT_BYTES + self.metadata.weight()
    }

    fn needs(&mut self) -> Needs<'_> {
        Needs::vectors(self.needed_vector().into_iter().collect())
    }
}

/// Schema of one memory of a batch: a [`StoreMemory`] with its id. The requests are parsed as `StoreMemory`.
pub struct BatchedMemory;

impl PartialSchema for BatchedMemory {
    fn schema() -> RefOr<Schema> {
        let mut schema = StoreMemory::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.description = Some("One memory of a batch.".to_owned());
            let id = Ref::builder()
                .ref_location_from_schema_name(Name::name())
                .description(Some("Id of the memory. Default: a UUID of version 7."));
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

/// Store a batch of memories. The batch succeeds or fails as a whole.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct StoreMemories {
    /// Memories to store, 1 to 100, with different ids and contents of at most 256 KiB in total. Contents beyond ASCII
    /// count with the size of the text that is prepared for searches by words.
    #[serde(deserialize_with = "batch")]
    #[schema(value_type = Vec<BatchedMemory>, min_items = 1, max_items = 100)]
    pub memories: Vec<StoreMemory>,
}

fn batch<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<StoreMemory>, D::Error> {
    let count = format!("must be 1 to {BATCH_MAX} memories");
    let memories = json::read_list(deserializer, BATCH_MAX, &count, |_: &StoreMemory| true)?;
    if memories.is_empty() {
        return Err(D::Error::custom(count));
    }
    let mut ids = HashSet::new();
    match memories.iter().find(|memory| !ids.insert(&memory.id)) {
        Some(_twice) => Err(D::Error::custom("must have each id once")),
        None => Ok(memories),
    }
}

impl Method for StoreMemories {
    type Output = StoredMemories;
    const SPEC: Spec = Spec::write("storeMemories")
        .primitive(Primitive::Memories)
        .names(&["memories.id", "memories.namespace"])
        .tier(Tier::Ai)
        .scope(Scope::MemoriesWrite)
        .problems(PROBLEMS)
        .body_bytes_max(BODY_BYTES_MAX);

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
