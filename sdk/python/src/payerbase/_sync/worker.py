"""Takes jobs of a queue and keeps their leases.

Made of `src/payerbase/_async/worker.py` by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from typing_extensions import Unpack

from payerbase import _threads
from payerbase._attempts import backoff, may_have_paid
from payerbase._log import LOGGER
from payerbase._operation import WriteOptions
from payerbase._sync.calls.queues import QueueCalls
from payerbase.errors import PayerbaseError
from payerbase.models import LeasedJob

CONCURRENCY_MAX = 100
# The longest pause of a worker whose server is away.
AWAY_SECONDS_MAX = 30.0
# How much longer than its `wait_ms` a stopping worker waits for its last request.
LAST_ANSWER_SECONDS = 5.0
# The attempt is over: extending its lease again cannot help.
LOST = {"lease-lost", "job-not-running", "not-found"}


@dataclass
class Hold:
    """The state of a lease."""

    extended_at: float
    ends_at: float
    is_lost: bool = False


@dataclass(frozen=True, kw_only=True)
class WorkedJob(LeasedJob):
    """A job in hand: its lease is extended in the background until `complete` or `fail`.

    As a block (`with job:`), it is completed at the end, and failed if an error leaves the block.
    """

    _worker: Worker = field(repr=False, compare=False)
    _hold: Hold = field(repr=False, compare=False)

    @property
    def lost(self) -> bool:
        """Whether the lease was lost: another worker may have the job now."""
        return self._hold.is_lost or (self.lease in self._worker.in_hand and time.monotonic() >= self._hold.ends_at)

    @property
    def in_hand(self) -> bool:
        """Whether the job is neither completed nor failed nor lost."""
        return self.lease in self._worker.in_hand

    def complete(self, result: Any = None, **options: Unpack[WriteOptions]) -> None:
        """Complete the job, with a result: any JSON, at most 256 KiB.

        Raises:
            PayerbaseProblem: `lease-lost`: the lease was lost, and another worker may have the job.
        """
        with self._worker.settling(self):
            self._worker.queues.complete(self.id, lease=self.lease, result=result, **options)

    def fail(
        self,
        error: str = "",
        *,
        retry: bool = True,
        retry_in_ms: int | None = None,
        **options: Unpack[WriteOptions],
    ) -> None:
        """Report that the attempt failed.

        The job is retried after `retry_in_ms`, by default after its back-off. It is dead if its attempts are used up
        or `retry` is `False`.
        """
        with self._worker.settling(self):
            self._worker.queues.fail(
                self.id, lease=self.lease, error=error, retry=retry, retry_in_ms=retry_in_ms, **options
            )

    def __enter__(self) -> WorkedJob:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if not self.in_hand and not self._hold.is_lost:
            return
        if error is None:
            self.complete()
        elif isinstance(error, Exception):
            self._worker.report(self, error)
        else:
            self._worker.give_back(self)


class Worker:
    """Takes jobs of a queue, at most `concurrency` at a time, and keeps their leases."""

    def __init__(
        self,
        queues: QueueCalls,
        queue: str,
        *,
        concurrency: int,
        lease_ms: int,
        wait_ms: int,
        stop: _threads.StopEvent | None,
    ) -> None:
        if not 1 <= concurrency <= CONCURRENCY_MAX:
            raise ValueError(f"concurrency must be 1 to {CONCURRENCY_MAX}")
        self.queues = queues
        self._queue = queue
        self._concurrency = concurrency
        self._lease_ms = lease_ms
        self._wait_ms = wait_ms
        self._stop = stop
        self._changed = _threads.Signal()
        self._closing = _threads.Lock()
        self._is_stopped = False
        self._is_closed = False
        self._is_wanted = False
        self._is_popping = False
        self._error: Exception | None = None
        # Jobs that wait for the caller; they are in hand, too.
        self._ready: deque[WorkedJob] = deque()
        # By lease.
        self.in_hand: dict[str, WorkedJob] = {}

    def __enter__(self) -> Worker:
        self._popping = _threads.Background(self._pop)
        self._others = [_threads.Background(self._keep), _threads.Background(self._watch)]
        self.queues._transport.workers.add(self)
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Takes no further job, and gives back those that are in hand. A second call waits for the first one."""
        with self._closing:
            if self._is_closed:
                return
            self._is_closed = True
            self._end()
            for background in (self._popping, *self._others):
                background.stop()
            self.queues._transport.leave(self._popping)
            for job in list(self.in_hand.values()):
                self.give_back(job)
            # Only now: the end of the client waits for the workers that it knows.
            self.queues._transport.workers.discard(self)

    def next(self) -> WorkedJob | None:
        """The next job. After the stop: `None`, when no job is in hand any more."""
        self._is_wanted = True
        self._changed.notify()
        self._changed.wait(lambda: self._stops() or bool(self._ready))
        # Also after the stop: a job that was taken, or is taken by the last request, has used up an attempt.
        last_answer = self._wait_ms / 1000 + LAST_ANSWER_SECONDS
        self._changed.wait(lambda: self._has_next() or not self._is_popping, last_answer)
        self._changed.wait(lambda: self._has_next() or not self.in_hand)
        self._is_wanted = False
        if not self._is_closed and self._ready:
            return self._ready.popleft()
        if self._error:
            raise self._error
        return None

    def _has_next(self) -> bool:
        return self._is_closed or bool(self._ready)

    @contextmanager
    def settling(self, job: WorkedJob) -> Iterator[None]:
        """A block in which a job is completed or failed: afterwards it is not in hand any more."""
        try:
            yield
        except PayerbaseError as error:
            if error.code in LOST:
                self.forget(job, is_lost=True)
            elif self._may_have_paid(error):
                # The next calls would pay again.
                self.forget(job)
                self._error = self._error or error
                self._end()
            raise
        self.forget(job)

    def forget(self, job: WorkedJob, *, is_lost: bool = False) -> None:
        """The job is not in hand any more."""
        job._hold.is_lost = job._hold.is_lost or is_lost
        self.in_hand.pop(job.lease, None)
        self._changed.notify()

    def report(self, job: WorkedJob, error: Exception) -> None:
        """Fails a job with the text of an error."""
        text = f"{type(error).__name__}: {error}"
        self._try_to_fail(job, text.encode(errors="replace").decode(), None)

    def give_back(self, job: WorkedJob) -> None:
        """Fails a job so that another worker gets it at once. In its last attempt, its lease ends instead."""
        if job.attempts >= job.max_attempts:
            self.forget(job)
            return
        self._try_to_fail(job, "the worker has stopped", 0)

    def _try_to_fail(self, job: WorkedJob, error: str, retry_in_ms: int | None) -> None:
        try:
            job.fail(error, retry_in_ms=retry_in_ms)
        except Exception as problem:
            LOGGER.warning("the job %s of %r could not be failed: %s", job.id, job.queue, problem)
            # Its lease ends by itself.
            self.forget(job)

    def _stops(self) -> bool:
        # `_watch` may be a moment behind.
        return self._is_stopped or (self._stop is not None and self._stop.is_set())

    def _end(self) -> None:
        self._is_stopped = True
        self._changed.notify()

    def _watch(self) -> None:
        """Stops when the caller says so."""
        if self._stop:
            _threads.wait_for_event(self._stop, lambda: self._is_stopped)
            self._end()

    def _may_have_paid(self, error: PayerbaseError) -> bool:
        return self.queues._transport.pays and may_have_paid(error)

    def _begins_to_pop(self) -> bool:
        has_room = len(self.in_hand) < self._concurrency
        # In the same step in which nobody has stopped yet: `next` waits for a request that has begun.
        self._is_popping = not self._stops() and self._is_wanted and not self._ready and has_room
        return self._is_popping

    def _pop(self) -> None:
        """Pops jobs while the caller waits for one and there is room for it."""
        failures = 0
        try:
            while True:
                self._changed.wait(lambda: self._begins_to_pop() or self._stops())
                if not self._is_popping:
                    return
                try:
                    self._pop_once()
                    failures = 0
                except PayerbaseError as error:
                    self._is_popping = False
                    if self._may_have_paid(error) or not _is_away(error):
                        raise
                    failures += 1
                    pause = backoff(failures, AWAY_SECONDS_MAX)
                    LOGGER.warning("no jobs of %r for %.1f s: %s", self._queue, pause, error)
                    self._changed.wait(lambda: self._is_stopped, pause)
        except Exception as error:
            self._error = error
            self._is_popping = False
            self._end()

    def _pop_once(self) -> None:
        free = self._concurrency - len(self.in_hand)
        asked_at, lease = time.monotonic(), self._lease_ms / 1000
        popped = self.queues.pop_many(self._queue, free, lease_ms=self._lease_ms, wait_ms=self._wait_ms)
        jobs = [WorkedJob(**vars(job), _worker=self, _hold=Hold(asked_at, asked_at + lease)) for job in popped.jobs]
        self.in_hand.update({job.lease: job for job in jobs})
        if time.monotonic() - asked_at >= lease / 3:
            # How old the leases are is not known: the request may have waited for the jobs, or for its answer.
            self._extend_all(jobs)
        self._ready.extend(job for job in jobs if job.in_hand)
        self._is_popping = False
        self._changed.notify()
        while self._is_closed and self._ready:
            self.give_back(self._ready.popleft())

    def _keep(self) -> None:
        """Extends the leases of the jobs in hand at a third of their time."""
        lease = self._lease_ms / 1000
        while not self._changed.wait(lambda: self._is_closed, lease / 12):
            now, jobs = time.monotonic(), list(self.in_hand.values())
            if self.queues._transport.pays:
                for job in [job for job in jobs if now >= job._hold.ends_at]:
                    self.forget(job, is_lost=True)
                    jobs.remove(job)
            self._extend_all([job for job in jobs if now - job._hold.extended_at >= lease / 3])

    def _extend_all(self, jobs: list[WorkedJob]) -> None:
        if jobs:
            with _threads.Handlers(len(jobs)) as handlers:
                for job in jobs:
                    handlers.start(partial(self._extend, job))

    def _extend(self, job: WorkedJob) -> None:
        now, lease, pays = time.monotonic(), self._lease_ms / 1000, self.queues._transport.pays
        try:
            # Without a key: the server would keep each answer for a day.
            self.queues.extend(
                job.id,
                lease=job.lease,
                lease_ms=self._lease_ms,
                # A payment takes its time.
                timeout=lease / 2 if pays else lease / 4,
                retries=0,
                idempotency_key=None,
            )
            job._hold.extended_at, job._hold.ends_at = now, now + lease
        except PayerbaseError as error:
            if self._may_have_paid(error):
                # It is not repeated: the next one is due after the next third, as always.
                job._hold.extended_at = now
            has_ended = time.monotonic() >= job._hold.ends_at
            if job.in_hand and (error.code in LOST or has_ended):
                LOGGER.warning("the lease of the job %s of %r was lost: %s", job.id, job.queue, error)
                self.forget(job, is_lost=True)


def _is_away(error: PayerbaseError) -> bool:
    """Whether the server may be back later."""
    return error.status is None or error.status >= 500 or error.status == 429
