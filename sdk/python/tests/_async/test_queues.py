from __future__ import annotations

from datetime import datetime, timezone

import pytest

from payerbase import AsyncPayerbase, PayerbaseProblem
from tests.support import fresh

pytestmark = pytest.mark.anyio

PAYLOADS: list[object] = [None, 0, 1.5, "text", [], {"camelCase": {"snake_case": [1, {"$ref": "0.x"}]}}, 2**63 - 1]


async def test_pushes_pops_and_completes(pb: AsyncPayerbase) -> None:
    queue = fresh()
    pushed = await pb.queues.push(queue, {"to": "ada"}, priority=5, max_attempts=2)
    assert (pushed.status, pushed.priority, pushed.deduplicated) == ("pending", 5, False)
    job = await pb.queues.pop(queue, lease_ms=30_000)
    assert job
    assert (job.id, job.payload, job.attempts) == (pushed.id, {"to": "ada"}, 1)
    assert (await pb.queues.extend(job.id, lease=job.lease, lease_ms=90_000)).lease_expires_at
    done = await pb.queues.complete(job.id, lease=job.lease, result=[1])
    assert (done.status, done.result) == ("completed", [1])
    assert await pb.queues.pop(queue) is None


@pytest.mark.parametrize("payload", PAYLOADS)
async def test_payloads_come_back_as_they_went(pb: AsyncPayerbase, payload: object) -> None:
    queue = fresh()
    assert (await pb.queues.push(queue, payload)).payload == payload
    job = await pb.queues.pop(queue)
    assert job
    assert job.payload == payload


async def test_a_failed_job_keeps_its_errors(pb: AsyncPayerbase) -> None:
    queue = fresh()
    await pb.queues.push(queue, 1, max_attempts=1)
    job = await pb.queues.pop(queue)
    assert job
    failed = await pb.queues.fail(job.id, lease=job.lease, error="too hot")
    assert (failed.status, failed.error) == ("dead", "too hot")
    assert [error.error for error in (await pb.queues.get_job(job.id)).errors] == ["too hot"]
    with pytest.raises(PayerbaseProblem) as caught:
        await pb.queues.complete(job.id, lease=job.lease)
    assert caught.value.code in ("lease-lost", "job-not-running")
    assert (await pb.queues.retry_dead(queue)).retried == 1
    assert (await pb.queues.status(queue)).pending == 1


async def test_pushes_and_pops_batches(pb: AsyncPayerbase) -> None:
    queue = fresh()
    pushed = await pb.queues.push_many(
        queue,
        [{"payload": 1, "dedup_key": "k"}, {"payload": 2, "dedup_key": "k"}, {"payload": None, "run_at": now()}],
    )
    assert [job.deduplicated for job in pushed.jobs] == [False, True, False]
    assert [job.payload for job in (await pb.queues.pop_many(queue, 10)).jobs] == [1, None]
    assert (await pb.queues.pop_many(queue, 10)).jobs == []


async def test_lists_cancels_and_purges(pb: AsyncPayerbase) -> None:
    queue = fresh("a/b")
    jobs = [await pb.queues.push(queue, number, delay_ms=60_000 * (number == 3)) for number in range(4)]
    assert [job.payload async for job in pb.queues.list_jobs(queue, limit=2, status="pending")] == [3, 0, 1, 2]
    await pb.queues.cancel(jobs[0].id)
    status = await pb.queues.status(queue)
    assert (status.pending, status.delayed, status.total) == (2, 1, 3)
    assert queue in [status.queue async for status in pb.queues.list(limit=1)]
    purged = await pb.queues.purge(queue)
    assert (purged.purged, purged.has_more) == (3, False)


def now() -> datetime:
    return datetime.now(timezone.utc)
