//! `searchMemories`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::check::{check_pairs, invalid};
use super::filter::Filter;
use super::types::{Memory, Tags, is_text};
use crate::auth::Scope;
use crate::call::{Context, Embedded, Method, NeededVector, Needs, Spec};
use crate::json::{flattened, or_default, patched};
use crate::name::Name;
use crate::number::Bounded;
use crate::pay::Tier;
use crate::problem::{Code, Problem};
use crate::search_text::{self, SearchText};
use crate::vector::Vector;

/// Length limit of a query, in characters.
const QUERY_CHARS_MAX: usize = 10_000;

/// Maximum number of results of a search, 1 to 100.
pub type SearchLimit = Bounded<1, 100>;

/// Query text, 1 to 10,000 characters, not only white space.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 10000, example = "What does Ada like to drink?")]
pub struct Query(pub String);

impl TryFrom<String> for Query {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        is_text(&text, QUERY_CHARS_MAX).map(|()| Self(text))
    }
}

/// Mode of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum Mode {
    /// By meaning: the memories whose vectors are nearest to the vector of the query.
    Vector,
    /// By words: stems in the language of the server, and unchanged words.
    Text,
    /// By meaning and by words.
    Hybrid,
}

impl TryFrom<String> for Mode {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "vector" => Ok(Self::Vector),
            "text" => Ok(Self::Text),
            "hybrid" => Ok(Self::Hybrid),
            _ => Err("must be `vector`, `text` or `hybrid`"),
        }
    }
}

/// Condition on the tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum TagsMatch {
    /// Memories with all of the tags.
    #[default]
    All,
    /// Memories with at least one of the tags.
    Any,
}

impl TryFrom<String> for TagsMatch {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "all" => Ok(Self::All),
            "any" => Ok(Self::Any),
            _ => Err("must be `all` or `any`"),
        }
    }
}

/// Search memories.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct SearchMemories {
    /// Query text. `null` or absent: the search uses `embedding` alone, in mode `vector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<Query>,
    /// Vector of the query. `null` or absent: the server makes it from `query`, if it has a model. Not allowed in mode
    /// `text`.
    #[serde(default, skip_serializing_if = "travels_apart")]
    pub embedding: Option<Vector>,
    /// Model that made `embedding`; only with `embedding`. `null` or absent: the vector is compared with vectors that
    /// were stored without a model. If none of them has the same dimensions, it is compared with the vectors of these
    /// dimensions, provided that one model made them all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "text-embedding-3-small")]
    pub embedding_model: Option<Name>,
    /// Whether the server made the vector.
    #[serde(skip_deserializing, default)]
    #[schema(ignore)]
    pub is_made: bool,
    /// Mode of the search. `null` or absent: with a query, `hybrid` if `embedding` is given or the server has a model,
    /// otherwise `text`; without a query, `vector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Mode>)]
    pub mode: Option<Mode>,
    /// Whether the server chose the mode.
    #[serde(skip_deserializing, default)]
    #[schema(ignore)]
    pub is_default: bool,
    /// Maximum number of results, 1 to 100. Default: 10.
    #[serde(default = "Bounded::of::<10>", deserialize_with = "Bounded::or::<10, _>")]
    #[schema(value_type = i64, required = false, minimum = 1, maximum = 100, default = 10)]
    pub limit: SearchLimit,
    /// Minimum score of a result, in the scoring of the mode: at most 1 in the modes `vector` and `hybrid`,
    /// unbounded in mode `text`. `null` or absent: no minimum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 0.2)]
    pub min_score: Option<f64>,
    /// Only memories whose metadata matches this filter. `null` or absent: all memories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// Equalities that the filter requires. The search looks them up in an index.
    #[serde(skip_deserializing)]
    #[schema(ignore)]
    pub equals: Vec<(String, Value)>,
    /// Only memories in this namespace. `null` or absent: all namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "user-42")]
    pub namespace: Option<Name>,
    /// Only memories with these tags, at most 32. Default: `[]`, all memories.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Tags, required = false)]
    pub tags: Tags,
    /// Whether memories must have `all` of the tags or `any` of them. Default: `all`.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = TagsMatch, required = false, default = "all")]
    pub tags_match: TagsMatch,
    /// Whether to return the vectors of the results too. Default: `false`.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = bool, required = false, default = false)]
    pub include_embedding: bool,
    /// Whether to compare all vectors. If not `true`, the search may be approximate where more than 50,000 vectors have
    /// the same model and dimensions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = true)]
    pub exact: Option<bool>,
    /// The query, as it is searched by words.
    #[serde(skip_deserializing)]
    #[schema(ignore)]
    pub search_text: SearchText,
}

/// The vector is a parameter of its own ([`Method::vector`]).
fn travels_apart(_: &Option<Vector>) -> bool {
    true
}

impl Method for SearchMemories {
    type Output = Found;
    const SPEC: Spec = Spec::slow_read("searchMemories")
        .names(&["namespace"])
        .tier(Tier::Ai)
        .with_vector()
        .scope(Scope::MemoriesRead)
        .problems(&[Code::InvalidVector, Code::DimensionMismatch, Code::NoEmbeddingModel, Code::EmbeddingFailed]);

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Problem> {
        check_pairs(false, false, self.embedding_model.is_some(), self.embedding.is_some())?;
        let can_embed = self.embedding.is_some() || context.can_embed;
        self.is_default = self.mode.is_none();
        let mode = self.mode.unwrap_or(match (self.query.is_some(), can_embed) {
            (true, true) => Mode::Hybrid,
            (true, false) => Mode::Text,
            (false, _) => Mode::Vector,
        });
        if self.query.is_none() && (mode != Mode::Vector || self.embedding.is_none()) {
            let detail =
                if mode == Mode::Vector { "must be given, or `embedding`" } else { "must be given in this mode" };
            return Err(invalid("/query", detail));
        }
        if mode != Mode::Text && !can_embed {
            return Err(Problem::new(Code::NoEmbeddingModel));
        }
        if mode == Mode::Text && self.embedding.is_some() {
            return Err(invalid("/embedding", "must not be given in mode `text`"));
        }
        let best = match mode {
            Mode::Vector | Mode::Hybrid => 1.0,
            Mode::Text => f64::INFINITY,
        };
        if self.min_score.is_some_and(|score| score > best) {
            let detail = format!("must be at most {best} in this mode: no memory can have a higher score");
            return Err(invalid("/minScore", &detail));
        }
        self.mode = Some(mode);
        self.equals = self.filter.as_ref().map(|filter| filter.equals().to_vec()).unwrap_or_default();
        if let Some(query) = &self.query {
            self.search_text = search_text::read(context.language, &query.0);
        }
        Ok(())
    }

    fn weight(&self) -> usize {
        1 + self.filter.as_ref().map_or(0, Filter::weight)
    }

    fn vector(&self) -> Option<&Vector> {
        self.embedding.as_ref()
    }

    fn needs(&mut self) -> Needs<'_> {
        let is_by_vector = self.mode != Some(Mode::Text);
        let Self { query: Some(query), embedding: embedding @ None, embedding_model, is_made, .. } = self else {
            return Needs::default();
        };
        let put = Box::new(|made: Embedded| {
            (*embedding, *embedding_model, *is_made) = (Some(made.vector), Some(made.model), true);
        });
        let needed = NeededVector { text: &query.0, put };
        Needs::vectors(is_by_vector.then_some(needed).into_iter().collect())
    }
}

/// Meaning of the scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scoring {
    /// Mode `vector`: cosine similarity, from -1 to 1 (same direction).
    CosineSimilarity,
    /// Mode `text`: BM25, greater than 0. Higher is better. The range depends on the memories and the query.
    Bm25,
    /// Mode `hybrid`: the mean of `vectorScore`, or 0 if that is negative or `null`, and of `textScore` divided by the
    /// score that no text can reach for the query. From 0 to 1.
    Mean,
}

/// A result of a search.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FoundMemory {
    /// The memory.
    #[serde(flatten)]
    pub memory: Memory,
    /// Score of the result; `scoring` says what it means.
    #[schema(example = 0.43)]
    pub score: f64,
    /// Cosine similarity, in mode `hybrid` only. `null` if the memory has no vector that can be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, example = 0.71)]
    pub vector_score: Option<Option<f64>>,
    /// BM25 score, in mode `hybrid` only. `null` if the memory has no word of the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, example = 4.2)]
    pub text_score: Option<Option<f64>>,
}

flattened!(FoundMemory {
    memory,
    score: f64,
    #[serde(default, deserialize_with = "patched")]
    vector_score: Option<Option<f64>>,
    #[serde(default, deserialize_with = "patched")]
    text_score: Option<Option<f64>>,
});

/// Result of a search.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// Mode of the search.
    pub mode: Mode,
    /// Meaning of the scores.
    pub scoring: Scoring,
    /// Whether the results are certainly the best ones. `false` in two cases: the search by vector tried its
    /// approximate index, or more than 50,000 memories have one of the words. Then only a part of these memories is
    /// ranked: all that have a rare word, and some of the others.
    #[schema(example = true)]
    pub exact: bool,
    /// Number of memories whose vectors were compared with the query. If the search was approximate: number of all
    /// memories with comparable vectors. In mode `text`: number of all memories.
    #[schema(example = 1204)]
    pub searched: u64,
    /// Number of memories without a vector that can be compared with the query. 0 in mode `text`.
    #[schema(example = 0)]
    pub skipped: u64,
    /// Results, best first.
    pub results: Vec<FoundMemory>,
}
