"""Locks: one holder at a time, with fences against late writes.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from typing import Any

from typing_extensions import Unpack

from payerbase import _operations, models
from payerbase._operation import ReadOptions, WriteOptions
from payerbase._sync.group import Group
from payerbase._sync.pages import Pages


class LockCalls(Group):
    """Locks: one holder at a time, with fences against late writes."""

    def acquire(
        self,
        name: str,
        *,
        ttl_ms: int,
        metadata: Any | None = None,
        token: str | None = None,
        wait_ms: int | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Lease:
        """Acquire a lock.

        The lease expires after `ttl_ms`; call `locks.extend` if the work takes longer. If another token holds the lock,
        the call waits up to `wait_ms`, then fails with `lock-held`. Acquiring again with the holder's `token` returns
        the same lease, so a holder that lost the answer can retry. Protect writes with the `fence` of the lease: a
        write with the header `Payerbase-Guard: <name>; fence=<fence>` runs only while the lease is held.

        With `Idempotency-Key`, the token is derived from the key, and a repeated call gets the same lease. So two
        workers that send the same key both believe that they hold the lock: use a new random key for each attempt,
        never the name of a job.

        Needs the scope `locks:write`.

        Args:
            name: Name of the lock.
            ttl_ms: Lease time, in milliseconds, 1,000 to 86,400,000 (24 hours).
            metadata: Description of the holder, for `locks.get` and `locks.list`: any JSON of at most 4 KiB, nested at
                most 64 levels deep. Default: `None`.
            token: Secret that proves ownership, 16 to 128 characters of printable ASCII. Acquiring again with the
                holder's token returns the same lease, unchanged. Default: 32 characters (192 bits), random, or derived
                from the `Idempotency-Key` if the request has one.
            wait_ms: Maximum time to wait for the lock, in milliseconds, 0 to 30,000. Default: 0. Waiters on one server
                acquire the lock in order of arrival. Must be 0 in a transaction.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `quota-exceeded`: The payer has as much of this as it may have.
                `lock-held`: Another holder has the lock.
        """
        return self._send(
            _operations.ACQUIRE_LOCK,
            {"name": name, "metadata": metadata, "token": token, "ttl_ms": ttl_ms, "wait_ms": wait_ms},
            options,
        )

    def release(self, name: str, *, token: str, **options: Unpack[WriteOptions]) -> None:
        """Release a lock.

        Wakes the first waiter immediately.

        Needs the scope `locks:write`.

        Args:
            name: Name of the lock.
            token: Token of the lease, from the result of `locks.acquire`.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `lock-not-held`: The lock is not held.
                `lock-expired`: The lease ended before the call.
                `lock-wrong-token`: The lock is held with another token.
        """
        self._send(_operations.RELEASE_LOCK, {"name": name, "token": token}, options)

    def extend(self, name: str, *, token: str, ttl_ms: int, **options: Unpack[WriteOptions]) -> models.Lease:
        """Extend a lease.

        The fence stays the same. An expired lease cannot be extended, even if the lock is still free.

        Needs the scope `locks:write`.

        Args:
            name: Name of the lock.
            token: Token of the lease, from the result of `locks.acquire`.
            ttl_ms: Duration of the lease, counted from now, in milliseconds: 1,000 to 86,400,000 (24 hours). If the
                lease already ends later, its end does not change.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `lock-not-held`: The lock is not held.
                `lock-expired`: The lease ended before the call.
                `lock-wrong-token`: The lock is held with another token.
        """
        return self._send(_operations.EXTEND_LOCK, {"name": name, "token": token, "ttl_ms": ttl_ms}, options)

    def get(self, name: str, **options: Unpack[ReadOptions]) -> models.Lock:
        """Get the state of a lock.

        A lock that was never acquired is free.

        Needs the scope `locks:read`.

        Args:
            name: Name of the lock.
        """
        return self._send(_operations.CHECK_LOCK, {"name": name}, options)

    def list(
        self, *, limit: int | None = None, cursor: str | None = None, **options: Unpack[ReadOptions]
    ) -> Pages[models.Lock]:
        """List the held locks.

        Pages are sorted by name, byte by byte.

        Needs the scope `locks:read`.

        Args:
            limit: Maximum number of locks in the page, 1 to 1,000. Default: 100.
            cursor: `next_cursor` of the previous page. Default: the first page.
        """
        return self._pages(_operations.LIST_LOCKS, {"limit": limit, "cursor": cursor}, options)
