"""Job queues with priorities, delays, retries, groups and deduplication. In a transaction.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from typing_extensions import Unpack

from payerbase import _operations, inputs, models
from payerbase._operation import TransactedOptions
from payerbase._references import Handle, Ref, TransactedGroup
from payerbase._transacted import handles


class Queues(TransactedGroup):
    """Job queues with priorities, delays, retries, groups and deduplication. In a transaction."""

    def push(
        self,
        queue: str,
        payload: Any,
        *,
        backoff_ms: int | None = None,
        dedup_key: str | Ref | None = None,
        delay_ms: int | None = None,
        group: str | Ref | None = None,
        max_attempts: int | None = None,
        priority: int | None = None,
        run_at: datetime | None = None,
        **options: Unpack[TransactedOptions],
    ) -> handles.PushedJobHandle:
        """Push a job. `queues.push` of the client describes it."""
        return self._add(
            handles.PushedJobHandle,
            _operations.PUSH_JOB,
            {
                "queue": queue,
                "payload": payload,
                "backoff_ms": backoff_ms,
                "dedup_key": dedup_key,
                "delay_ms": delay_ms,
                "group": group,
                "max_attempts": max_attempts,
                "priority": priority,
                "run_at": run_at,
            },
            options,
        )

    def push_many(
        self, queue: str, jobs: Sequence[inputs.BatchedJob], **options: Unpack[TransactedOptions]
    ) -> handles.PushedJobsHandle:
        """Push a batch of jobs. `queues.push_many` of the client describes it."""
        return self._add(handles.PushedJobsHandle, _operations.PUSH_JOBS, {"queue": queue, "jobs": jobs}, options)

    def pop(
        self, queue: str, *, lease_ms: int | None = None, **options: Unpack[TransactedOptions]
    ) -> handles.LeasedJobHandle:
        """Pop the next job. `queues.pop` of the client describes it."""
        return self._add(handles.LeasedJobHandle, _operations.POP_JOB, {"queue": queue, "lease_ms": lease_ms}, options)

    def pop_many(
        self, queue: str, count: int, *, lease_ms: int | None = None, **options: Unpack[TransactedOptions]
    ) -> handles.LeasedJobsHandle:
        """Pop a batch of jobs. `queues.pop_many` of the client describes it."""
        return self._add(
            handles.LeasedJobsHandle,
            _operations.POP_JOBS,
            {"queue": queue, "count": count, "lease_ms": lease_ms},
            options,
        )

    def complete(
        self,
        id: str | Ref,
        *,
        lease: str | Ref | None = None,
        result: Any | None = None,
        **options: Unpack[TransactedOptions],
    ) -> handles.JobHandle:
        """Complete a job. `queues.complete` of the client describes it."""
        return self._add(
            handles.JobHandle, _operations.COMPLETE_JOB, {"id": id, "lease": lease, "result": result}, options
        )

    def fail(
        self,
        id: str | Ref,
        *,
        error: str | None = None,
        lease: str | Ref | None = None,
        retry: bool | None = None,
        retry_in_ms: int | None = None,
        **options: Unpack[TransactedOptions],
    ) -> handles.JobHandle:
        """Report that an attempt failed. `queues.fail` of the client describes it."""
        return self._add(
            handles.JobHandle,
            _operations.FAIL_JOB,
            {"id": id, "error": error, "lease": lease, "retry": retry, "retry_in_ms": retry_in_ms},
            options,
        )

    def extend(
        self, id: str | Ref, *, lease: str | Ref, lease_ms: int, **options: Unpack[TransactedOptions]
    ) -> handles.JobHandle:
        """Extend the lease of a job. `queues.extend` of the client describes it."""
        return self._add(
            handles.JobHandle, _operations.EXTEND_JOB, {"id": id, "lease": lease, "lease_ms": lease_ms}, options
        )

    def get_job(self, id: str | Ref, **options: Unpack[TransactedOptions]) -> handles.JobWithErrorsHandle:
        """Get a job by its id. `queues.get_job` of the client describes it."""
        return self._add(handles.JobWithErrorsHandle, _operations.GET_JOB, {"id": id}, options)

    def cancel(self, id: str | Ref, **options: Unpack[TransactedOptions]) -> Handle[None]:
        """Cancel a job. `queues.cancel` of the client describes it."""
        return self._add(Handle[None], _operations.CANCEL_JOB, {"id": id}, options)

    def purge(
        self, queue: str, *, status: models.JobStatus | None = None, **options: Unpack[TransactedOptions]
    ) -> handles.PurgedHandle:
        """Delete jobs of a queue. `queues.purge` of the client describes it."""
        return self._add(handles.PurgedHandle, _operations.PURGE_QUEUE, {"queue": queue, "status": status}, options)

    def retry_dead(
        self, queue: str, *, limit: int | None = None, **options: Unpack[TransactedOptions]
    ) -> handles.RetriedHandle:
        """Retry dead jobs. `queues.retry_dead` of the client describes it."""
        return self._add(handles.RetriedHandle, _operations.RETRY_DEAD, {"queue": queue, "limit": limit}, options)
