//! `updateMemory`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::{WEIGHT_BYTES, check_pairs};
use super::types::{Content, Importance, Memory, MemoryTtlMs, Metadata, Namespace, Tags};
use crate::auth::Scope;
use crate::call::{Context, Embedded, Method, NeededVector, Needs, Spec};
use crate::json::patched;
use crate::name::Name;
use crate::pay::Tier;
use crate::problem::{Code, Problem};
use crate::quotas::Primitive;
use crate::search_text::{self, SearchText};
use crate::time::Time;
use crate::vector::Vector;

/// Update a memory with a JSON merge patch (RFC 7396). Absent members are unchanged.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct UpdateMemory {
    /// Id of the memory.
    #[schema(ignore)]
    pub id: Name,
    /// New content, 1 to 100,000 characters. `null` or absent keeps it. Unless `embedding` is given, the server makes the vector again
    /// if it made the old one or there was none. A vector that it made is removed if it has no model any more. A vector
    /// from the caller stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// New vector. `null` removes the vector.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vector>)]
    pub embedding: Option<Option<Vector>>,
    /// Model that made `embedding`; only with `embedding`. `null` or absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "text-embedding-3-small")]
    pub embedding_model: Option<Name>,
    /// Whether the server made the vector.
    #[serde(skip_deserializing)]
    #[schema(ignore)]
    pub is_made: bool,
    /// Merge patch of the metadata, at most 16 KiB of JSON. A member that is `null` is removed; `null` for the whole
    /// removes all members. If the result has more than 32 KiB, the call fails with `payload-too-large`.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Metadata>)]
    pub metadata: Option<Option<Metadata>>,
    /// New tags, at most 32, instead of the old ones. `null`: no tags.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Tags>)]
    pub tags: Option<Option<Tags>>,
    /// New importance, 0 to 1. `null`: 0.5.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Importance>)]
    pub importance: Option<Option<Importance>>,
    /// New namespace. `null`: `default`.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Namespace>)]
    pub namespace: Option<Option<Namespace>>,
    /// New time at which the memory expires. A past time means now. `null`: never. Cannot be combined with `ttlMs`.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Time>)]
    pub expires_at: Option<Option<Time>>,
    /// Lifetime of the memory from now on, in milliseconds, 1,000 (one second) to 315,360,000,000 (10 years). `null`:
    /// no limit. Cannot be combined with `expiresAt`.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 1000, maximum = 315360000000i64)]
    pub ttl_ms: Option<Option<MemoryTtlMs>>,
    /// The new content, as it is searched by words.
    #[serde(skip_deserializing)]
    #[schema(ignore)]
    pub search_text: SearchText,
}

impl Method for UpdateMemory {
    type Output = Memory;
    const SPEC: Spec = Spec::write("updateMemory")
        .primitive(Primitive::Memories)
        .names(&["id", "namespace"])
        .tier(Tier::Ai)
        .scope(Scope::MemoriesWrite)
        .problems(&[Code::NotFound, Code::InvalidVector, Code::EmbeddingFailed, Code::QuotaExceeded])
        .refs(&[("id", "\"a\""), ("metadata", "{}")]);

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Problem> {
        let has_vector = matches!(self.embedding, Some(Some(_)));
        let (has_ttl, has_end) = (matches!(self.ttl_ms, Some(Some(_))), matches!(self.expires_at, Some(Some(_))));
        check_pairs(has_ttl, has_end, self.embedding_model.is_some(), has_vector)?;
        if let Some(content) = &self.content {
            self.search_text = search_text::read(context.language, &content.0);
        }
        // `null` stands for the default.
        self.tags = self.tags.take().map(|tags| Some(tags.unwrap_or_default()));
        self.importance = self.importance.take().map(|importance| Some(importance.unwrap_or_default()));
        self.namespace = self.namespace.take().map(|namespace| Some(namespace.unwrap_or_default()));
        Ok(())
    }

    fn weight(&self) -> usize {
        let content = self.content.as_ref().map_or(0, |content| self.search_text.all_bytes(&content.0));
        let metadata = self.metadata.iter().flatten().map(Metadata::weight).sum::<usize>();
        1 + content / WEIGHT_BYTES + metadata
    }

    fn needs(&mut self) -> Needs<'_> {
        let Self { content: Some(content), embedding: embedding @ None, embedding_model, is_made, .. } = self else {
            return Needs::default();
        };
        let put = Box::new(|made: Embedded| {
            (*embedding, *embedding_model, *is_made) = (Some(Some(made.vector)), Some(made.model), true);
        });
        Needs::vectors(vec![NeededVector { text: &content.0, put }])
    }
}
