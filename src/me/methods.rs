//! Methods of the account.

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use uuid::Uuid;

use super::erase::ErasePayer;
use super::types::{Account, AuditEntry, Event};
use crate::auth::Scope;
use crate::call::{Context, Entry, Method, Spec};
use crate::page::{Cursor, CursorOf, Limit, Page};
use crate::pay::Tier;
use crate::problem::Problem;

/// All methods of the account.
pub const METHODS: &[Entry] = &[Entry::of::<GetMe>(), Entry::of::<ErasePayer>(), Entry::of::<ListAudit>()];

/// Gets the usage of the payer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct GetMe {
    /// Id of the allowance of the calling token.
    #[serde(skip_deserializing)]
    pub allowance: Option<String>,
}

impl Method for GetMe {
    type Output = Account;
    const SPEC: Spec = Spec::slow_read("getMe").tier(Tier::Free);

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Problem> {
        self.allowance = context.rights()?.allowance.as_ref().map(|allowance| allowance.id.clone());
        Ok(())
    }
}

/// Lists the events of the account, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
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
    /// The events that this server knows.
    #[serde(skip_deserializing)]
    #[param(ignore)]
    pub events: &'static [Event],
}

impl Method for ListAudit {
    type Output = Page<AuditEntry>;
    const SPEC: Spec = Spec::slow_read("listAudit").tier(Tier::Free).scope(Scope::AuditRead);

    fn prepare(&mut self, _: &Context<'_>) -> Result<(), Problem> {
        self.events = Event::ALL;
        Ok(())
    }
}
