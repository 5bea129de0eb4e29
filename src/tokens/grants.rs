//! Methods of grants, with their parameters. A grant is a token that another payer uses.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::limits::{Wish, narrow};
use super::secret::Secret;
use super::types::{Grant, Pays};
use crate::auth::{Allowance, Scope, TokenId, TokenMs, scopes};
use crate::call::{Context, Method, Spec, method};
use crate::json::or_default;
use crate::name::Name;
use crate::page::{Cursor, CursorOf, Limit, Page};
use crate::pay::Tier;
use crate::payer::Payer;
use crate::problem::{Code, Problem};

/// Gives another payer rights to call for this one.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct CreateGrant {
    /// A secret that nobody is told: a grant is no token to call with.
    #[serde(skip_deserializing)]
    #[schema(ignore)]
    pub secret: Secret,
    /// The payer who gets the rights.
    pub grantee: Payer,
    /// Scopes of the grant, at most those of the token that asks: only those of primitives, none of the account.
    #[schema(value_type = Vec<Scope>, min_items = 1, example = json!(["queues:write"]))]
    #[serde(deserialize_with = "some_scopes")]
    pub scopes: Vec<Scope>,
    /// Who pays for the calls of the grantee. Default: the grantee. A payment that comes with a call is always that of the grantee.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Option<Pays>)]
    pub pays: Pays,
    /// Name of the grant in lists, 1 to 256 bytes of UTF-8. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Name>, example = "mail agent")]
    pub name: Option<Name>,
    /// Lifetime of the grant, in milliseconds, 60,000 to 31,622,400,000 (366 days). It must end before the token that asks
    /// expires. Default: one day, or as long as the token that asks is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 60000, maximum = 31622400000_i64, example = 3600000)]
    pub lifetime_ms: Option<TokenMs>,
    /// Methods that the grantee may call, by `operationId`, 1 to 100. `scopes` must allow each. Default: the methods of the calling token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 100, example = json!(["pushJob"]))]
    pub methods: Option<Vec<String>>,
    /// Prefix of the names that the grantee may use, as for `createToken`. Default: the prefix of the calling token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Name>, example = "jobs-")]
    pub prefix: Option<Name>,
    /// Maximum number of calls, and maximum amounts that the grantee spends from the credit of the payer; amounts only if the payer
    /// pays. Default: the allowance of the calling token, shared; without one, no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<Allowance>,
}

fn some_scopes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Scope>, D::Error> {
    scopes(deserializer)?.ok_or_else(|| serde::de::Error::custom("must have a scope"))
}

impl Method for CreateGrant {
    type Output = Grant;
    const SPEC: Spec = Spec::write("createGrant")
        .tier(Tier::Free)
        .scope(Scope::TokensWrite)
        .names(&[])
        .problems(&[Code::QuotaExceeded]);

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Problem> {
        let invalid = |pointer: &str, detail: &str| Problem::new(Code::InvalidValue).field(pointer, detail);
        let by = context.rights()?;
        if self.grantee == by.payer {
            return Err(invalid("/grantee", "must be another payer"));
        }
        if let Some(place) = self.scopes.iter().position(|scope| scope.is_of_account()) {
            let detail =
                "must be a scope of counters, links, locks, queues, memories or sql: nothing else can be granted";
            return Err(invalid(&format!("/scopes/{place}"), detail));
        }
        self.scopes.iter().try_for_each(|scope| context.require(*scope))?;
        let spends = self.allowance.as_ref().is_some_and(|allowance| allowance.spend.is_some());
        if spends && self.pays == Pays::Grantee {
            return Err(invalid("/allowance/spend", "must be absent: the grantee pays"));
        }
        let wish = Wish { methods: self.methods.take(), prefix: self.prefix.take(), allowance: self.allowance.take() };
        let narrowed = narrow(by, &self.scopes, wish, context)?;
        (self.methods, self.prefix, self.allowance) = (narrowed.methods, narrowed.prefix, narrowed.allowance);
        self.secret = Secret::generate(&by.token);
        Ok(())
    }
}

/// Lists the grants that the payer has given, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[into_params(parameter_in = Query)]
pub struct ListGrants {
    /// Maximum number of grants in the page, 1 to 1,000. Default: 100.
    #[serde(default)]
    #[param(value_type = Option<Limit>)]
    pub limit: Limit,
    /// `nextCursor` of the previous page. Default: the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Cursor>)]
    pub cursor: Option<CursorOf<TokenId>>,
}

method!(ListGrants => Page<Grant>, Spec::slow_read("listGrants").tier(Tier::Free).scope(Scope::TokensRead));

/// Revokes a grant.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct RevokeGrant {
    /// Id of the grant.
    pub id: TokenId,
    /// The token of the caller.
    #[serde(skip_deserializing)]
    pub by: Option<TokenId>,
}

impl Method for RevokeGrant {
    type Output = ();
    const SPEC: Spec =
        Spec::write("revokeGrant").tier(Tier::Free).scope(Scope::TokensWrite).names(&[]).problems(&[Code::NotFound]);

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Problem> {
        self.by = Some(context.rights()?.token.clone());
        Ok(())
    }
}
