"""Results of calls.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date as date_aliased
from datetime import datetime
from typing import Any, Literal, TypeAlias

from payerbase._json import SqlValue


@dataclass(frozen=True, kw_only=True)
class CallsLeft:
    """Remaining calls of an allowance."""

    remaining: int
    """Number of remaining calls."""
    total: int
    """Number of calls of the allowance."""


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """The message that the wallet signs."""

    expires_at: datetime
    """Time at which the challenge expires, five minutes after it was made."""
    message: str
    """
    The message to sign as it is: with `personal_sign` (EIP-191), or as a message of Stacks. Its layout is that
    of EIP-4361.
    """
    nonce: str
    """Nonce of the message, for `auth.verify`."""


@dataclass(frozen=True, kw_only=True)
class Click:
    """A single click."""

    bot: bool
    """Whether it counts as a bot: a bot, a link preview, a `HEAD` request or a prefetching browser."""
    browser: str | None
    """Browser family; `None` if unknown."""
    clicked_at: datetime
    """Time of the click."""
    country: str | None
    """Country of the visitor, two letters (ISO 3166-1); `None` if unknown."""
    referrer: str | None
    """Host of the page with the link; `None` if unknown."""


@dataclass(frozen=True, kw_only=True)
class ClicksOf:
    """Number of clicks from one referrer, country or browser."""

    clicks: int
    """Number of clicks by people."""
    value: str | None
    """Host of the referrer, country code or browser family; `None` if unknown."""


@dataclass(frozen=True, kw_only=True)
class ClicksOn:
    """Number of clicks on one day."""

    bot_clicks: int
    """Number of clicks by bots."""
    clicks: int
    """Number of clicks by people."""
    date: date_aliased
    """Day, in UTC."""


@dataclass(frozen=True, kw_only=True)
class Counter:
    """A counter: a 64-bit signed integer with optional bounds."""

    created_at: datetime
    """Time of the first write, which created the counter."""
    max: int | None
    """Upper bound of increments, decrements and resets; `None` if none."""
    min: int | None
    """Lower bound of increments, decrements and resets; `None` if none."""
    name: str
    """Name of the counter."""
    updated_at: datetime
    """Time of the last write."""
    value: int
    """
    Current value, a 64-bit signed integer. A JavaScript number is exact only up to 2^53: ask for strings with
    `Payerbase-Integers`.
    """


@dataclass(frozen=True, kw_only=True)
class CreditInAsset:
    """Credit in one asset."""

    asset: str
    """Id of the asset: the address of a token, or `STX`."""
    balance: str
    """
    What is left, in the smallest unit of the asset: 1,000,000 is one USDC. The reads of the last second may be
    missing.
    """
    network: str
    """Network of the asset, by its CAIP-2 id."""
    unposted: str
    """What calls have spent and the ledger does not show yet, in the smallest unit of the asset."""


@dataclass(frozen=True, kw_only=True)
class Erased:
    """What was erased."""

    deleted: int
    """Number of rows that this call deleted, or whose content it deleted."""
    has_more: bool
    """Whether there may be more to erase: call again until it is false."""


Event: TypeAlias = Literal[
    "signed-in",
    "token-created",
    "token-rotated",
    "token-revoked",
    "grant-created",
    "grant-revoked",
    "payment-settled",
    "payment-rejected",
    "calls-refused",
    "data-erased",
]
"""Kind of an event."""


@dataclass(frozen=True, kw_only=True)
class FailedAttempt:
    """A failed attempt."""

    at: datetime
    """Time of the failure."""
    attempt: int
    """Number of the attempt, from 1."""
    error: str
    """Error of the attempt."""


@dataclass(frozen=True, kw_only=True)
class Health:
    """Health of the server."""

    status: str


@dataclass(frozen=True, kw_only=True)
class InvalidField:
    """One invalid value."""

    detail: str
    """Reason why the value is invalid."""
    pointer: str
    """Position of the value: a JSON pointer (RFC 6901) into the body. Path and query parameters count as members."""


JobStatus: TypeAlias = Literal["pending", "running", "completed", "dead"]
"""Status of a job."""


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The lease of a lock, for its holder."""

    acquired_at: datetime
    """Start of the lease."""
    expires_at: datetime
    """End of the lease if it is neither extended nor released, on the database's clock."""
    fence: int
    """
    Fencing token: a number that is higher for every new lease of the lock. Send it to the resource that the
    lock protects. A resource that has seen a higher fence must refuse a lower one: its sender no longer holds
    the lock.
    """
    name: str
    """Name of the lock."""
    token: str
    """Secret that proves ownership of the lock. `locks.get` and `locks.list` do not return it."""


LedgerKind: TypeAlias = Literal["payment", "gift", "usage"]
"""Why an amount was added or taken."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits for every payer."""

    body_bytes_max: int
    """Size limit of a request body, in bytes. Some routes have a higher limit, stated in the OpenAPI document."""
    call_ms_max: int
    """
    Time limit of a call, in milliseconds, not counting `wait_ms` and the embedding of its texts. A call that
    takes longer fails with 503.
    """
    embedding_ms_max: int
    """
    Time limit for embedding the texts of a call, in milliseconds. A call whose texts take longer fails with
    `overloaded`.
    """
    name_bytes_max: int
    """Size limit of a name in UTF-8, in bytes."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """A short link."""

    clicks: int
    """Number of clicks by people."""
    created_at: datetime
    """Time of creation."""
    expires_at: datetime | None
    """Time at which the link expires; `None` if it never expires."""
    max_clicks: int | None
    """Maximum number of clicks by people; `None` if unlimited."""
    slug: str
    """Slug, the last segment of the short URL."""
    title: str | None
    """Title; `None` if none."""
    updated_at: datetime
    """Time of the last change. Clicks are not changes."""
    url: str
    """Target URL, at most 2,048 bytes."""
    short_url: str | None = None
    """Short URL, to give to people."""


@dataclass(frozen=True, kw_only=True)
class LinkStats:
    """Click statistics of a link."""

    bot_clicks: int
    """Number of clicks by bots since creation."""
    browsers: list[ClicksOf]
    """Clicks by people within the requested days by browser family: the 50 browsers with the most clicks."""
    clicks: int
    """Number of clicks by people since creation."""
    countries: list[ClicksOf]
    """Clicks by people within the requested days by country: the 50 countries with the most clicks."""
    created_at: datetime
    """Time of creation."""
    daily: list[ClicksOn]
    """Clicks on each of the requested days in UTC, today last."""
    last_click_at: datetime | None
    """Time of the last click by a person or a bot; `None` if none."""
    recent_clicks: list[Click]
    """The last 20 clicks that are still stored, by people and bots, latest first."""
    referrers: list[ClicksOf]
    """
    Number of clicks per host of the referrer within the requested days, without bots: the 50 hosts with the
    most clicks.
    """
    slug: str
    """Slug, the last segment of the short URL."""
    title: str | None
    """Title; `None` if none."""
    url: str
    """Target URL, at most 2,048 bytes."""


@dataclass(frozen=True, kw_only=True)
class Lock:
    """The state of a lock."""

    acquired_at: datetime | None
    """Start of the current lease; `None` if the lock is free."""
    expires_at: datetime | None
    """End of the current lease; `None` if the lock is free."""
    fence: int | None
    """Fence of the current lease; `None` if the lock is free."""
    locked: bool
    """Whether the lock is held now."""
    metadata: Any
    """Description of the holder, from `locks.acquire`; `None` if it gave none or the lock is free."""
    name: str
    """Name of the lock."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A memory."""

    content: str
    """Content of the memory."""
    created_at: datetime
    """Time at which the memory was first stored."""
    dimensions: int | None
    """Number of dimensions of the vector. `None` if there is no vector."""
    embedding: list[float] | None
    """Vector of the memory. `None` if the request has no `include_embedding`, or the memory has no vector."""
    embedding_model: str | None
    """Model that made the vector. `None` if there is no vector, or the caller did not name a model."""
    expires_at: datetime | None
    """Time at which the memory expires. `None`: never."""
    has_embedding: bool
    """Whether the memory has a vector. Without one, searches by meaning do not find it."""
    id: str
    """Id of the memory."""
    importance: float
    """Importance of the memory, 0 to 1."""
    metadata: dict[str, Any]
    """Metadata of the memory."""
    namespace: str
    """Namespace of the memory."""
    tags: list[str]
    """Tags of the memory."""
    updated_at: datetime
    """Time of the last change."""


Mode: TypeAlias = Literal["vector", "text", "hybrid"]
"""Mode of a search."""


OnBound: TypeAlias = Literal["saturate", "reject"]
"""Effect of an amount that crosses a bound."""


@dataclass(frozen=True, kw_only=True)
class PaymentExtra:
    """Details of an offer. A payer may return more members."""

    asset_transfer_method: str | None = None
    """How the token is transferred. Absent is `eip3009`."""
    name: str | None = None
    """Name in the EIP-712 domain of the token."""
    payment_flow: str | None = None
    """`upfront`: the payment is settled before the request is executed."""
    version: str | None = None
    """Version in the EIP-712 domain of the token."""


PaymentReason: TypeAlias = Literal["insufficient-funds", "expired", "facilitator-mismatch", "invalid", "canceled"]
"""Why a payment was rejected."""


@dataclass(frozen=True, kw_only=True)
class PaymentRequirements:
    """PaymentRequirements: an offer, or what a payer accepted."""

    amount: str
    """Amount in the smallest unit of the asset, decimal."""
    asset: str
    """Address of the token, or `STX`."""
    extra: PaymentExtra
    """Details of the scheme."""
    max_timeout_seconds: int
    """How long the payment may take, in seconds."""
    network: str
    """Id of the network (CAIP-2)."""
    pay_to: str
    """Address of the recipient."""
    scheme: str
    """`exact`"""


PaymentState: TypeAlias = Literal["received", "settling", "unknown", "settled-unconfirmed", "settled", "rejected"]
"""What became of a payment."""


Pays: TypeAlias = Literal["payer", "grantee"]
"""Who pays for the calls of a grantee."""


ProblemCode: TypeAlias = Literal[
    "invalid-json",
    "invalid-query",
    "invalid-path",
    "invalid-header",
    "token-missing",
    "token-malformed",
    "token-invalid",
    "token-expired",
    "token-revoked",
    "sign-in-failed",
    "payment-required",
    "payment-not-offered",
    "payment-expired",
    "payment-invalid",
    "insufficient-funds",
    "missing-scope",
    "token-limited",
    "allowance-exceeded",
    "not-granted",
    "quota-exceeded",
    "database-full",
    "not-found",
    "method-not-allowed",
    "not-acceptable",
    "invalid-request",
    "payment-malformed",
    "rate-limited",
    "request-timeout",
    "counter-out-of-bounds",
    "counter-overflow",
    "lock-held",
    "lock-not-held",
    "lock-expired",
    "lock-wrong-token",
    "stale-fence",
    "lease-lost",
    "job-not-running",
    "job-not-pending",
    "payment-used",
    "migration-changed",
    "slug-taken",
    "link-gone",
    "url-not-allowed",
    "invalid-vector",
    "dimension-mismatch",
    "no-embedding-model",
    "embedding-failed",
    "facilitator-mismatch",
    "sql-error",
    "sql-not-allowed",
    "sql-timeout",
    "sql-too-large",
    "idempotency-mismatch",
    "payload-too-large",
    "unsupported-media-type",
    "invalid-value",
    "invalid-text",
    "internal",
    "overloaded",
    "facilitator-unavailable",
    "payment-unknown",
    "database-busy",
    "payer-busy",
    "database-exhausted",
    "database-unavailable",
    "server-stopping",
    "outcome-unknown",
]
"""Stable code of a kind of problem. `/problems` describes each."""


@dataclass(frozen=True, kw_only=True)
class Purged:
    """Result of `queues.purge`."""

    has_more: bool
    """Whether more jobs may be left. If `True`, call again."""
    purged: int
    """Number of deleted jobs, at most 1,000."""


@dataclass(frozen=True, kw_only=True)
class QueueStatus:
    """Status of a queue."""

    completed: int
    """Number of completed jobs. They are kept for 24 hours."""
    dead: int
    """Number of dead jobs. They are kept for 14 days."""
    delayed: int
    """Number of delayed jobs."""
    oldest_pending_at: datetime | None
    """Time at which the oldest of the `pending` jobs was pushed. `None` if `pending` is 0."""
    pending: int
    """Number of jobs that are ready, or wait for another job of their group."""
    queue: str
    """Name of the queue."""
    running: int
    """Number of running jobs."""
    total: int
    """Number of all jobs."""


@dataclass(frozen=True, kw_only=True)
class Quota:
    """How much the payer has of a primitive, and how much it may have."""

    bytes: int | None
    """
    Size of the rows in the database, in bytes, as measured: that of their texts, JSON and vectors, and 100
    bytes for each row; `None` if they were not measured yet.
    """
    bytes_max: int | None
    """Maximum number of bytes; `None`: no maximum."""
    is_full: bool
    """Whether calls that add rows are refused with `quota-exceeded`."""
    measured_at: datetime | None
    """
    Time of the measurement; `None` if there was none. After few writes, up to an hour passes until the first
    one, and up to a day until the next one.
    """
    rows: int | None
    """Number of rows, as measured; `None` if they were not measured yet."""
    rows_max: int | None
    """Maximum number of rows; `None`: no maximum."""


@dataclass(frozen=True, kw_only=True)
class RateUsage:
    """The rate limit of the payer."""

    limit: int
    """Requests that a payer may send at once."""
    remaining: int
    """Requests that are left."""
    window_ms: int
    """Time in which they come back, one by one, in milliseconds."""


@dataclass(frozen=True, kw_only=True)
class RecordedClick:
    """A recorded click."""

    clicks: int
    """Number of clicks by people on the link, after this click."""
    recorded: bool
    """Whether it counts as a click by a person. Bots are counted separately."""


@dataclass(frozen=True, kw_only=True)
class ResetCounter(Counter):
    """A counter after a reset."""

    previous_value: int
    """Value before the call; 0 if the call created the counter."""


@dataclass(frozen=True, kw_only=True)
class Retried:
    """Result of `queues.retry_dead`."""

    retried: int
    """Number of jobs put back into the queue."""


@dataclass(frozen=True, kw_only=True)
class RoutePrice:
    """What a call takes from the credit."""

    amount: str
    """Digits, in the smallest unit of the asset."""
    asset: str
    """Address of the token, or `STX`."""
    network: str
    """Id of the network (CAIP-2)."""


Scope: TypeAlias = Literal[
    "*",
    "counters:read",
    "counters:write",
    "links:read",
    "links:write",
    "locks:read",
    "locks:write",
    "queues:read",
    "queues:write",
    "memories:read",
    "memories:write",
    "tokens:read",
    "tokens:write",
    "audit:read",
    "credit:read",
    "sql:read",
    "sql:write",
    "account:erase",
    "account:export",
]
"""
A right of a token: to read or to write one primitive, or something of the account; `*` is everything.
Writing does not include reading.
"""


Scoring: TypeAlias = Literal["cosine-similarity", "bm25", "mean"]
"""Meaning of the scores."""


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """The token of a wallet that signed in."""

    expires_at: datetime
    """Time at which the token expires."""
    payer: str
    """Payer of the token: the wallet."""
    scopes: list[str]
    """Scopes of the token."""
    token: str
    """The token, for `Authorization: Bearer <token>`. It cannot be shown again."""
    token_id: str
    """Public id of the token, for listing and revoking it."""


@dataclass(frozen=True, kw_only=True)
class SpendLeft:
    """Remaining amount of an asset of an allowance."""

    asset: str
    """Id of the asset."""
    network: str
    """Network of the asset, by its CAIP-2 id."""
    remaining: str
    """Remaining amount, in the smallest unit of the asset."""
    total: str
    """Amount of the allowance, in the smallest unit of the asset."""


@dataclass(frozen=True, kw_only=True)
class SqlColumn:
    """A column of a result."""

    name: str
    """Name."""
    type: str | None
    """Type that its table declares; `None` for an expression."""


@dataclass(frozen=True, kw_only=True)
class SqlImported:
    """The size of a database that was imported."""

    bytes: int
    """Size of the database now, in bytes."""
    rows: int
    """Number of rows of all tables."""
    tables: int
    """Number of tables."""


@dataclass(frozen=True, kw_only=True)
class SqlMigrated:
    """What a call has migrated."""

    applied: list[str]
    """Ids of the migrations that ran now, in order. The others ran before."""


@dataclass(frozen=True, kw_only=True)
class SqlTableColumn:
    """A column of a table or a view."""

    default: str | None
    """Expression of its default value; `None` if there is none."""
    generated: bool
    """Whether it is computed from other columns."""
    name: str
    """Name."""
    not_null: bool
    """Whether it refuses NULL."""
    primary_key: int
    """Place in the primary key, from 1; 0 if it is not in it."""
    type: str
    """Declared type; empty if there is none."""


@dataclass(frozen=True, kw_only=True)
class SqlTableIndex:
    """An index of a table."""

    name: str
    """Name."""
    sql: str | None
    """Statement that creates it; `None` for the index of a constraint."""
    unique: bool
    """Whether no two rows may have the same values."""


SqlTableType: TypeAlias = Literal["table", "view"]
"""Whether it is a table or a view."""


@dataclass(frozen=True, kw_only=True)
class StoredMemory(Memory):
    """Result of storing a memory."""

    replaced: bool
    """Whether the memory replaced another one."""


@dataclass(frozen=True, kw_only=True)
class StoredVectors:
    """Stored vectors of one model and one number of dimensions."""

    dimensions: int
    """Number of dimensions."""
    embedding_model: str | None
    """Model that made the vectors; `None` if not known."""
    memories: int
    """Number of memories."""


TagsMatch: TypeAlias = Literal["all", "any"]
"""Condition on the tags."""


@dataclass(frozen=True, kw_only=True)
class TokenLimits:
    """Limits of a token, beside its scopes."""

    methods: list[str] | None
    """The only methods that it may call, by their `operationId`; `None`: all that its scopes allow."""
    prefix: str | None
    """
    Prefix of all names that it may use; `None`: any name. Names are those of counters, locks and queues, and
    the ids and namespaces of memories.
    """


@dataclass(frozen=True, kw_only=True)
class TransactionResults:
    """The results of a transaction."""

    results: list[Any]
    """The result of each call, in order. `None` for a call that alone would answer 204."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Usage of the payer."""

    counters: int
    """Number of counters; 100,000 means 100,000 or more."""
    jobs: int
    """Number of jobs, including finished jobs that are still stored; 100,000 means 100,000 or more."""
    links: int
    """Number of links; 100,000 means 100,000 or more."""
    locks: int
    """Number of locks that are held or were held within about the last hour; 100,000 means 100,000 or more."""
    memories: int
    """Number of memories, including expired ones that are not deleted yet."""


@dataclass(frozen=True, kw_only=True)
class AdjustedCounter(Counter):
    """A counter after an increment or a decrement."""

    applied: int
    """Part of `amount` that took effect."""
    capped: bool
    """`True` if `min` or `max` limited the change; `applied` then differs from `amount`."""
    previous_value: int
    """Value before the call; 0 if the call created the counter."""


@dataclass(frozen=True, kw_only=True)
class AllowanceLeft:
    """A remaining allowance."""

    calls: CallsLeft | None
    """Remaining calls; `None`: no limit."""
    spend: list[SpendLeft] | None
    """Remaining amounts; `None`: no limit."""


@dataclass(frozen=True, kw_only=True)
class AuditEntry(TokenLimits):
    """An entry of the log of the account."""

    at: datetime
    """Time of the event."""
    by_token_id: str | None
    """Id of the token of the caller; `None` if it was a wallet, the operator or a server."""
    calls: int | None
    """Number of calls that were refused; `None` for other events."""
    code: str | None
    """Code of the problem of calls that were refused; `None` for other events."""
    event: Event | str
    """What happened."""
    grantee: str | None
    """The payer who has the grant; `None` if the event is not about a grant."""
    id: str
    """Id of the entry."""
    network: str | None
    """Network of the wallet that signed in, or of the payment, by its CAIP-2 id; `None` for other events."""
    payment_id: str | None
    """Id of the payment that the event is about (`payments.get`); `None` if it is about none."""
    scopes: list[str] | None
    """Scopes of the token; `None` if the event does not concern them."""
    token_id: str | None
    """Id of the token that the event is about; `None` if it is about none."""


@dataclass(frozen=True, kw_only=True)
class Credit:
    """The credit of the payer."""

    items: list[CreditInAsset]
    """
    The credit in each asset that the payer has paid in. A call is paid in the first asset of the server of
    which there is enough.
    """


@dataclass(frozen=True, kw_only=True)
class FoundMemory(Memory):
    """A result of a search."""

    score: float
    """Score of the result; `scoring` says what it means."""
    text_score: float | None = None
    """BM25 score, in mode `hybrid` only. `None` if the memory has no word of the query."""
    vector_score: float | None = None
    """Cosine similarity, in mode `hybrid` only. `None` if the memory has no vector that can be compared."""


@dataclass(frozen=True, kw_only=True)
class Grant(TokenLimits):
    """Rights that a payer has given to another one."""

    allowance: AllowanceLeft | None
    """Remaining allowance; `None` if it has none."""
    created_at: datetime
    """Time at which the grant was made."""
    created_by: str
    """Id of the token that made it."""
    expires_at: datetime
    """Time at which the grant expires."""
    grantee: str
    """The payer who has the rights."""
    id: str
    """Id of the grant."""
    name: str | None
    """Name of the grant; `None` if it has none."""
    pays: Pays | str
    """Who pays for the calls of the grantee."""
    revoked_at: datetime | None
    """Time at which the grant was revoked; `None` if it was not."""
    scopes: list[str]
    """Scopes of the grant."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job."""

    attempts: int
    """Number of attempts: pops since the job was pushed, or since `queues.retry_dead` put it back."""
    backoff_ms: int
    """Base of the back-off, in milliseconds, 0 to 3,600,000."""
    created_at: datetime
    """Time at which the job was pushed."""
    dedup_key: str | None
    """Deduplication key. `None` if it has none."""
    error: str | None
    """Error of the last failed attempt. `None` if no attempt has failed."""
    finished_at: datetime | None
    """Time at which the job was completed or became dead. `None` if it is unfinished."""
    group: str | None
    """Group, in which jobs run one at a time, in order of arrival. `None` if the job has none."""
    id: str
    """Id of the job: a UUID of version 7."""
    lease_expires_at: datetime | None
    """End of the lease. `None` unless the job is running."""
    max_attempts: int
    """Maximum number of attempts, 1 to 1,000."""
    payload: Any
    """Payload, as it was pushed."""
    priority: int
    """Priority, -32,768 to 32,767. Jobs with a higher priority are popped first."""
    queue: str
    """Name of the queue."""
    result: Any
    """Result from `queues.complete`. `None` if the job is not completed, or was completed without a result."""
    run_at: datetime
    """Earliest time at which the job can be popped. Each retry replaces it with the time of the next attempt."""
    status: JobStatus | str
    """Status of the job."""
    updated_at: datetime
    """Time of the last change."""


@dataclass(frozen=True, kw_only=True)
class JobWithErrors(Job):
    """A job with its errors."""

    errors: list[FailedAttempt]
    """The last ten failed attempts, in the order of time."""


@dataclass(frozen=True, kw_only=True)
class LeasedJob(Job):
    """A job with its lease."""

    lease: str
    """Lease of this attempt. A new attempt gets a new lease."""


@dataclass(frozen=True, kw_only=True)
class LeasedJobs:
    """Jobs with their leases."""

    jobs: list[LeasedJob]
    """Popped jobs, in the order of the queue. Empty if no job is ready."""


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """An entry of the ledger."""

    amount: str
    """Amount in the smallest unit of the asset; negative if it was taken from the credit."""
    asset: str
    """Id of the asset: the address of a token, or `STX`."""
    at: datetime
    """Time of the entry."""
    id: str
    """Id of the entry."""
    kind: LedgerKind | str
    """Why."""
    network: str
    """Network of the asset, by its CAIP-2 id."""
    reference: str | None
    """Id of the payment, or what the operator named the gift; `None` for usage."""


@dataclass(frozen=True, kw_only=True)
class PaidRoute:
    """A route that costs something."""

    accepts: list[PaymentRequirements]
    """The least payments, the `accepts` of `PAYMENT-REQUIRED`. What a payment has above the price is credit."""
    method: str
    """HTTP method."""
    operation_id: str
    """Its `operationId` in the OpenAPI document."""
    path: str
    """Path, with its parameters in braces."""
    prices: list[RoutePrice]
    """What a call takes from the credit, in each asset. Empty for `sum` and `credit`."""
    tier: str
    """
    Its price tier: `read`, `write` or `ai`; `sum` for `transact`, which costs as much as its calls; `credit`
    for `credit.top_up`, whose payment is all credit.
    """


@dataclass(frozen=True, kw_only=True)
class PaidRoutes:
    """The routes that cost something."""

    items: list[PaidRoute]
    """The routes. Empty on a server without prices."""
    x402_version: int
    """Version of x402."""


@dataclass(frozen=True, kw_only=True)
class PayerQuotas:
    """The quotas of the payer."""

    clicks: Quota
    """
    Single clicks of links, and their totals: one for each day, and for each referrer, country and browser of a
    day. If the payer has as many as it may have, clicks are counted only in `clicks` and `bot_clicks` of their
    links.
    """
    counters: Quota
    """Counters."""
    jobs: Quota
    """Jobs, including finished jobs that are still stored."""
    links: Quota
    """Links, without their clicks."""
    locks: Quota
    """Locks that are held or were held within about the last hour."""
    memories: Quota
    """Memories, including expired ones that are not deleted yet."""


@dataclass(frozen=True, kw_only=True)
class Payment:
    """A payment."""

    amount: str
    """Amount in the smallest unit of the asset."""
    asset: str
    """Id of the asset: the address of a token, or `STX`."""
    id: str
    """Id of the payment."""
    method: str
    """The `operationId` of the request that it came with."""
    network: str
    """Network of the asset, by its CAIP-2 id."""
    pay_to: str
    """The recipient."""
    reason: PaymentReason | str | None
    """Why it was rejected; `None` if it was not."""
    received_at: datetime
    """Time at which it came."""
    settled_at: datetime | None
    """Time at which its money became credit; `None` if it has not."""
    state: PaymentState | str
    """What became of it."""
    transaction: str | None
    """Hash of the transaction; `None` if it is not known."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """
    The answer to a failed request (RFC 9457). The page `/problems` describes each `code`. A problem has only
    the members that its code brings; later versions may add codes and members.
    """

    code: ProblemCode | str
    """Stable code of this kind of problem. Programs can branch on it."""
    detail: str
    """Explanation of this occurrence, or advice."""
    instance: str
    """Id of the request, as in the log."""
    status: int
    """HTTP status of the answer."""
    title: str
    """Summary of this kind of problem: one sentence, the same for every occurrence."""
    type: str
    """URI reference of the page that describes this kind of problem."""
    constraint: str | None = None
    """
    Constraint that does not hold: `unique`, `primary-key`, `not-null`, `check`, `foreign-key` or `datatype`
    (`sql-error`). Absent for other errors.
    """
    dimensions: int | None = None
    """Dimensions of the vector of the query (`dimension-mismatch`)."""
    embedding_model: str | None = None
    """Model of the vector of the query; `None` if not known (`dimension-mismatch`)."""
    errors: list[InvalidField] | None = None
    """Invalid values; absent if none."""
    expired_at: datetime | None = None
    """End of the lease (`lock-expired`)."""
    expires_at: datetime | None = None
    """End of the current lease (`lock-held`)."""
    expires_in_ms: int | None = None
    """Time until the end of the current lease, in milliseconds (`lock-held`)."""
    fence: int | None = None
    """Fence of the guard that does not hold (`stale-fence`)."""
    header: str | None = None
    """Name of the header that is not valid (`invalid-header`)."""
    holder: str | None = None
    """Whose allowance is used up: `token` or `grant` (`allowance-exceeded`)."""
    index: int | None = None
    """Index of the call at fault in a transaction, from 0."""
    job_status: JobStatus | str | None = None
    """Status of the job (`job-not-running`, `job-not-pending`)."""
    limit: int | None = None
    """Quota of the payer (`quota-exceeded`)."""
    limit_bytes: int | None = None
    """Size limit, in bytes (`payload-too-large`)."""
    limit_tokens: int | None = None
    """Limit of the tokens of a text for the embedding model (`payload-too-large`)."""
    lock: str | None = None
    """Lock of the guard that does not hold (`stale-fence`)."""
    max: int | None = None
    """Upper bound of the counter; `None` if none (`counter-out-of-bounds`)."""
    method: str | None = None
    """Method of the call at fault in a transaction."""
    min: int | None = None
    """Lower bound of the counter; `None` if none (`counter-out-of-bounds`)."""
    offset: int | None = None
    """Place of the fault in the text of the statement, in bytes (`sql-error`). Absent if SQLite does not know it."""
    payment: str | None = None
    """
    Id of the payment that came with the request, or that it belongs to (`payment-used`, `payment-unknown`, and
    problems of calls that were paid).
    """
    scope: str | None = None
    """Scope that the token lacks (`missing-scope`)."""
    stored: list[StoredVectors] | None = None
    """Models and dimensions of the stored vectors (`dimension-mismatch`)."""
    value: int | None = None
    """Current value of the counter (`counter-out-of-bounds`, `counter-overflow`)."""


@dataclass(frozen=True, kw_only=True)
class PushedJob(Job):
    """Result of a push."""

    deduplicated: bool
    """Whether this is an older, unfinished job with the same `dedup_key`, and no new job was pushed."""


@dataclass(frozen=True, kw_only=True)
class PushedJobs:
    """Result of pushing a batch."""

    jobs: list[PushedJob]
    """Pushed jobs, in the order of the request."""


@dataclass(frozen=True, kw_only=True)
class SqlRows:
    """The rows of a query."""

    columns: list[SqlColumn]
    """Columns, also if there are no rows."""
    row_count: int
    """Number of rows in `rows`, up to 1,000."""
    rows: list[list[SqlValue]]
    """Rows, each a list with one value per column: `int` (64 bits), `float`, `str`, `bytes` and `None`."""
    truncated: bool
    """
    `True` if there are more rows, which are left out: more than 1,000, or more than 1 MiB of JSON (256 KiB for
    a call that may write).
    """


@dataclass(frozen=True, kw_only=True)
class SqlTable:
    """A table or a view."""

    columns: list[SqlTableColumn]
    """Columns. None for a view that refers to what does not exist."""
    indexes: list[SqlTableIndex]
    """Indexes, by name. None for a view."""
    name: str
    """Name."""
    row_count: int | None
    """Number of rows; `None` for a view."""
    sql: str
    """Statement that creates it."""
    type: SqlTableType | str
    """Whether it is a table or a view."""


@dataclass(frozen=True, kw_only=True)
class StoredMemories:
    """Result of storing a batch."""

    memories: list[StoredMemory]
    """Stored memories, in the order of the request."""


@dataclass(frozen=True, kw_only=True)
class Token(TokenLimits):
    """A token, without its secret."""

    allowance: AllowanceLeft | None
    """Remaining allowance, which the tokens that it made share; `None` if it has none."""
    created_at: datetime
    """Time at which the token was made."""
    created_by: str | None
    """Id of the token that made this one; `None` if a wallet signed in, or the operator made it."""
    expires_at: datetime
    """Time at which the token expires."""
    id: str
    """Public id of the token: the 16 characters after `pb_live_`."""
    name: str | None
    """Name of the token; `None` if it has none."""
    revoked_at: datetime | None
    """Time at which the token was revoked; `None` if it was not."""
    scopes: list[str]
    """Scopes of the token."""


@dataclass(frozen=True, kw_only=True)
class CreatedToken(Token):
    """A new token."""

    token: str
    """The token with its secret, for `Authorization: Bearer <token>`. It cannot be shown again."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Result of a search."""

    exact: bool
    """
    Whether the results are certainly the best ones. `False` in two cases: the search by vector tried its
    approximate index, or more than 50,000 memories have one of the words. Then only a part of these memories is
    ranked: all that have a rare word, and some of the others.
    """
    mode: Mode | str
    """Mode of the search."""
    results: list[FoundMemory]
    """Results, best first."""
    scoring: Scoring | str
    """Meaning of the scores."""
    searched: int
    """
    Number of memories whose vectors were compared with the query. If the search was approximate: number of all
    memories with comparable vectors. In mode `text`: number of all memories.
    """
    skipped: int
    """Number of memories without a vector that can be compared with the query. 0 in mode `text`."""


@dataclass(frozen=True, kw_only=True)
class Me:
    """The account of the caller."""

    limits: Limits
    """Limits for every payer."""
    payer: str
    """Payer of the token: its wallet address."""
    quotas: PayerQuotas
    """The quotas of the payer, each with what was measured."""
    rate: RateUsage | None
    """
    The rate limit of the payer, as in the headers `RateLimit` and `RateLimit-Policy`; `None` if there is no
    limit.
    """
    scopes: list[str]
    """Scopes of the token: `<primitive>:read`, `<primitive>:write`, or `*` for everything."""
    token_allowance: AllowanceLeft | None
    """Remaining allowance of the token; `None` if it has none."""
    token_expires_at: datetime
    """Time at which the token expires."""
    token_id: str
    """Public id of the token, for listing and revoking it."""
    token_limits: TokenLimits
    """Limits of the token beside the scopes."""
    token_name: str | None
    """Name of the token; `None` if it has none."""
    usage: Usage
    """Usage of the payer."""


@dataclass(frozen=True, kw_only=True)
class SqlResult(SqlRows):
    """The result of a statement that may write."""

    last_insert_rowid: int | None
    """Rowid of the last row that the statement has inserted; `None` if it has inserted none."""
    rows_affected: int
    """Number of rows that the statement has inserted, updated or deleted, without those of foreign key actions."""


@dataclass(frozen=True, kw_only=True)
class SqlResults:
    """The results of a batch."""

    results: list[SqlResult]
    """The result of each statement, in order."""


@dataclass(frozen=True, kw_only=True)
class SqlSchema:
    """The tables and views of a database, and its size."""

    bytes: int
    """Size of the database, in bytes."""
    bytes_max: int
    """Maximum size, in bytes."""
    tables: list[SqlTable]
    """Tables and views, by name."""
