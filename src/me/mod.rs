//! Who am I, what may I do, what do I have.

use actix_web::get;
use actix_web::web::Json;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::{Payer, Scope, Tenant};
use crate::http::call::BODY_BYTES_MAX;
use crate::name::NAME_BYTES_MAX;
use crate::problem::{Code, Problem};
use crate::time::Time;
use crate::turn::{self, Entry, Method, Path, Request, Spec};

/// The methods of this slice.
pub const METHODS: &[Entry] = &[Entry::of::<GetMe>()];

/// Reads what the payer has.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetMe {}

impl Method for GetMe {
    type Output = Usage;
    const SPEC: Spec = Spec { name: "getMe", path: Path::SlowRead, scope: None, problems: &[] };
}

/// How much the payer has of everything.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Counters, counted up to 100,000.
    #[schema(example = 3)]
    pub counters: i64,
    /// Links, counted up to 100,000.
    #[schema(example = 1)]
    pub links: i64,
    /// Locks that are held, or were within the last hour or so, counted up to 100,000.
    #[schema(example = 1)]
    pub locks: i64,
    /// Jobs, finished ones that are still kept included, counted up to 100,000.
    #[schema(example = 12)]
    pub jobs: i64,
    /// Memories, ended ones that have not been swept yet included.
    #[schema(example = 40)]
    pub memories: i64,
}

/// The limits that hold for every payer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Bytes of a request's body; some routes take more, as the OpenAPI document says.
    #[schema(example = 1048576)]
    pub body_bytes_max: usize,
    /// Bytes of a name, in UTF-8.
    #[schema(example = 256)]
    pub name_bytes_max: usize,
    /// Milliseconds that a call may take before it is answered with 503, beside the time that its texts take to become
    /// vectors.
    #[schema(example = 5000)]
    pub call_ms_max: u128,
    /// Milliseconds that texts may take to become vectors before the call is answered with 503.
    #[schema(example = 60000)]
    pub embedding_ms_max: u128,
}

/// The caller.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// Who pays.
    pub payer: Payer,
    /// What the token may do: `<primitive>:read`, `<primitive>:write`, or `*` for everything.
    #[schema(value_type = Vec<String>, example = json!(["counters:read", "counters:write"]))]
    pub scopes: Vec<Scope>,
    /// The public half of the token: what it is listed and revoked by.
    #[schema(example = "0ahzrSBBqC2lZ0Nk")]
    pub token_id: String,
    /// What the operator called the token.
    #[schema(required, example = "web shop")]
    pub token_name: Option<String>,
    /// When the token ends.
    pub token_expires_at: Time,
    /// How much the payer has.
    pub usage: Usage,
    /// The limits.
    pub limits: Limits,
}

/// Every route of this slice.
pub fn configure(service: &mut ServiceConfig<'_>) {
    service.service(get_me);
}

/// Says who is calling.
///
/// The payer, what the token may do, how much the payer has, and the limits. Needs no scope.
#[utoipa::path(operation_id = "getMe", tag = "account", responses((status = 200, description = "The caller.", body = Me)))]
#[get("/me")]
async fn get_me(tenant: Tenant, call: Request<GetMe>) -> Result<Json<Me>, Problem> {
    let usage = tenant.call(call).await?.output;
    // Behind `authenticate` there always is one.
    let grant = tenant.grant().ok_or_else(|| Problem::new(Code::Internal))?;
    Ok(Json(Me {
        payer: grant.payer.clone(),
        scopes: grant.scopes.clone(),
        token_id: grant.token.as_str().to_owned(),
        token_name: grant.name.clone(),
        token_expires_at: Time(grant.expires_at),
        usage,
        limits: Limits {
            body_bytes_max: BODY_BYTES_MAX,
            name_bytes_max: NAME_BYTES_MAX,
            call_ms_max: turn::CALL_TIMEOUT.as_millis(),
            embedding_ms_max: turn::EMBEDDING_TIMEOUT.as_millis(),
        },
    }))
}
