//! The erasure of the data of a payer.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::{Scope, TokenId};
use crate::call::{Context, Method, NeededSlug, Needs, Spec};
use crate::pay::Tier;
use crate::payer::Payer;
use crate::problem::{Code, Problem};

/// Erases the data of the payer, a limited number of rows.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct ErasePayer {
    /// Whose data to erase: the payer of the token, so that no call erases data by mistake.
    pub payer: Payer,
    /// The token of the caller.
    #[serde(skip_deserializing)]
    #[schema(ignore)]
    pub by: Option<TokenId>,
}

/// What was erased.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Erased {
    /// Number of rows that this call deleted, or whose content it deleted.
    #[schema(example = 1000)]
    pub deleted: u64,
    /// Whether there may be more to erase: call again until it is false.
    #[schema(example = true)]
    pub has_more: bool,
}

impl Method for ErasePayer {
    type Output = Erased;
    // It runs apart, so a transaction cannot contain it.
    const SPEC: Spec = Spec::write("erasePayer").apart().tier(Tier::Free).scope(Scope::AccountErase);

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Problem> {
        let rights = context.rights()?;
        if self.payer != rights.payer {
            let detail = "must be the payer of the token (`getMe`)";
            return Err(Problem::new(Code::InvalidValue).field("/payer", detail));
        }
        self.by = Some(rights.token.clone());
        Ok(())
    }

    fn needs(&mut self) -> Needs<'_> {
        Needs { slug: Some(NeededSlug::RenewedForErasure), ..Needs::default() }
    }
}
