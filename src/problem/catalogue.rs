//! The catalogue of problems.

use actix_web::http::StatusCode;

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
        "Send `Authorization: Bearer <token>`. A wallet gets a token with `createChallenge`, an operator with `payerbase token create`."
    TokenMalformed UNAUTHORIZED "token-malformed" "The `Authorization` header has no well-formed token."
        "Send one header `Authorization: Bearer <token>` with the complete token. Another scheme and a wrong checksum are refused too."
    TokenInvalid UNAUTHORIZED "token-invalid" "The token is unknown."
        "Create a new token."
    TokenExpired UNAUTHORIZED "token-expired" "The token has expired."
        "Create a new token."
    TokenRevoked UNAUTHORIZED "token-revoked" "The token has been revoked."
        "Create a new token."
    SignInFailed UNAUTHORIZED "sign-in-failed" "The wallet is not signed in."
        "`detail` says why. If the challenge has expired or was used, begin again with `createChallenge`. If the signature is wrong, sign `message` as it is, with the key of the address; the challenge can still be used. Contract wallets cannot sign in."
    PaymentRequired PAYMENT_REQUIRED "payment-required" "The call costs money, and nothing pays for it."
        "Nothing was changed. Send a token whose payer has credit (`getCredit`, `topUp`), or sign one of the offers in the header `PAYMENT-REQUIRED` (x402, version 2) and send the request again with `PAYMENT-SIGNATURE`."
    PaymentNotOffered PAYMENT_REQUIRED "payment-not-offered" "The payment is for none of the offers."
        "This request moved no money. Pay one of the offers in the header `PAYMENT-REQUIRED`."
    PaymentExpired PAYMENT_REQUIRED "payment-expired" "The payment is not valid at this time."
        "This request moved no money. If the payment was sent before, its money may be credit: sign in and look at `listPayments`. Otherwise sign one of the offers in the header `PAYMENT-REQUIRED`."
    PaymentInvalid PAYMENT_REQUIRED "payment-invalid" "The payment cannot be settled."
        "No money has moved. `detail` says why. Sign a new payment for one of the offers in the header `PAYMENT-REQUIRED`."
    InsufficientFunds PAYMENT_REQUIRED "insufficient-funds" "The wallet has too little of the asset."
        "No money has moved. Add funds to the wallet, or pay with another asset, then sign a new payment."
    MissingScope FORBIDDEN "missing-scope" "The token lacks the scope that this operation needs."
        "Use a token with the scope named in `scope`."
    TokenLimited FORBIDDEN "token-limited" "The token is limited to other calls."
        "Nothing was changed. `detail` says which methods or names the token may use (`getMe`). Use a token without this limit."
    AllowanceExceeded FORBIDDEN "allowance-exceeded" "The allowance, or the credit of the payer who granted the call, is used up."
        "Nothing was changed. `holder` says whose it is, of the `token` or of the `grant`; `detail` says what remains. Ask the maker of the token, or the payer who granted the call, for a new one."
    NotGranted FORBIDDEN "not-granted" "The payer has not granted this call to the caller."
        "Nothing was changed. `detail` says what a grant allows. Ask the payer for a grant (`createGrant`), or call without `Payerbase-Act-For`."
    QuotaExceeded FORBIDDEN "quota-exceeded" "The payer has as much of this as it may have."
        "`limit` is the quota, `detail` names what there is too much of. Nothing was changed. Delete some first."
    DatabaseFull FORBIDDEN "database-full" "The payer's SQL database has no room for this."
        "Nothing was changed. Delete rows or drop tables: their space is used again."
    NotFound NOT_FOUND "not-found" "The resource or the path does not exist."
        "Check the name and the path. Write a slash in a name as `%2F`. Resources of other payers are not found either."
    MethodNotAllowed METHOD_NOT_ALLOWED "method-not-allowed" "The path does not support this HTTP method."
        "Use one of the methods in the `Allow` header."
    NotAcceptable NOT_ACCEPTABLE "not-acceptable" "The answer cannot be sent in an encoding that the request accepts."
        "Accept `gzip`, `deflate` or `identity`."
    InvalidRequest BAD_REQUEST "invalid-request" "The server does not accept this HTTP request."
        "Check the method, the path and the headers."
    PaymentMalformed BAD_REQUEST "payment-malformed" "The header `PAYMENT-SIGNATURE` cannot be read."
        "Nothing was paid. Send the payment of x402, version 2, as JSON in base64, at most 16 KiB."
    RateLimited TOO_MANY_REQUESTS "rate-limited" "Too many requests were sent."
        "Nothing was changed. Send the request again after `Retry-After`. `RateLimit-Policy` names the limit: `address` counts requests without a known token, `payer` counts all requests of a payer."
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
    PaymentUsed CONFLICT "payment-used" "The payment cannot be used for this request."
        "Nothing was changed, and nothing was paid again. The payment came with another request before, or in another form. What is left of it is credit: sign in to spend it (`getPayment` with the id in `payment`), or sign a new payment."
    MigrationChanged CONFLICT "migration-changed" "A migration ran before with another text."
        "Nothing was changed. `errors` names it. Never change a migration that ran: add a new one."
    SlugTaken CONFLICT "slug-taken" "The slug is already in use."
        "Choose another slug, or omit `slug` to get a free one."
    LinkGone GONE "link-gone" "The link no longer redirects."
        "It expired, or it has used up its maximum number of clicks. Its statistics can still be read."
    UrlNotAllowed UNPROCESSABLE_ENTITY "url-not-allowed" "The URL is not allowed as a target."
        "Use an absolute `http` or `https` URL of at most 2,048 bytes, without spaces, user or password. It must not be a short URL of this server."
    InvalidVector UNPROCESSABLE_ENTITY "invalid-vector" "The vector is not valid."
        "Send 1 to 4,096 finite numbers in single precision, not all of them zero."
    DimensionMismatch UNPROCESSABLE_ENTITY "dimension-mismatch" "No memory in scope has a vector that can be compared with the query."
        "`stored` lists the models and dimensions of the stored vectors. Search with a vector of the same model and dimensions, or with `mode: \"text\"`."
    NoEmbeddingModel UNPROCESSABLE_ENTITY "no-embedding-model" "The server has no embedding model."
        "Send an `embedding`, or search with `mode: \"text\"`. Operators configure a model with `PAYERBASE_EMBEDDINGS`."
    EmbeddingFailed BAD_GATEWAY "embedding-failed" "The embedding model failed."
        "Nothing was changed. Try again later, or work without the model: send an `embedding`, store with `embedding: null`, or search with `mode: \"text\"`."
    FacilitatorMismatch BAD_GATEWAY "facilitator-mismatch" "The facilitator does not settle the payments that this server offers."
        "Nothing was paid. The operator must correct the settings of payments."
    SqlError UNPROCESSABLE_ENTITY "sql-error" "SQLite refuses the statement."
        "Nothing was changed. `detail` is SQLite's message, `errors` names the statement, `offset` is the place in its text, in bytes, where there is one, and `constraint` the kind of a constraint that does not hold."
    SqlNotAllowed UNPROCESSABLE_ENTITY "sql-not-allowed" "The statement does something that is not allowed."
        "Nothing was changed. `detail` says what, and what to do instead."
    SqlTimeout UNPROCESSABLE_ENTITY "sql-timeout" "The statements need more time than a call has."
        "Nothing was changed. `errors` names the statement. Look at `EXPLAIN QUERY PLAN`, add an index, or read and write fewer rows in a call."
    SqlTooLarge UNPROCESSABLE_ENTITY "sql-too-large" "The statements need more memory than a call has."
        "Nothing was changed. Sort, group and join fewer rows in a call, or make smaller values."
    IdempotencyMismatch UNPROCESSABLE_ENTITY "idempotency-mismatch" "The idempotency key was used for a different request, or by a caller with other rights."
        "Nothing was changed. Use a new key for each new request. Use a key again only to repeat the identical request."
    PayloadTooLarge PAYLOAD_TOO_LARGE "payload-too-large" "The body, or a value in it, is larger than the limit."
        "Send at most `limitBytes` bytes."
    UnsupportedMediaType UNSUPPORTED_MEDIA_TYPE "unsupported-media-type" "The body has another media type than this operation takes."
        "Send `Content-Type: application/json`, in UTF-8 and without a content encoding."
    InvalidValue UNPROCESSABLE_ENTITY "invalid-value" "A value is outside the range or format that this operation accepts."
        "`errors` names the first such value by JSON pointer. Path and query parameters count as members of the body."
    InvalidText UNPROCESSABLE_ENTITY "invalid-text" "The text contains U+0000, which cannot be stored."
        "Remove the character U+0000."
    Internal INTERNAL_SERVER_ERROR "internal" "The server failed unexpectedly."
        "Report the `instance` to the operator, who finds it in the log with the cause."
    Overloaded SERVICE_UNAVAILABLE "overloaded" "The server has more work than it can do in time."
        "Nothing was changed. Try again after `Retry-After`."
    FacilitatorUnavailable SERVICE_UNAVAILABLE "facilitator-unavailable" "The payment could not be checked on its network, or not be sent to its facilitator."
        "Nothing was paid. Send the same request with the same payment again after `Retry-After`."
    PaymentUnknown GATEWAY_TIMEOUT "payment-unknown" "Nobody knows yet whether the payment has arrived."
        "Nothing was changed. Do not pay again. Sign in and look at `getPayment` with the id in `payment`: when its state is `settled`, the money is credit of the payer."
    DatabaseBusy SERVICE_UNAVAILABLE "database-busy" "Other writes to the payer's SQL database came first."
        "Nothing was changed. Try again after `Retry-After`. Several statements in one `batchSql` wait once."
    PayerBusy SERVICE_UNAVAILABLE "payer-busy" "Other calls of the payer, or of the caller who acts for it, did not finish in time."
        "Nothing was changed. Try again after `Retry-After`."
    DatabaseExhausted SERVICE_UNAVAILABLE "database-exhausted" "The database has no disk space or no memory left for this call."
        "Nothing was changed. Try again after `Retry-After`; the operator must make room. Reads may still succeed."
    DatabaseUnavailable SERVICE_UNAVAILABLE "database-unavailable" "The server cannot reach the database, or the database takes no writes."
        "Nothing was changed. Try again after `Retry-After`."
    ServerStopping SERVICE_UNAVAILABLE "server-stopping" "The server is stopping."
        "Only `/readyz` answers so: until the server has stopped, it serves all other requests. Send new ones to another server."
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
        if self == Self::DatabaseExhausted {
            // Somebody has to make room.
            return Some(30);
        }
        matches!(self.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS).then_some(1)
    }
}

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

/// The catalogue as HTML, for browsers.
#[must_use]
pub fn catalogue_html() -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Problems</title><style>body{max-width:48em;margin:2em auto;padding:0 1em;font-family:sans-serif}\
         :target{background:#ffc}</style><body><h1>Problems</h1>\n",
    );
    for code in Code::ALL {
        let (slug, status, title) = (code.slug(), code.status().as_u16(), code.title());
        let text = format!("{title} {}", code.advice()).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let parts = text.split('`').enumerate();
        let text: String = parts
            .map(|(at, part)| if at % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() })
            .collect();
        page += &format!("<h2 id=\"{slug}\">{slug}</h2><p>{status}. {text}</p>\n");
    }
    page + "</body></html>\n"
}
