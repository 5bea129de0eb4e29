"""Job queues with priorities, delays, retries, groups and deduplication.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from typing_extensions import Unpack

from payerbase import _operations, inputs, models
from payerbase._async.group import AsyncGroup
from payerbase._async.pages import AsyncPages
from payerbase._operation import ReadOptions, WriteOptions


class AsyncQueueCalls(AsyncGroup):
    """Job queues with priorities, delays, retries, groups and deduplication."""

    async def push(
        self,
        queue: str,
        payload: Any,
        *,
        backoff_ms: int | None = None,
        dedup_key: str | None = None,
        delay_ms: int | None = None,
        group: str | None = None,
        max_attempts: int | None = None,
        priority: int | None = None,
        run_at: datetime | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.PushedJob:
        """Push a job.

        The first push creates the queue. While the queue has an unfinished job with the same `dedup_key`, the call
        pushes no job and returns the unfinished one with status 200. A payload of more than 256 KiB fails with
        `payload-too-large`; the size is that of compact JSON in UTF-8, with all digits of its numbers (`1e300` counts
        301).

        Needs the scope `queues:write`.

        Args:
            queue: Name of the queue.
            payload: Payload of the job: any JSON, at most 256 KiB and 64 levels deep. The size is that of compact JSON
                in UTF-8, with all digits of its numbers.
            backoff_ms: Base of the back-off, in milliseconds, 0 to 3,600,000 (one hour). Default: 1,000. After failed
                attempt n the job waits for a random time of up to `backoff_ms * 2^(n-1)` milliseconds, at most one
                hour.
            dedup_key: Deduplication key. While the queue has an unfinished job with this key, the call pushes no job
                and returns the unfinished one. `None` or absent: no deduplication.
            delay_ms: Delay before the job can be popped, in milliseconds, 0 to 31,536,000,000 (365 days). `None` or
                absent: no delay. Cannot be combined with `run_at`.
            group: Group of the job. Jobs of a group run one at a time, in order of arrival, whatever their priority. A
                job that is delayed, or waits for a retry, does not block its group. `None` or absent: no group.
            max_attempts: Maximum number of attempts, 1 to 1,000. Default: 3. If the last attempt fails or its lease
                expires, the job is dead.
            priority: Priority, -32,768 to 32,767. Jobs with a higher priority are popped first. Default: 0.
            run_at: Earliest time at which the job can be popped. A past time means now. `None` or absent: `delay_ms`
                applies. Cannot be combined with `delay_ms`.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `quota-exceeded`: The payer has as much of this as it may have.
        """
        return await self._send(
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

    async def push_many(
        self, queue: str, jobs: Sequence[inputs.BatchedJob], **options: Unpack[WriteOptions]
    ) -> models.PushedJobs:
        """Push a batch of jobs.

        Pushes 1 to 100 jobs into one queue, in the order of the request. The batch succeeds or fails as a whole. A job
        whose `dedup_key` belongs to an unfinished job is not pushed; the unfinished job is returned in its place.

        Needs the scope `queues:write`.

        Args:
            queue: Name of the queue.
            jobs: Jobs to push, 1 to 100. They arrive in this order.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `quota-exceeded`: The payer has as much of this as it may have.
        """
        return await self._send(_operations.PUSH_JOBS, {"queue": queue, "jobs": jobs}, options)

    async def pop(
        self, queue: str, *, lease_ms: int | None = None, wait_ms: int | None = None, **options: Unpack[WriteOptions]
    ) -> models.LeasedJob | None:
        """Pop the next job.

        Returns the ready job with the highest priority; among equal priorities, the first that arrived. The job runs
        until its lease expires. Then it is pending again, or dead if its attempts are used up. With `wait_ms`, the call
        waits until a job is ready. Repeated with its `Idempotency-Key`, the call returns the job as long as the lease
        lasts, and then no job.

        Needs the scope `queues:write`.

        Args:
            queue: Name of the queue.
            lease_ms: Lease time, in milliseconds, 1,000 (one second) to 86,400,000 (24 hours). Default: 60,000.
            wait_ms: Maximum time to wait for a job, in milliseconds, 0 to 30,000. Default: 0. Each server serves its
                waiters in order of arrival.
        """
        return await self._send(
            _operations.POP_JOB, {"queue": queue, "lease_ms": lease_ms, "wait_ms": wait_ms}, options
        )

    async def pop_many(
        self,
        queue: str,
        count: int,
        *,
        lease_ms: int | None = None,
        wait_ms: int | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.LeasedJobs:
        """Pop a batch of jobs.

        Returns up to `count` jobs in the order of single pops, each with its own lease. The list is empty if no job is
        ready. Repeated with its `Idempotency-Key`, the call returns those of the jobs whose leases last.

        Needs the scope `queues:write`.

        Args:
            queue: Name of the queue.
            count: Maximum number of jobs, 1 to 100. The call returns fewer jobs if fewer are ready, or once they reach
                4 MiB.
            lease_ms: Time of each lease, in milliseconds, 1,000 (one second) to 86,400,000 (24 hours). Default: 60,000.
            wait_ms: Maximum time to wait for the first job, in milliseconds, 0 to 30,000. Default: 0. Each server
                serves its waiters in order of arrival.
        """
        return await self._send(
            _operations.POP_JOBS, {"queue": queue, "count": count, "lease_ms": lease_ms, "wait_ms": wait_ms}, options
        )

    async def complete(
        self, id: str, *, lease: str | None = None, result: Any | None = None, **options: Unpack[WriteOptions]
    ) -> models.Job:
        """Complete a job.

        With `lease`, only the attempt that holds this lease can complete the job, and only before the lease expires.
        Otherwise the call fails with `lease-lost`. Without `lease`, a job that does not run fails with
        `job-not-running`. A result of more than 256 KiB, counted like a payload, fails with `payload-too-large`.

        Needs the scope `queues:write`.

        Args:
            id: Id of the job.
            lease: Lease from the pop. `None` or absent: complete the running attempt, whichever it is.
            result: Result of the job: any JSON, at most 256 KiB and 64 levels deep, counted like a payload. Default:
                `None`.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `quota-exceeded`: The payer has as much of this as it may have.
                `not-found`: The resource or the path does not exist.
                `lease-lost`: The lease is not the current lease of the job.
                `job-not-running`: The job is not running.
        """
        return await self._send(_operations.COMPLETE_JOB, {"id": id, "lease": lease, "result": result}, options)

    async def fail(
        self,
        id: str,
        *,
        error: str | None = None,
        lease: str | None = None,
        retry: bool | None = None,
        retry_in_ms: int | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Job:
        """Report that an attempt failed.

        The job is retried after `retry_in_ms`, or after a random back-off whose limit grows with each attempt
        (`backoff_ms`). It is dead if its attempts are used up or `retry` is `False`. `lease` works as in
        `queues.complete`. A long `error` is cut, not refused.

        Needs the scope `queues:write`.

        Args:
            id: Id of the job.
            error: Reason of the failure, in UTF-8. A longer text is cut at 8 KiB, and U+0000 is left out, so that a
                report is never refused for its text. `None` or absent: empty.
            lease: Lease from the pop. `None` or absent: fail the running attempt, whichever it is.
            retry: Whether to retry the job if attempts are left. `False`: the job is dead. Default: `True`.
            retry_in_ms: Delay before the retry, in milliseconds, 0 to 31,536,000,000 (365 days). `None` or absent: the
                back-off of the job.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `not-found`: The resource or the path does not exist.
                `lease-lost`: The lease is not the current lease of the job.
                `job-not-running`: The job is not running.
        """
        return await self._send(
            _operations.FAIL_JOB,
            {"id": id, "error": error, "lease": lease, "retry": retry, "retry_in_ms": retry_in_ms},
            options,
        )

    async def extend(self, id: str, *, lease: str, lease_ms: int, **options: Unpack[WriteOptions]) -> models.Job:
        """Extend the lease of a job.

        Use it when the work takes longer than expected. A lease that has expired cannot be extended: the call fails
        with `lease-lost`.

        Needs the scope `queues:write`.

        Args:
            id: Id of the job.
            lease: Lease from the pop.
            lease_ms: New lease time, counted from now, in milliseconds, 1,000 (one second) to 86,400,000 (24 hours). A
                lease is never shortened.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `not-found`: The resource or the path does not exist.
                `lease-lost`: The lease is not the current lease of the job.
                `job-not-running`: The job is not running.
        """
        return await self._send(_operations.EXTEND_JOB, {"id": id, "lease": lease, "lease_ms": lease_ms}, options)

    async def get_job(self, id: str, **options: Unpack[ReadOptions]) -> models.JobWithErrors:
        """Get a job by its id.

        The result includes the errors of the last ten failed attempts.

        Needs the scope `queues:read`.

        Args:
            id: Id of the job.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `not-found`: The resource or the path does not exist.
        """
        return await self._send(_operations.GET_JOB, {"id": id}, options)

    async def cancel(self, id: str, **options: Unpack[WriteOptions]) -> None:
        """Cancel a job.

        Deletes a pending job. A running or finished job fails with `job-not-pending`.

        Needs the scope `queues:write`.

        Args:
            id: Id of the job.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `not-found`: The resource or the path does not exist.
                `job-not-pending`: The job is not pending.
        """
        await self._send(_operations.CANCEL_JOB, {"id": id}, options)

    def list_jobs(
        self,
        queue: str,
        *,
        status: models.JobStatus | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        **options: Unpack[ReadOptions],
    ) -> AsyncPages[models.Job]:
        """List the jobs of a queue.

        The order is: completed, dead, delayed, ready and running jobs, last the jobs that wait for another job of their
        group. Each of these six is sorted by priority (highest first), then by arrival. A job whose lease has expired
        is still sorted as a running job. A page ends early once its jobs exceed 4 MiB.

        Needs the scope `queues:read`.

        Args:
            queue: Name of the queue.
            status: Only jobs in this status. Absent: all jobs.
            limit: Maximum number of jobs in the page, 1 to 1,000. Default: 100.
            cursor: `next_cursor` of the previous page. Absent: the first page.
        """
        return self._pages(
            _operations.LIST_JOBS, {"queue": queue, "status": status, "limit": limit, "cursor": cursor}, options
        )

    async def purge(
        self, queue: str, *, status: models.JobStatus | None = None, **options: Unpack[WriteOptions]
    ) -> models.Purged:
        """Delete jobs of a queue.

        Deletes up to 1,000 jobs. If `has_more` is `True`, call again. Without `status`, the call deletes all jobs
        except running ones.

        Needs the scope `queues:write`.

        Args:
            queue: Name of the queue.
            status: Only jobs in this status. Absent: all jobs except running ones.
        """
        return await self._send(_operations.PURGE_QUEUE, {"queue": queue, "status": status}, options)

    async def status(self, queue: str, **options: Unpack[ReadOptions]) -> models.QueueStatus:
        """Get the status of a queue.

        Returns the number of jobs in each status. For a queue that was never used, all numbers are 0.

        Needs the scope `queues:read`.

        Args:
            queue: Name of the queue.
        """
        return await self._send(_operations.QUEUE_STATUS, {"queue": queue}, options)

    def list(
        self, *, limit: int | None = None, cursor: str | None = None, **options: Unpack[ReadOptions]
    ) -> AsyncPages[models.QueueStatus]:
        """List the queues that have jobs.

        Returns a page of queues in the order of their names, each with its status.

        Needs the scope `queues:read`.

        Args:
            limit: Maximum number of queues in the page, 1 to 1,000. Default: 100.
            cursor: `next_cursor` of the previous page. Absent: the first page.
        """
        return self._pages(_operations.LIST_QUEUES, {"limit": limit, "cursor": cursor}, options)

    async def retry_dead(
        self, queue: str, *, limit: int | None = None, **options: Unpack[WriteOptions]
    ) -> models.Retried:
        """Retry dead jobs.

        Puts up to `limit` dead jobs back into the queue, in the order in which they are popped. Their attempts start
        again at 0; their errors are kept. A dead job stays dead while an unfinished job has the same `dedup_key`. One
        call examines at most 1,000 dead jobs.

        Needs the scope `queues:write`.

        Args:
            queue: Name of the queue.
            limit: Maximum number of jobs to retry, 1 to 1,000. Default: 100.
        """
        return await self._send(_operations.RETRY_DEAD, {"queue": queue, "limit": limit}, options)
