//! `updateMemory`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::{WEIGHT_BYTES, check_pairs};
use super::search_text::{self, SearchText};
use super::types::{Content, Importance, Memory, MemoryTtlMs, Metadata, Namespace, Tags};
use crate::auth::Scope;
use crate::call::{Context, Embedded, Method, NeededVector, Needs, Spec};
use crate::json::{patched, present};
use crate::name::Name;
use crate::problem::{Code, Problem};
use crate::time::Time;
use crate::vector::Vector;

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
    pub search_text: SearchText,
}

impl Method for UpdateMemory {
    type Output = Memory;
    const SPEC: Spec = Spec::write("updateMemory")
        .scope(Scope::MemoriesWrite)
        .problems(&[Code::NotFound, Code::InvalidVector, Code::EmbeddingFailed])
        .refs(&[("id", "\"a\""), ("metadata", "{}")]);

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Problem> {
        let has_vector = matches!(self.embedding, Some(Some(_)));
        let (has_ttl, has_end) = (matches!(self.ttl_ms, Some(Some(_))), matches!(self.expires_at, Some(Some(_))));
        check_pairs(has_ttl, has_end, self.embedding_model.is_some(), has_vector)?;
        if let Some(content) = &self.content {
            self.search_text = search_text::read(context.language, &content.0);
        }
        // What null stands for.
        self.tags = self.tags.take().map(|tags| Some(tags.unwrap_or_default()));
        self.importance = self.importance.take().map(|importance| Some(importance.unwrap_or_default()));
        self.namespace = self.namespace.take().map(|namespace| Some(namespace.unwrap_or_default()));
        Ok(())
    }

    fn weight(&self) -> usize {
        1 + self.content.as_ref().map_or(0, |content| self.search_text.bytes(&content.0)) / WEIGHT_BYTES
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
