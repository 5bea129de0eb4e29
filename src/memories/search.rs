//! What goes into a search, and what comes out.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::check::{check_pairs, invalid};
use super::filter::Filter;
use super::search_text::{self, SearchText};
use super::types::{Memory, Tags, is_text};
use crate::auth::Scope;
use crate::call::{Context, Embedded, Method, NeededVector, Needs, Spec};
use crate::json::patched;
use crate::name::Name;
use crate::number::Bounded;
use crate::problem::{Code, Problem};
use crate::vector::Vector;

/// The longest query, in characters.
const QUERY_CHARS_MAX: usize = 10_000;

/// How many memories a search finds at most.
pub type SearchLimit = Bounded<1, 100>;

/// What to look for: 1 to 10,000 characters, not only spaces.
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

/// How a search finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum Mode {
    /// By meaning: the vectors that are nearest to the query's.
    Vector,
    /// By words: stems in the server's language, and words as they stand.
    Text,
    /// By both.
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

/// Which memories a tag search takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum TagsMatch {
    /// Those with all of the tags.
    #[default]
    All,
    /// Those with one of the tags.
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

/// Finds memories.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SearchMemories {
    /// What to look for. By words; by meaning too, if there is an `embedding` of it or the server has a model to make one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<Query>,
    /// What it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vector>,
    /// What made the vector. Left out, the vector is compared with those that were stored without a model, or else with
    /// those of the same dimensions if one model made them all. Only with `embedding`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "text-embedding-3-small")]
    pub embedding_model: Option<Name>,
    /// Whether the server made the vector.
    #[serde(skip_deserializing, default)]
    #[schema(ignore)]
    pub is_made: bool,
    /// How to find. Left out: `hybrid` if both are possible, else the one that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Mode>)]
    pub mode: Option<Mode>,
    /// Whether the mode is ours to choose.
    #[serde(skip_deserializing, default)]
    #[schema(ignore)]
    pub is_default: bool,
    /// How many at most.
    #[serde(default = "Bounded::of::<10>")]
    #[schema(value_type = i64, required = false, minimum = 1, maximum = 100, default = 10)]
    pub limit: SearchLimit,
    /// Only those with this score or more. It is the score that the mode makes: up to 1 by vector, up to 2 / 61 = 0.0328 in
    /// `hybrid`, without a bound by words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 0.02)]
    pub min_score: Option<f64>,
    /// Only those whose metadata is like this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// What the filter demands.
    #[serde(skip_deserializing)]
    #[schema(ignore)]
    pub equals: Vec<(String, Value)>,
    /// Only those in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "user-42")]
    pub namespace: Option<Name>,
    /// Only those with these tags.
    #[serde(default)]
    #[schema(value_type = Tags, required = false)]
    pub tags: Tags,
    /// Whether they need all of the tags or any.
    #[serde(default)]
    #[schema(value_type = TagsMatch, required = false, default = "all")]
    pub tags_match: TagsMatch,
    /// Whether to answer vectors too.
    #[serde(default)]
    #[schema(value_type = bool, required = false, default = false)]
    pub include_embedding: bool,
    /// Whether every vector must be compared. Left out: up to 50,000 vectors. `false` prefers speed where there is a choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = true)]
    pub exact: Option<bool>,
    /// How the query is read.
    #[serde(skip_deserializing)]
    #[schema(ignore)]
    pub search_text: SearchText,
}

impl Method for SearchMemories {
    type Output = Found;
    const SPEC: Spec = Spec::slow_read("searchMemories").scope(Scope::MemoriesRead).problems(&[
        Code::InvalidVector,
        Code::DimensionMismatch,
        Code::NoEmbeddingModel,
        Code::EmbeddingFailed,
    ]);

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
            Mode::Vector => 1.0,
            Mode::Hybrid => 2.0 / 61.0,
            Mode::Text => f64::INFINITY,
        };
        if self.min_score.is_some_and(|score| score > best) {
            let detail = format!("must be at most {best:.4} in this mode: no memory can have a higher score");
            return Err(invalid("/minScore", &detail));
        }
        self.mode = Some(mode);
        self.equals = self.filter.as_ref().map(|filter| filter.equals().to_vec()).unwrap_or_default();
        if let Some(query) = &self.query {
            self.search_text = search_text::read(context.language, &query.0);
        }
        Ok(())
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

/// What a score is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scoring {
    /// Of `vector`: from -1 to 1, the same direction.
    CosineSimilarity,
    /// Of `text`: from 0, the higher the better; how high depends on the memories and the query.
    Bm25,
    /// Of `hybrid`: the sum of 1 / (60 + place) over both lists, at most 0.033.
    ReciprocalRankFusion,
}

/// A memory that was found.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FoundMemory {
    /// The memory.
    #[serde(flatten)]
    pub memory: Memory,
    /// How good it is.
    #[schema(example = 0.0325)]
    pub score: f64,
    /// In `hybrid`: its cosine similarity, or `null` if it is not among the nearest.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, example = 0.71)]
    pub vector_score: Option<Option<f64>>,
    /// In `hybrid`: its BM25, or `null` if it is not among the best by words.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, example = 4.2)]
    pub text_score: Option<Option<f64>>,
}

/// What a search found.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// How it was found.
    pub mode: Mode,
    /// What the scores are.
    pub scoring: Scoring,
    /// Whether these are the best for certain. If not, some of the best may be missing: a large space was searched along
    /// its graph, or more than 50,000 memories have one of the words, of which some are put in order, and of rare ones all.
    #[schema(example = true)]
    pub exact: bool,
    /// With how many memories the query was compared; along a graph, and by words: how many there are.
    #[schema(example = 1204)]
    pub searched: u64,
    /// How many memories have no vector that it could be compared with.
    #[schema(example = 0)]
    pub skipped: u64,
    /// The best first.
    pub results: Vec<FoundMemory>,
}
