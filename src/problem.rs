//! The catalogue of problems: every answer that is not a success is one of these (RFC 9457).

use std::borrow::Cow;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use serde::{Deserialize as _, Serialize};
use serde_json::{Map, Value};

use crate::time::Time;

/// The media type of every problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Declares [`Code`] and everything a code knows about itself, so that no part can be forgotten.
macro_rules! catalogue {
    ($($variant:ident $status:ident $slug:literal $title:literal $advice:literal)*) => {
        /// What went wrong, as a stable slug that programs can branch on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Code] = &[$(Code::$variant),*];

            /// The stable slug, the member `code` of the answer.
            #[must_use]
            pub const fn slug(self) -> &'static str {
                match self { $(Code::$variant => $slug,)* }
            }

            /// The HTTP status of the answer.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Code::$variant => StatusCode::$status,)* }
            }

            /// One sentence that is the same for every occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Code::$variant => $title,)* }
            }

            /// What the caller can do about it.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self { $(Code::$variant => $advice,)* }
            }
        }
    };
}

catalogue! {
    InvalidJson BAD_REQUEST "invalid-json" "The body is not valid JSON for this operation."
        "Send one JSON object with the documented fields and types. `errors` names the first wrong place. Unknown and repeated fields are refused, except inside values that may be any JSON: there the last field of a name counts."
    InvalidQuery BAD_REQUEST "invalid-query" "The query string is not valid for this operation."
        "Send only the documented parameters, each once, as percent-encoded UTF-8."
    InvalidPath BAD_REQUEST "invalid-path" "The path is not percent-encoded UTF-8."
        "Encode names as UTF-8, then percent-encode them."
    InvalidHeader BAD_REQUEST "invalid-header" "A header is not valid for this operation."
        "`header` is the name of the header, `detail` is the rule that it breaks. Nothing was changed."
    TokenMissing UNAUTHORIZED "token-missing" "The request has no `Authorization` header."
        "Send `Authorization: Bearer <token>`. `payerbase token create` creates tokens."
    TokenMalformed UNAUTHORIZED "token-malformed" "The `Authorization` header has no well-formed token."
        "Send one header `Authorization: Bearer <token>` with the complete token. Another scheme and a wrong checksum are refused too."
    TokenInvalid UNAUTHORIZED "token-invalid" "The token is unknown."
        "Create a new token."
    TokenExpired UNAUTHORIZED "token-expired" "The token has expired."
        "Create a new token."
    TokenRevoked UNAUTHORIZED "token-revoked" "The token has been revoked."
        "Create a new token."
    MissingScope FORBIDDEN "missing-scope" "The token lacks the scope that this operation needs."
        "Use a token with the scope named in `scope`."
    NotFound NOT_FOUND "not-found" "The resource or the path does not exist."
        "Check the name and the path. Write a slash in a name as `%2F`. Resources of other payers are not found either."
    MethodNotAllowed METHOD_NOT_ALLOWED "method-not-allowed" "The path does not support this HTTP method."
        "Use one of the methods in the `Allow` header."
    NotAcceptable NOT_ACCEPTABLE "not-acceptable" "The answer cannot be sent in an encoding that the request accepts."
        "Accept `gzip`, `deflate` or `identity`."
    InvalidRequest BAD_REQUEST "invalid-request" "The server does not accept this HTTP request."
        "Check the method, the path and the headers."
    RequestTimeout REQUEST_TIMEOUT "request-timeout" "The body did not arrive in time."
        "Nothing was changed. Send the complete body within 10 seconds."
    CounterOutOfBounds CONFLICT "counter-out-of-bounds" "The amount would take the counter out of its bounds."
        "Nothing was changed. `value` is the current value; `min` and `max` are the bounds. Use a smaller amount, or `onBound: \"saturate\"`."
    CounterOverflow CONFLICT "counter-overflow" "The new value would not fit into a signed 64-bit integer."
        "Nothing was changed. Use a smaller amount, or bounds with `onBound: \"saturate\"`."
    LockHeld CONFLICT "lock-held" "Another holder has the lock."
        "Try again after `expiresAt`, or wait for the lock with `waitMs`."
    LockNotHeld CONFLICT "lock-not-held" "The lock is not held."
        "Acquire the lock first."
    LockExpired CONFLICT "lock-expired" "The lease ended before the call."
        "Since `expiredAt`, another holder may have changed the data that the lock protects. Acquire the lock again, then check that data."
    LockWrongToken CONFLICT "lock-wrong-token" "The lock is held with another token."
        "Send the token that `acquireLock` returned. If you sent that token, the lease has ended and another holder has the lock."
    StaleFence CONFLICT "stale-fence" "The lock of the guard is not held with this fence."
        "Nothing was changed. The lease ended, or a newer lease has begun. Acquire `lock` again and send its new fence."
    LeaseLost CONFLICT "lease-lost" "The lease is not the current lease of the job."
        "Nothing was changed. The lease expired, or its attempt has ended. Stop working on the job: another worker may have it."
    JobNotRunning CONFLICT "job-not-running" "The job is not running."
        "Pop the job first. `jobStatus` is its current status."
    JobNotPending CONFLICT "job-not-pending" "The job is not pending."
        "A running or finished job cannot be cancelled. `jobStatus` is its current status."
    SlugTaken CONFLICT "slug-taken" "The slug is already in use."
        "Choose another slug, or omit `slug` to get a free one."
    LinkGone GONE "link-gone" "The link no longer redirects."
        "It expired, or it has used up its maximum number of clicks. Its statistics can still be read."
    UrlNotAllowed UNPROCESSABLE_ENTITY "url-not-allowed" "The URL is not allowed as a target."
        "Use an absolute `http` or `https` URL of at most 2,048 bytes, without spaces, user or password. Its host must not be the host of this server."
    InvalidVector UNPROCESSABLE_ENTITY "invalid-vector" "The vector is not valid."
        "Send 1 to 4,096 finite numbers in single precision, not all of them zero."
    DimensionMismatch UNPROCESSABLE_ENTITY "dimension-mismatch" "No memory in scope has a vector that can be compared with the query."
        "`stored` lists the models and dimensions of the stored vectors. Search with a vector of the same model and dimensions, or with `mode: \"text\"`."
    NoEmbeddingModel UNPROCESSABLE_ENTITY "no-embedding-model" "The server has no embedding model."
        "Send an `embedding`, or search with `mode: \"text\"`. Operators configure a model with `PAYERBASE_EMBEDDINGS`."
    EmbeddingFailed BAD_GATEWAY "embedding-failed" "The embedding model failed."
        "Nothing was changed. Try again later, or work without the model: send an `embedding`, store with `embedding: null`, or search with `mode: \"text\"`."
    IdempotencyMismatch UNPROCESSABLE_ENTITY "idempotency-mismatch" "The idempotency key was used for a different request."
        "Nothing was changed. Use a new key for each new request. Use a key again only to repeat the identical request."
    PayloadTooLarge PAYLOAD_TOO_LARGE "payload-too-large" "The body, or a value in it, is larger than the limit."
        "Send at most `limitBytes` bytes."
    UnsupportedMediaType UNSUPPORTED_MEDIA_TYPE "unsupported-media-type" "The body is not sent as JSON."
        "Send `Content-Type: application/json`, in UTF-8 and without a content encoding."
    InvalidValue UNPROCESSABLE_ENTITY "invalid-value" "A value is outside the range or format that this operation accepts."
        "`errors` names the first such value by JSON pointer. Path and query parameters count as members of the body."
    InvalidText UNPROCESSABLE_ENTITY "invalid-text" "The text contains U+0000, which cannot be stored."
        "Remove the character U+0000."
    Internal INTERNAL_SERVER_ERROR "internal" "The server failed unexpectedly."
        "Report the `instance` to the operator, who can find it in the log."
    Overloaded SERVICE_UNAVAILABLE "overloaded" "The server has more work than it can do in time."
        "Nothing was changed. Try again after `Retry-After`."
    PayerBusy SERVICE_UNAVAILABLE "payer-busy" "Another long call of the same payer has not finished."
        "Nothing was changed. Try again after `Retry-After`."
    DatabaseUnavailable SERVICE_UNAVAILABLE "database-unavailable" "The server cannot reach the database."
        "Nothing was changed. Try again after `Retry-After`."
    OutcomeUnknown SERVICE_UNAVAILABLE "outcome-unknown" "The connection to the database was lost before it confirmed the write."
        "The write happened once or not at all, or it will happen within the next seconds. A repeat with the same `Idempotency-Key` is safe. Without a key, wait a few seconds and read the state before you repeat the request."
}

impl Code {
    /// The code with this slug.
    #[must_use]
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.slug() == slug)
    }

    /// After how many seconds the same request may succeed, for what passes by itself.
    #[must_use]
    pub fn retry_after_s(self) -> Option<u32> {
        (self.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(1)
    }
}

/// One invalid value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct InvalidField {
    /// Where it is: a JSON pointer (RFC 6901) into the body; path and query parameters count as members.
    #[schema(example = "/amount")]
    pub pointer: String,
    /// What is wrong with it.
    #[schema(example = "must be an integer of 64 bits")]
    pub detail: String,
}

/// A JSON pointer (RFC 6901).
pub(crate) fn pointer<T: AsRef<str>>(path: impl IntoIterator<Item = T>) -> String {
    path.into_iter().map(|segment| format!("/{}", segment.as_ref().replace('~', "~0").replace('/', "~1"))).collect()
}

/// A problem, ready to be answered. One pointer wide: it stands in the result of nearly everything.
#[derive(Clone, Debug)]
pub struct Problem(Box<Occurrence>);

#[derive(Clone, Debug)]
struct Occurrence {
    code: Code,
    detail: Cow<'static, str>,
    errors: Vec<InvalidField>,
    members: Map<String, Value>,
    allow: Option<HeaderValue>,
}

impl Problem {
    /// A problem that says what its code says: what happened, and what to do.
    #[must_use]
    pub fn new(code: Code) -> Self {
        let detail = Cow::Borrowed(code.advice());
        Self(Box::new(Occurrence { code, detail, errors: Vec::new(), members: Map::new(), allow: None }))
    }

    /// Says what is special about this occurrence.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// Names one invalid value.
    #[must_use]
    pub fn field(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.0.errors.push(InvalidField { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// Says where its invalid values are within a larger request.
    #[must_use]
    pub fn within(mut self, pointer: &str) -> Self {
        for error in &mut self.0.errors {
            error.pointer.insert_str(0, pointer);
        }
        self
    }

    /// What it says about invalid values.
    pub(crate) fn errors_mut(&mut self) -> &mut [InvalidField] {
        &mut self.0.errors
    }

    /// Adds a member of its own.
    #[must_use]
    pub fn member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// A path that takes other methods: `allow` lists them.
    #[must_use]
    pub fn method_not_allowed(allow: &str) -> Self {
        let mut problem = Self::new(Code::MethodNotAllowed);
        problem.0.allow = HeaderValue::from_str(allow).ok();
        problem
    }

    /// A problem that a method in SQL answered: `{"code": .., "detail"?: .., "errors"?: [..], ..members}`.
    #[must_use]
    pub fn from_sql(mut members: Map<String, Value>) -> Self {
        let slug = members.remove("code");
        let Some(code) = slug.as_ref().and_then(Value::as_str).and_then(Code::from_slug) else {
            tracing::error!(?slug, "a method answered a problem that is not in the catalogue");
            return Self::new(Code::Internal);
        };
        let mut problem = Self::new(code);
        if let Some(Value::String(detail)) = members.remove("detail") {
            problem.0.detail = Cow::Owned(detail);
        }
        if let Some(errors) = members.remove("errors") {
            problem.0.errors = serde_json::from_value(errors).unwrap_or_default();
        }
        for (name, value) in &mut members {
            // Times are written in one way, whoever says them.
            if name.ends_with("At")
                && let Ok(time) = Time::deserialize(&*value)
            {
                *value = serde_json::json!(time);
            }
        }
        problem.0.members = members;
        problem
    }

    /// What went wrong.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// A member of its own.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.members.get(name)
    }

    /// The methods that the path takes, for the header `Allow`.
    #[must_use]
    pub fn allow(&self) -> Option<&HeaderValue> {
        self.0.allow.as_ref()
    }

    /// The members of the answer. `instance` is the id of the request.
    #[must_use]
    pub fn body(&self, instance: Option<String>) -> Map<String, Value> {
        let mut body = Map::new();
        let code = self.0.code;
        body.insert("type".into(), format!("/problems#{}", code.slug()).into());
        body.insert("title".into(), code.title().into());
        body.insert("status".into(), code.status().as_u16().into());
        body.insert("detail".into(), self.0.detail.as_ref().into());
        if let Some(id) = instance {
            body.insert("instance".into(), id.into());
        }
        body.insert("code".into(), code.slug().into());
        if !self.0.errors.is_empty() {
            body.insert("errors".into(), serde_json::json!(self.0.errors));
        }
        body.extend(self.0.members.clone());
        body
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.0.code.slug(), self.0.detail)
    }
}

impl std::error::Error for Problem {}

/// The catalogue as a page: `docs/problems.md`, and what `GET /problems` answers.
#[must_use]
pub fn catalogue_markdown() -> String {
    use std::fmt::Write as _;
    let mut page = String::from(
        "# Problems\n\nEvery answer that is not a success is `application/problem+json` (RFC 9457) with `type`, `title`, \
         `status`, `detail`, `instance` (the request id), `code` (stable: branch on it) and, for invalid values, `errors`: \
         a list of `{pointer, detail}`.\n",
    );
    for code in Code::ALL {
        let _infallible =
            write!(page, "\n## {}\n\n{}. {} {}\n", code.slug(), code.status().as_u16(), code.title(), code.advice());
    }
    page
}
