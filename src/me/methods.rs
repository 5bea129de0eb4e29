//! Methods of the account.

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use uuid::Uuid;

use super::types::{AuditEntry, Usage};
use crate::auth::Scope;
use crate::call::{Entry, Spec, method};
use crate::page::{Cursor, CursorOf, Limit, Page};
use crate::pay::Tier;

/// All methods of the account.
pub const METHODS: &[Entry] = &[Entry::of::<GetMe>(), Entry::of::<ListAudit>()];

/// Gets the usage of the payer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetMe {}

method!(GetMe => Usage, Spec::slow_read("getMe").tier(Tier::Free));

/// Lists the events of the account, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListAudit {
    /// Maximum number of entries in the page, 1 to 1,000. Default: 100.
    #[serde(default)]
    #[param(value_type = Option<Limit>)]
    pub limit: Limit,
    /// `nextCursor` of the previous page. Default: the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Cursor>)]
    pub cursor: Option<CursorOf<Uuid>>,
}

method!(ListAudit => Page<AuditEntry>, Spec::slow_read("listAudit").tier(Tier::Free).scope(Scope::AuditRead));
