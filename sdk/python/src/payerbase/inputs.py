"""Objects inside of requests, for example the jobs of `queues.push_many`.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict

from typing_extensions import NotRequired

from payerbase._json import SqlParams


class BatchedJob(TypedDict):
    """A job of a batch."""

    backoff_ms: NotRequired[int | None]
    """
    Base of the back-off, in milliseconds, 0 to 3,600,000 (one hour). Default: 1,000. After failed attempt n the
    job waits for a random time of up to `backoff_ms * 2^(n-1)` milliseconds, at most one hour.
    """
    dedup_key: NotRequired[str | None]
    """
    Deduplication key. While the queue has an unfinished job with this key, the call pushes no job and returns
    the unfinished one. `None` or absent: no deduplication.
    """
    delay_ms: NotRequired[int | None]
    """
    Delay before the job can be popped, in milliseconds, 0 to 31,536,000,000 (365 days). `None` or absent: no
    delay. Cannot be combined with `run_at`.
    """
    group: NotRequired[str | None]
    """
    Group of the job. Jobs of a group run one at a time, in order of arrival, whatever their priority. A job
    that is delayed, or waits for a retry, does not block its group. `None` or absent: no group.
    """
    max_attempts: NotRequired[int | None]
    """
    Maximum number of attempts, 1 to 1,000. Default: 3. If the last attempt fails or its lease expires, the job
    is dead.
    """
    payload: Any
    """
    Payload of the job: any JSON, at most 256 KiB and 64 levels deep. The size is that of compact JSON in UTF-8,
    with all digits of its numbers.
    """
    priority: NotRequired[int | None]
    """Priority, -32,768 to 32,767. Jobs with a higher priority are popped first. Default: 0."""
    run_at: NotRequired[datetime | None]
    """
    Earliest time at which the job can be popped. A past time means now. `None` or absent: `delay_ms` applies.
    Cannot be combined with `delay_ms`.
    """


class BatchedMemory(TypedDict):
    """One memory of a batch."""

    content: str
    """Content of the memory, 1 to 100,000 characters."""
    embedding: NotRequired[list[float] | None]
    """
    Vector of the content, for searches by meaning. Absent: the server makes it, if it has a model. `None`: no
    vector.
    """
    embedding_model: NotRequired[str | None]
    """
    Model that made `embedding`; only with `embedding`. Only vectors of the same model and dimensions are
    compared. `None` or absent: not known.
    """
    expires_at: NotRequired[datetime | None]
    """
    Time at which the memory expires. A past time means now. `None` or absent: never, unless `ttl_ms` is given.
    Cannot be combined with `ttl_ms`.
    """
    id: NotRequired[str | None]
    """Id of the memory. Default: a UUID of version 7."""
    importance: NotRequired[float | None]
    """Importance of the memory, 0 to 1. Default: 0.5."""
    metadata: NotRequired[dict[str, Any] | None]
    """Arbitrary metadata, at most 16 KiB of JSON. Searches can filter by it. Default: `{}`."""
    namespace: NotRequired[str | None]
    """Namespace of the memory. Default: `default`."""
    tags: NotRequired[list[str] | None]
    """Tags of the memory, at most 32. Default: `[]`."""
    ttl_ms: NotRequired[int | None]
    """
    Lifetime of the memory, in milliseconds, 1,000 (one second) to 315,360,000,000 (10 years). `None` or absent:
    no limit, unless `expires_at` is given. Cannot be combined with `expires_at`.
    """


class SpendMax(TypedDict):
    """Maximum amount of an asset."""

    amount: str
    """Amount in the smallest unit of the asset, as digits: 1,000,000 is one USDC."""
    asset: str
    """Id of the asset: the address of a token, or `STX`. The server must take payments in it."""
    network: str
    """Network of the asset, by its CAIP-2 id."""


class SqlMigration(TypedDict):
    """A migration: one step from an empty database to the one that a program needs."""

    id: str
    """Its id, which never changes."""
    sql: str
    """One or more statements without parameters, 1 to 100,000 bytes of UTF-8."""


class Allowance(TypedDict):
    """
    Limits on the number of calls of a token and on the amounts that it spends. The tokens that it makes share
    the limits.
    """

    calls: NotRequired[int | None]
    """Number of calls, 1 to 1,000,000,000. A transaction counts as its calls. Absent: no limit."""
    spend: NotRequired[list[SpendMax] | None]
    """
    Maximum amounts that it spends from the credit of the payer, one for each of 1 to 8 assets. It cannot spend
    another asset. Absent: no limit.
    """


class SqlStatement(TypedDict):
    """A statement."""

    params: NotRequired[SqlParams]
    """
    Values of its parameters: a sequence for `?` and `?1`, or a mapping for `:name`, `@name` and `$name`, whose
    keys may omit that character. Up to 1,000 values: `int` (64 bits), `float`, `str`, `bytes` and `None`;
    `True` is 1, `False` is 0.
    """
    sql: str
    """One statement in the dialect of SQLite, 1 to 100,000 bytes of UTF-8. Comments are allowed."""
