//! Methods of tokens, with their parameters.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::grants::{CreateGrant, ListGrants, RevokeGrant};
use super::limits::{Wish, narrow};
use super::secret::Secret;
use super::types::{CreatedToken, ListedToken};
use crate::auth::{Allowance, Scope, TokenId, TokenMs, scopes};
use crate::call::{Context, Entry, Method, Spec, method};
use crate::name::Name;
use crate::number::Bounded;
use crate::page::{Cursor, CursorOf, Limit, Page};
use crate::pay::Tier;
use crate::problem::{Code, Problem};
use crate::site::Site;
use crate::waiting::Wake;

/// All methods of tokens and grants.
pub const METHODS: &[Entry] = &[
    Entry::of::<CreateToken>(),
    Entry::of::<ListTokens>(),
    Entry::of::<RotateToken>(),
    Entry::of::<RevokeToken>(),
    Entry::of::<CreateGrant>(),
    Entry::of::<ListGrants>(),
    Entry::of::<RevokeGrant>(),
];

/// 24 hours.
const OVERLAP_MS_MAX: i64 = 86_400_000;

/// Makes a token with at most the rights of the one that asks.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct CreateToken {
    /// The token.
    #[serde(skip_deserializing)]
    #[schema(ignore)]
    pub secret: Secret,
    /// Name of the token in lists, 1 to 256 bytes of UTF-8. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Name>, example = "web shop")]
    pub name: Option<Name>,
    /// Scopes of the token, at most those of the token that asks. Default: the same as those.
    #[serde(default, deserialize_with = "scopes")]
    #[schema(value_type = Option<Vec<Scope>>, min_items = 1, example = json!(["counters:read"]))]
    pub scopes: Option<Vec<Scope>>,
    /// Lifetime of the token, in milliseconds, 60,000 to 31,622,400,000 (366 days). It must end before the token that asks
    /// expires. Default: one day, or as long as the token that asks is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 60000, maximum = 31622400000_i64, example = 3600000)]
    pub lifetime_ms: Option<TokenMs>,
    /// Methods that the token may call, by `operationId`, 1 to 100. Each must be allowed for the calling token, and by
    /// `scopes`. `getMe`,
    /// `topUp`, and rotating or revoking the token itself are always allowed. Default: the methods of the calling token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 100, example = json!(["pushJob"]))]
    pub methods: Option<Vec<String>>,
    /// Prefix of the names that the token may use: counters, locks, queues, and ids and namespaces of memories. It must begin
    /// with the prefix of the calling token. Methods that name a resource in another way, such as links and `getJob`, are
    /// refused. Jobs can be extended, completed and failed with their lease. Default: the prefix of the calling token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Name>, example = "jobs-")]
    pub prefix: Option<Name>,
    /// Maximum number of calls, and maximum amounts that the token spends. Default: the allowance of the calling token, shared;
    /// without one, no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<Allowance>,
}

impl Method for CreateToken {
    type Output = CreatedToken;
    const SPEC: Spec = Spec::write("createToken")
        .tier(Tier::Free)
        .scope(Scope::TokensWrite)
        .names(&[])
        .with_secret_once("token")
        .problems(&[Code::QuotaExceeded]);

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Problem> {
        let rights = context.rights()?;
        let scopes = self.scopes.get_or_insert_with(|| rights.scopes.clone());
        scopes.iter().try_for_each(|scope| context.require(*scope))?;
        let wish = Wish { methods: self.methods.take(), prefix: self.prefix.take(), allowance: self.allowance.take() };
        let narrowed = narrow(rights, scopes, wish, context)?;
        (self.methods, self.prefix, self.allowance) = (narrowed.methods, narrowed.prefix, narrowed.allowance);
        self.secret = Secret::generate(&rights.token);
        Ok(())
    }

    fn after_commit(&self, token: &mut CreatedToken, _: &Site) -> Option<Wake> {
        self.secret.show_in(token);
        None
    }
}

/// Lists the tokens of the payer, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[into_params(parameter_in = Query)]
pub struct ListTokens {
    /// Maximum number of tokens in the page, 1 to 1,000. Default: 100.
    #[serde(default)]
    #[param(value_type = Option<Limit>)]
    pub limit: Limit,
    /// `nextCursor` of the previous page. Default: the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Cursor>)]
    pub cursor: Option<CursorOf<TokenId>>,
}

method!(ListTokens => Page<ListedToken>, Spec::slow_read("listTokens").tier(Tier::Free).scope(Scope::TokensRead));

/// Makes a token in the place of another one.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct RotateToken {
    /// Public id of the token to replace.
    #[schema(ignore)]
    pub id: TokenId,
    /// The new token.
    #[serde(skip_deserializing)]
    #[schema(ignore)]
    pub secret: Secret,
    /// How much longer the old token is valid, in milliseconds, 0 to 86,400,000 (24 hours). Default: 86,400,000.
    #[serde(
        default = "Bounded::of::<OVERLAP_MS_MAX>",
        deserialize_with = "Bounded::<0, OVERLAP_MS_MAX>::or::<OVERLAP_MS_MAX, _>"
    )]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 86400000, example = 3600000)]
    pub overlap_ms: Bounded<0, OVERLAP_MS_MAX>,
}

impl Method for RotateToken {
    type Output = CreatedToken;
    const SPEC: Spec = Spec::write("rotateToken")
        .tier(Tier::Free)
        .scope(Scope::TokensWrite)
        .names(&[])
        .with_secret_once("token")
        .problems(&[Code::QuotaExceeded, Code::NotFound]);

    fn is_about(&self, token: &TokenId) -> bool {
        self.id == *token
    }

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Problem> {
        let rights = context.rights()?;
        self.secret = Secret::generate(&rights.token);
        Ok(())
    }

    fn after_commit(&self, token: &mut CreatedToken, _: &Site) -> Option<Wake> {
        self.secret.show_in(token);
        None
    }
}

/// Revokes a token, and those that were made with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct RevokeToken {
    /// Public id of the token.
    pub id: TokenId,
    /// The token of the caller.
    #[serde(skip_deserializing)]
    pub by: Option<TokenId>,
}

impl Method for RevokeToken {
    type Output = ();
    const SPEC: Spec =
        Spec::write("revokeToken").tier(Tier::Free).scope(Scope::TokensWrite).names(&[]).problems(&[Code::NotFound]);

    fn is_about(&self, token: &TokenId) -> bool {
        self.id == *token
    }

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Problem> {
        self.by = Some(context.rights()?.token.clone());
        Ok(())
    }
}
