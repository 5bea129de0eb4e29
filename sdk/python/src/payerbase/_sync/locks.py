"""Locks, and holding one for the time of a block.

Made of `src/payerbase/_async/locks.py` by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from payerbase import _threads
from payerbase._attempts import backoff, may_have_paid
from payerbase._log import LOGGER
from payerbase._sync.calls.locks import LockCalls
from payerbase.errors import PayerbaseError, PayerbaseProblem
from payerbase.models import Lease

WAIT_MS_MAX = 30_000
# The lease is over: extending it again cannot help.
# Another holder has the lock, or had it before the lease could be extended.
HELD = {"lock-held", "lock-expired", "lock-wrong-token"}
LOST = {"lock-not-held", "lock-expired", "lock-wrong-token"}


class HeldLock:
    """A lock that is held. Pass it as `guard=` to writes: they run only while it is held."""

    name: str
    """Name of the lock."""
    fence: int
    """Fencing token: a number that is higher for every new lease of the lock."""
    token: str
    """Secret that proves ownership of the lock."""

    def __init__(self, locks: LockCalls, lease: Lease, ttl_ms: int, asked_at: float) -> None:
        self.name, self.fence, self.token = lease.name, lease.fence, lease.token
        self._locks = locks
        self._ttl_ms = ttl_ms
        # From before the call: the server may have begun the lease right after it.
        self._ends_at = asked_at + ttl_ms / 1000
        self._changed = _threads.Signal()
        self._is_lost = False
        self._is_over = False

    @property
    def lost(self) -> bool:
        """Whether the lease was lost: another one may hold the lock now."""
        return self._is_lost or (not self._is_over and time.monotonic() >= self._ends_at)

    def raise_if_lost(self) -> None:
        """Raises `PayerbaseError` if the lease was lost. Call it before each step of long work."""
        if self.lost:
            raise PayerbaseError(f"the lease of the lock {self.name!r} was lost")

    def wait_lost(self, timeout: float | None = None) -> bool:
        """Waits until the lease is lost or the block has ended, at most for this time in seconds. Returns `lost`."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self.lost and not self._is_over:
            now = time.monotonic()
            if until is not None and now >= until:
                break
            end = self._ends_at if until is None else min(self._ends_at, until)
            self._changed.wait(lambda: self._is_lost or self._is_over, max(0.0, end - now))
        return self.lost

    def _keep(self) -> None:
        """Extends the lease at a third of its time until the block ends or the lease is lost."""
        third, pays = self._ttl_ms / 3000, self._locks._transport.pays
        pause, failures = third, 0
        # A payment takes its time.
        timeout = 2 * third if pays else third
        while not self._changed.wait(lambda: self._is_over, pause):
            asked_at = time.monotonic()
            try:
                if pays and asked_at >= self._ends_at:
                    raise PayerbaseError("its time is over")
                self._locks.extend(self.name, token=self.token, ttl_ms=self._ttl_ms, timeout=timeout, retries=0)
                self._ends_at = asked_at + self._ttl_ms / 1000
                pause, failures = third, 0
            except PayerbaseError as error:
                failures += 1
                pause = backoff(failures, third / 2)
                if pays and may_have_paid(error):
                    # It is not repeated: the next one is due after the next third, as always.
                    pause = max(0.0, asked_at + third - time.monotonic())
                self._is_lost = not self._is_over and (error.code in LOST or time.monotonic() >= self._ends_at)
                if self._is_lost:
                    LOGGER.warning("the lease of the lock %r was lost: %s", self.name, error)
                    self._changed.notify()
                    return

    def _release(self) -> None:
        self._is_over = True
        self._changed.notify()
        self._locks.release(self.name, token=self.token)


class Locks(LockCalls):
    """Locks: one holder at a time, with fences against late writes."""

    @contextmanager
    def hold(self, name: str, *, ttl_ms: int = 30_000, wait_ms: int = 0, metadata: Any = None) -> Iterator[HeldLock]:
        """Hold a lock for the time of a block.

        The lease is extended in the background at a third of its time, and released at the end of the block, also
        after an error. If it is lost (the program or the network stood still for longer than `ttl_ms`), `lost` of the
        lock becomes `True`, and leaving the block raises `PayerbaseProblem`, `lock-expired` for example.

        Args:
            name: Name of the lock.
            ttl_ms: Time of the lease, in milliseconds, 1,000 to 86,400,000 (24 hours): how long the lock stays held
                after the program was killed.
            wait_ms: Maximum time to wait for the lock, in milliseconds; it may be longer than 30,000.
            metadata: Description of the holder, for `get` and `list`: any JSON of at most 4 KiB.

        Raises:
            PayerbaseProblem: `lock-held`: another one holds the lock, and `wait_ms` is over.
        """
        wait_until = time.monotonic() + wait_ms / 1000
        while True:
            # Chosen here, so that a lease whose answer does not come can be released.
            token = secrets.token_urlsafe(24)
            asked_at = time.monotonic()
            left_ms = max(0, int((wait_until - time.monotonic()) * 1000))
            try:
                lease = self.acquire(
                    name, ttl_ms=ttl_ms, token=token, wait_ms=min(left_ms, WAIT_MS_MAX), metadata=metadata
                )
                if time.monotonic() - asked_at >= ttl_ms / 3000:
                    # How old the lease is is not known: the call may have waited for the lock, or for its answer.
                    asked_at = time.monotonic()
                    self.extend(name, token=token, ttl_ms=ttl_ms)
                break
            except BaseException as error:
                code = error.code if isinstance(error, PayerbaseProblem) else None
                if code != "lock-held" and not self._transport.pays:
                    # The server may have given the lock although its answer did not come. Where the release would be
                    # paid, the lease ends by itself.
                    _threads.shielded(partial(self._give_up, name, token))
                if code not in HELD or time.monotonic() >= wait_until:
                    raise
        lock = HeldLock(self, lease, ttl_ms, asked_at)
        keeper = _threads.Background(lock._keep)
        try:
            yield lock
        except BaseException:
            try:
                lock._release()
            except PayerbaseError as error:
                LOGGER.warning("the lock %r was not released: %s", name, error)
            raise
        else:
            lock._release()
        finally:
            keeper.stop()

    def _give_up(self, name: str, token: str) -> None:
        """Releases a lock that is perhaps held."""
        try:
            self.release(name, token=token, retries=1, timeout=10)
        except Exception as error:
            LOGGER.info("the lock %r was not released: %s", name, error)
