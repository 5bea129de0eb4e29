"""Locks: one holder at a time, with fences against late writes. In a transaction.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from typing import Any

from typing_extensions import Unpack

from payerbase import _operations
from payerbase._operation import TransactedOptions
from payerbase._references import Handle, TransactedGroup
from payerbase._transacted import handles


class Locks(TransactedGroup):
    """Locks: one holder at a time, with fences against late writes. In a transaction."""

    def acquire(
        self,
        name: str,
        *,
        ttl_ms: int,
        metadata: Any | None = None,
        token: str | None = None,
        **options: Unpack[TransactedOptions],
    ) -> handles.LeaseHandle:
        """Acquire a lock. `locks.acquire` of the client describes it."""
        return self._add(
            handles.LeaseHandle,
            _operations.ACQUIRE_LOCK,
            {"name": name, "metadata": metadata, "token": token, "ttl_ms": ttl_ms},
            options,
        )

    def release(self, name: str, *, token: str, **options: Unpack[TransactedOptions]) -> Handle[None]:
        """Release a lock. `locks.release` of the client describes it."""
        return self._add(Handle[None], _operations.RELEASE_LOCK, {"name": name, "token": token}, options)

    def extend(
        self, name: str, *, token: str, ttl_ms: int, **options: Unpack[TransactedOptions]
    ) -> handles.LeaseHandle:
        """Extend a lease. `locks.extend` of the client describes it."""
        return self._add(
            handles.LeaseHandle, _operations.EXTEND_LOCK, {"name": name, "token": token, "ttl_ms": ttl_ms}, options
        )

    def get(self, name: str, **options: Unpack[TransactedOptions]) -> handles.LockHandle:
        """Get the state of a lock. `locks.get` of the client describes it."""
        return self._add(handles.LockHandle, _operations.CHECK_LOCK, {"name": name}, options)
