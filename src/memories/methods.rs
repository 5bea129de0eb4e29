//! Methods of memories, and their parameters. `store.rs`, `update.rs` and `search.rs` hold the larger ones.

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::search::SearchMemories;
use super::store::{StoreMemories, StoreMemory};
use super::types::Memory;
use super::update::UpdateMemory;
use crate::auth::Scope;
use crate::call::{Entry, Ref, Spec, method};
use crate::name::Name;
use crate::page::{Cursor, Limit, Page};
use crate::problem::Code;
use crate::quotas::Primitive;

/// All methods of memories.
pub const METHODS: &[Entry] = &[
    Entry::of::<StoreMemory>(),
    Entry::of::<StoreMemories>(),
    Entry::of::<SearchMemories>(),
    Entry::of::<ListMemories>(),
    Entry::of::<RecallMemory>(),
    Entry::of::<UpdateMemory>(),
    Entry::of::<ForgetMemory>(),
];

const ID: Ref = ("id", "\"a\"");

/// Get a memory.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[into_params(parameter_in = Query)]
pub struct RecallMemory {
    /// Id of the memory.
    #[param(ignore)]
    pub id: Name,
    /// Whether to return the vector too. Default: `false`.
    #[serde(default)]
    #[param(value_type = Option<bool>, default = false)]
    pub include_embedding: bool,
}

method!(
    RecallMemory => Memory,
    Spec::read("recallMemory").names(&["id"]).scope(Scope::MemoriesRead).problems(&[Code::NotFound]).refs(&[ID])
);

/// Delete a memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct ForgetMemory {
    /// Id of the memory.
    pub id: Name,
}

method!(
    ForgetMemory => (),
    Spec::write("forgetMemory").primitive(Primitive::Memories).names(&["id"]).scope(Scope::MemoriesWrite).problems(&[Code::NotFound]).refs(&[ID])
);

/// List memories in the order of their ids, one page per call.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[into_params(parameter_in = Query)]
pub struct ListMemories {
    /// Only memories in this namespace. Absent: all namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Name>, example = "user-42")]
    pub namespace: Option<Name>,
    /// Only memories with this tag. Absent: any or no tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Name>, example = "preferences")]
    pub tag: Option<Name>,
    /// Only memories whose ids start with this prefix. Absent: all ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Name>, example = "user")]
    pub prefix: Option<Name>,
    /// Maximum number of memories in the page, 1 to 1,000. Default: 100.
    #[serde(default)]
    #[param(value_type = Option<Limit>)]
    pub limit: Limit,
    /// `nextCursor` of the previous page. Absent: the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Cursor>)]
    pub cursor: Option<Cursor>,
}

method!(ListMemories => Page<Memory>, Spec::slow_read("listMemories").names(&["namespace", "prefix"]).scope(Scope::MemoriesRead));
