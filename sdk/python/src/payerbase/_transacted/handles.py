"""Handles of calls in a transaction, with the members of their results.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from payerbase import models
from payerbase._references import Handle, Ref


class AdjustedCounterHandle(Handle[models.AdjustedCounter]):
    """A call with the result `AdjustedCounter`."""

    created_at: Ref
    """Time of the first write, which created the counter."""
    max: Ref
    """Upper bound of increments, decrements and resets; `None` if none."""
    min: Ref
    """Lower bound of increments, decrements and resets; `None` if none."""
    name: Ref
    """Name of the counter."""
    updated_at: Ref
    """Time of the last write."""
    value: Ref
    """Current value, a 64-bit signed integer. A JavaScript number is exact only up to 2^53: ask for strings with
    `Payerbase-Integers`."""
    applied: Ref
    """Part of `amount` that took effect."""
    capped: Ref
    """`True` if `min` or `max` limited the change; `applied` then differs from `amount`."""
    previous_value: Ref
    """Value before the call; 0 if the call created the counter."""


class CounterHandle(Handle[models.Counter]):
    """A call with the result `Counter`."""

    created_at: Ref
    """Time of the first write, which created the counter."""
    max: Ref
    """Upper bound of increments, decrements and resets; `None` if none."""
    min: Ref
    """Lower bound of increments, decrements and resets; `None` if none."""
    name: Ref
    """Name of the counter."""
    updated_at: Ref
    """Time of the last write."""
    value: Ref
    """Current value, a 64-bit signed integer. A JavaScript number is exact only up to 2^53: ask for strings with
    `Payerbase-Integers`."""


class CreatedTokenHandle(Handle[models.CreatedToken]):
    """A call with the result `CreatedToken`."""

    methods: Ref
    """The only methods that it may call, by their `operationId`; `None`: all that its scopes allow."""
    prefix: Ref
    """Prefix of all names that it may use; `None`: any name. Names are those of counters, locks and queues, and the ids
    and namespaces of memories."""
    allowance: Ref
    """Remaining allowance, which the tokens that it made share; `None` if it has none."""
    created_at: Ref
    """Time at which the token was made."""
    created_by: Ref
    """Id of the token that made this one; `None` if a wallet signed in, or the operator made it."""
    expires_at: Ref
    """Time at which the token expires."""
    id: Ref
    """Public id of the token: the 16 characters after `pb_live_`."""
    name: Ref
    """Name of the token; `None` if it has none."""
    revoked_at: Ref
    """Time at which the token was revoked; `None` if it was not."""
    scopes: Ref
    """Scopes of the token."""
    token: Ref
    """The token with its secret, for `Authorization: Bearer <token>`. It cannot be shown again."""


class CreditHandle(Handle[models.Credit]):
    """A call with the result `Credit`."""

    items: Ref
    """The credit in each asset that the payer has paid in. A call is paid in the first asset of the server of which
    there is enough."""


class GrantHandle(Handle[models.Grant]):
    """A call with the result `Grant`."""

    methods: Ref
    """The only methods that it may call, by their `operationId`; `None`: all that its scopes allow."""
    prefix: Ref
    """Prefix of all names that it may use; `None`: any name. Names are those of counters, locks and queues, and the ids
    and namespaces of memories."""
    allowance: Ref
    """Remaining allowance; `None` if it has none."""
    created_at: Ref
    """Time at which the grant was made."""
    created_by: Ref
    """Id of the token that made it."""
    expires_at: Ref
    """Time at which the grant expires."""
    grantee: Ref
    """The payer who has the rights."""
    id: Ref
    """Id of the grant."""
    name: Ref
    """Name of the grant; `None` if it has none."""
    pays: Ref
    """Who pays for the calls of the grantee."""
    revoked_at: Ref
    """Time at which the grant was revoked; `None` if it was not."""
    scopes: Ref
    """Scopes of the grant."""


class JobHandle(Handle[models.Job]):
    """A call with the result `Job`."""

    attempts: Ref
    """Number of attempts: pops since the job was pushed, or since `queues.retry_dead` put it back."""
    backoff_ms: Ref
    """Base of the back-off, in milliseconds, 0 to 3,600,000."""
    created_at: Ref
    """Time at which the job was pushed."""
    dedup_key: Ref
    """Deduplication key. `None` if it has none."""
    error: Ref
    """Error of the last failed attempt. `None` if no attempt has failed."""
    finished_at: Ref
    """Time at which the job was completed or became dead. `None` if it is unfinished."""
    group: Ref
    """Group, in which jobs run one at a time, in order of arrival. `None` if the job has none."""
    id: Ref
    """Id of the job: a UUID of version 7."""
    lease_expires_at: Ref
    """End of the lease. `None` unless the job is running."""
    max_attempts: Ref
    """Maximum number of attempts, 1 to 1,000."""
    payload: Ref
    """Payload, as it was pushed."""
    priority: Ref
    """Priority, -32,768 to 32,767. Jobs with a higher priority are popped first."""
    queue: Ref
    """Name of the queue."""
    run_at: Ref
    """Earliest time at which the job can be popped. Each retry replaces it with the time of the next attempt."""
    status: Ref
    """Status of the job."""
    updated_at: Ref
    """Time of the last change."""


class JobWithErrorsHandle(Handle[models.JobWithErrors]):
    """A call with the result `JobWithErrors`."""

    attempts: Ref
    """Number of attempts: pops since the job was pushed, or since `queues.retry_dead` put it back."""
    backoff_ms: Ref
    """Base of the back-off, in milliseconds, 0 to 3,600,000."""
    created_at: Ref
    """Time at which the job was pushed."""
    dedup_key: Ref
    """Deduplication key. `None` if it has none."""
    error: Ref
    """Error of the last failed attempt. `None` if no attempt has failed."""
    finished_at: Ref
    """Time at which the job was completed or became dead. `None` if it is unfinished."""
    group: Ref
    """Group, in which jobs run one at a time, in order of arrival. `None` if the job has none."""
    id: Ref
    """Id of the job: a UUID of version 7."""
    lease_expires_at: Ref
    """End of the lease. `None` unless the job is running."""
    max_attempts: Ref
    """Maximum number of attempts, 1 to 1,000."""
    payload: Ref
    """Payload, as it was pushed."""
    priority: Ref
    """Priority, -32,768 to 32,767. Jobs with a higher priority are popped first."""
    queue: Ref
    """Name of the queue."""
    run_at: Ref
    """Earliest time at which the job can be popped. Each retry replaces it with the time of the next attempt."""
    status: Ref
    """Status of the job."""
    updated_at: Ref
    """Time of the last change."""
    errors: Ref
    """The last ten failed attempts, in the order of time."""


class LeaseHandle(Handle[models.Lease]):
    """A call with the result `Lease`."""

    acquired_at: Ref
    """Start of the lease."""
    expires_at: Ref
    """End of the lease if it is neither extended nor released, on the database's clock."""
    fence: Ref
    """Fencing token: a number that is higher for every new lease of the lock. Send it to the resource that the lock
    protects. A resource that has seen a higher fence must refuse a lower one: its sender no longer holds the lock."""
    name: Ref
    """Name of the lock."""
    token: Ref
    """Secret that proves ownership of the lock. `locks.get` and `locks.list` do not return it."""


class LeasedJobHandle(Handle[models.LeasedJob | None]):
    """A call with the result `LeasedJob`."""

    attempts: Ref
    """Number of attempts: pops since the job was pushed, or since `queues.retry_dead` put it back."""
    backoff_ms: Ref
    """Base of the back-off, in milliseconds, 0 to 3,600,000."""
    created_at: Ref
    """Time at which the job was pushed."""
    dedup_key: Ref
    """Deduplication key. `None` if it has none."""
    error: Ref
    """Error of the last failed attempt. `None` if no attempt has failed."""
    finished_at: Ref
    """Time at which the job was completed or became dead. `None` if it is unfinished."""
    group: Ref
    """Group, in which jobs run one at a time, in order of arrival. `None` if the job has none."""
    id: Ref
    """Id of the job: a UUID of version 7."""
    lease_expires_at: Ref
    """End of the lease. `None` unless the job is running."""
    max_attempts: Ref
    """Maximum number of attempts, 1 to 1,000."""
    payload: Ref
    """Payload, as it was pushed."""
    priority: Ref
    """Priority, -32,768 to 32,767. Jobs with a higher priority are popped first."""
    queue: Ref
    """Name of the queue."""
    run_at: Ref
    """Earliest time at which the job can be popped. Each retry replaces it with the time of the next attempt."""
    status: Ref
    """Status of the job."""
    updated_at: Ref
    """Time of the last change."""
    lease: Ref
    """Lease of this attempt. A new attempt gets a new lease."""


class LeasedJobsHandle(Handle[models.LeasedJobs]):
    """A call with the result `LeasedJobs`."""

    jobs: Ref
    """Popped jobs, in the order of the queue. Empty if no job is ready."""


class LinkHandle(Handle[models.Link]):
    """A call with the result `Link`."""

    clicks: Ref
    """Number of clicks by people."""
    created_at: Ref
    """Time of creation."""
    expires_at: Ref
    """Time at which the link expires; `None` if it never expires."""
    max_clicks: Ref
    """Maximum number of clicks by people; `None` if unlimited."""
    short_url: Ref
    """Short URL, to give to people."""
    slug: Ref
    """Slug, the last segment of the short URL."""
    title: Ref
    """Title; `None` if none."""
    updated_at: Ref
    """Time of the last change. Clicks are not changes."""
    url: Ref
    """Target URL, at most 2,048 bytes."""


class LockHandle(Handle[models.Lock]):
    """A call with the result `Lock`."""

    acquired_at: Ref
    """Start of the current lease; `None` if the lock is free."""
    expires_at: Ref
    """End of the current lease; `None` if the lock is free."""
    fence: Ref
    """Fence of the current lease; `None` if the lock is free."""
    locked: Ref
    """Whether the lock is held now."""
    metadata: Ref
    """Description of the holder, from `locks.acquire`; `None` if it gave none or the lock is free."""
    name: Ref
    """Name of the lock."""


class MemoryHandle(Handle[models.Memory]):
    """A call with the result `Memory`."""

    content: Ref
    """Content of the memory."""
    created_at: Ref
    """Time at which the memory was first stored."""
    dimensions: Ref
    """Number of dimensions of the vector. `None` if there is no vector."""
    embedding: Ref
    """Vector of the memory. `None` if the request has no `include_embedding`, or the memory has no vector."""
    embedding_model: Ref
    """Model that made the vector. `None` if there is no vector, or the caller did not name a model."""
    expires_at: Ref
    """Time at which the memory expires. `None`: never."""
    has_embedding: Ref
    """Whether the memory has a vector. Without one, searches by meaning do not find it."""
    id: Ref
    """Id of the memory."""
    importance: Ref
    """Importance of the memory, 0 to 1."""
    metadata: Ref
    """Metadata of the memory."""
    namespace: Ref
    """Namespace of the memory."""
    tags: Ref
    """Tags of the memory."""
    updated_at: Ref
    """Time of the last change."""


class PaymentHandle(Handle[models.Payment]):
    """A call with the result `Payment`."""

    amount: Ref
    """Amount in the smallest unit of the asset."""
    asset: Ref
    """Id of the asset: the address of a token, or `STX`."""
    id: Ref
    """Id of the payment."""
    method: Ref
    """The `operationId` of the request that it came with."""
    network: Ref
    """Network of the asset, by its CAIP-2 id."""
    pay_to: Ref
    """The recipient."""
    reason: Ref
    """Why it was rejected; `None` if it was not."""
    received_at: Ref
    """Time at which it came."""
    settled_at: Ref
    """Time at which its money became credit; `None` if it has not."""
    state: Ref
    """What became of it."""
    transaction: Ref
    """Hash of the transaction; `None` if it is not known."""


class PurgedHandle(Handle[models.Purged]):
    """A call with the result `Purged`."""

    has_more: Ref
    """Whether more jobs may be left. If `True`, call again."""
    purged: Ref
    """Number of deleted jobs, at most 1,000."""


class PushedJobHandle(Handle[models.PushedJob]):
    """A call with the result `PushedJob`."""

    attempts: Ref
    """Number of attempts: pops since the job was pushed, or since `queues.retry_dead` put it back."""
    backoff_ms: Ref
    """Base of the back-off, in milliseconds, 0 to 3,600,000."""
    created_at: Ref
    """Time at which the job was pushed."""
    dedup_key: Ref
    """Deduplication key. `None` if it has none."""
    error: Ref
    """Error of the last failed attempt. `None` if no attempt has failed."""
    finished_at: Ref
    """Time at which the job was completed or became dead. `None` if it is unfinished."""
    group: Ref
    """Group, in which jobs run one at a time, in order of arrival. `None` if the job has none."""
    id: Ref
    """Id of the job: a UUID of version 7."""
    lease_expires_at: Ref
    """End of the lease. `None` unless the job is running."""
    max_attempts: Ref
    """Maximum number of attempts, 1 to 1,000."""
    payload: Ref
    """Payload, as it was pushed."""
    priority: Ref
    """Priority, -32,768 to 32,767. Jobs with a higher priority are popped first."""
    queue: Ref
    """Name of the queue."""
    run_at: Ref
    """Earliest time at which the job can be popped. Each retry replaces it with the time of the next attempt."""
    status: Ref
    """Status of the job."""
    updated_at: Ref
    """Time of the last change."""
    deduplicated: Ref
    """Whether this is an older, unfinished job with the same `dedup_key`, and no new job was pushed."""


class PushedJobsHandle(Handle[models.PushedJobs]):
    """A call with the result `PushedJobs`."""

    jobs: Ref
    """Pushed jobs, in the order of the request."""


class RecordedClickHandle(Handle[models.RecordedClick]):
    """A call with the result `RecordedClick`."""

    clicks: Ref
    """Number of clicks by people on the link, after this click."""
    recorded: Ref
    """Whether it counts as a click by a person. Bots are counted separately."""


class ResetCounterHandle(Handle[models.ResetCounter]):
    """A call with the result `ResetCounter`."""

    created_at: Ref
    """Time of the first write, which created the counter."""
    max: Ref
    """Upper bound of increments, decrements and resets; `None` if none."""
    min: Ref
    """Lower bound of increments, decrements and resets; `None` if none."""
    name: Ref
    """Name of the counter."""
    updated_at: Ref
    """Time of the last write."""
    value: Ref
    """Current value, a 64-bit signed integer. A JavaScript number is exact only up to 2^53: ask for strings with
    `Payerbase-Integers`."""
    previous_value: Ref
    """Value before the call; 0 if the call created the counter."""


class RetriedHandle(Handle[models.Retried]):
    """A call with the result `Retried`."""

    retried: Ref
    """Number of jobs put back into the queue."""


class SqlMigratedHandle(Handle[models.SqlMigrated]):
    """A call with the result `SqlMigrated`."""

    applied: Ref
    """Ids of the migrations that ran now, in order. The others ran before."""


class SqlResultHandle(Handle[models.SqlResult]):
    """A call with the result `SqlResult`."""

    columns: Ref
    """Columns, also if there are no rows."""
    row_count: Ref
    """Number of rows in `rows`, up to 1,000."""
    rows: Ref
    """Rows, each an array with one value per column. An integer beyond 2^53 - 1 is `{"$int": "9007199254740993"}`, a
    blob `{"$blob": "<base64>"}`, an infinity `{"$real": "Infinity"}` or `{"$real": "-Infinity"}`, and a text with
    U+0000 or other than UTF-8 `{"$text": "<base64>"}`. Parameters take the same forms."""
    truncated: Ref
    """`True` if there are more rows, which are left out: more than 1,000, or more than 1 MiB of JSON (256 KiB for a
    call that may write)."""
    last_insert_rowid: Ref
    """Rowid of the last row that the statement has inserted; `None` if it has inserted none. Beyond 2^53 - 1 it is
    `{"$int": "9007199254740993"}`."""
    rows_affected: Ref
    """Number of rows that the statement has inserted, updated or deleted, without those of foreign key actions."""


class SqlResultsHandle(Handle[models.SqlResults]):
    """A call with the result `SqlResults`."""

    results: Ref
    """The result of each statement, in order."""


class SqlRowsHandle(Handle[models.SqlRows]):
    """A call with the result `SqlRows`."""

    columns: Ref
    """Columns, also if there are no rows."""
    row_count: Ref
    """Number of rows in `rows`, up to 1,000."""
    rows: Ref
    """Rows, each an array with one value per column. An integer beyond 2^53 - 1 is `{"$int": "9007199254740993"}`, a
    blob `{"$blob": "<base64>"}`, an infinity `{"$real": "Infinity"}` or `{"$real": "-Infinity"}`, and a text with
    U+0000 or other than UTF-8 `{"$text": "<base64>"}`. Parameters take the same forms."""
    truncated: Ref
    """`True` if there are more rows, which are left out: more than 1,000, or more than 1 MiB of JSON (256 KiB for a
    call that may write)."""


class SqlSchemaHandle(Handle[models.SqlSchema]):
    """A call with the result `SqlSchema`."""

    bytes: Ref
    """Size of the database, in bytes."""
    bytes_max: Ref
    """Maximum size, in bytes."""
    tables: Ref
    """Tables and views, by name."""


class StoredMemoriesHandle(Handle[models.StoredMemories]):
    """A call with the result `StoredMemories`."""

    memories: Ref
    """Stored memories, in the order of the request."""


class StoredMemoryHandle(Handle[models.StoredMemory]):
    """A call with the result `StoredMemory`."""

    content: Ref
    """Content of the memory."""
    created_at: Ref
    """Time at which the memory was first stored."""
    dimensions: Ref
    """Number of dimensions of the vector. `None` if there is no vector."""
    embedding: Ref
    """Vector of the memory. `None` if the request has no `include_embedding`, or the memory has no vector."""
    embedding_model: Ref
    """Model that made the vector. `None` if there is no vector, or the caller did not name a model."""
    expires_at: Ref
    """Time at which the memory expires. `None`: never."""
    has_embedding: Ref
    """Whether the memory has a vector. Without one, searches by meaning do not find it."""
    id: Ref
    """Id of the memory."""
    importance: Ref
    """Importance of the memory, 0 to 1."""
    metadata: Ref
    """Metadata of the memory."""
    namespace: Ref
    """Namespace of the memory."""
    tags: Ref
    """Tags of the memory."""
    updated_at: Ref
    """Time of the last change."""
    replaced: Ref
    """Whether the memory replaced another one."""
