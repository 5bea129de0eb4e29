# Made of `tests/_async/test_queues.py` by `scripts/generate.py`: do not edit.

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from payerbase import Payerbase, PayerbaseProblem
from tests.support import fresh

PAYLOADS: list[object] = [None, 0, 1.5, "text", [], {"camelCase": {"snake_case": [1, {"$ref": "0.x"}]}}, 2**63 - 1]


def test_pushes_pops_and_completes(pb: Payerbase) -> None:
    queue = fresh()
    pushed = pb.queues.push(queue, {"to": "ada"}, priority=5, max_attempts=2)
    assert (pushed.status, pushed.priority, pushed.deduplicated) == ("pending", 5, False)
    job = pb.queues.pop(queue, lease_ms=30_000)
    assert job
    assert (job.id, job.payload, job.attempts) == (pushed.id, {"to": "ada"}, 1)
    assert (pb.queues.extend(job.id, lease=job.lease, lease_ms=90_000)).lease_expires_at
    done = pb.queues.complete(job.id, lease=job.lease, result=[1])
    assert (done.status, done.result) == ("completed", [1])
    assert pb.queues.pop(queue) is None


@pytest.mark.parametrize("payload", PAYLOADS)
def test_payloads_come_back_as_they_went(pb: Payerbase, payload: object) -> None:
    queue = fresh()
    assert (pb.queues.push(queue, payload)).payload == payload
    job = pb.queues.pop(queue)
    assert job
    assert job.payload == payload


def test_a_failed_job_keeps_its_errors(pb: Payerbase) -> None:
    queue = fresh()
    pb.queues.push(queue, 1, max_attempts=1)
    job = pb.queues.pop(queue)
    assert job
    failed = pb.queues.fail(job.id, lease=job.lease, error="too hot")
    assert (failed.status, failed.error) == ("dead", "too hot")
    assert [error.error for error in (pb.queues.get_job(job.id)).errors] == ["too hot"]
    with pytest.raises(PayerbaseProblem) as caught:
        pb.queues.complete(job.id, lease=job.lease)
    assert caught.value.code in ("lease-lost", "job-not-running")
    assert (pb.queues.retry_dead(queue)).retried == 1
    assert (pb.queues.status(queue)).pending == 1


def test_pushes_and_pops_batches(pb: Payerbase) -> None:
    queue = fresh()
    pushed = pb.queues.push_many(
        queue,
        [{"payload": 1, "dedup_key": "k"}, {"payload": 2, "dedup_key": "k"}, {"payload": None, "run_at": now()}],
    )
    assert [job.deduplicated for job in pushed.jobs] == [False, True, False]
    assert [job.payload for job in (pb.queues.pop_many(queue, 10)).jobs] == [1, None]
    assert (pb.queues.pop_many(queue, 10)).jobs == []


def test_lists_cancels_and_purges(pb: Payerbase) -> None:
    queue = fresh("a/b")
    jobs = [pb.queues.push(queue, number, delay_ms=60_000 * (number == 3)) for number in range(4)]
    assert [job.payload for job in pb.queues.list_jobs(queue, limit=2, status="pending")] == [3, 0, 1, 2]
    pb.queues.cancel(jobs[0].id)
    status = pb.queues.status(queue)
    assert (status.pending, status.delayed, status.total) == (2, 1, 3)
    assert queue in [status.queue for status in pb.queues.list(limit=1)]
    purged = pb.queues.purge(queue)
    assert (purged.purged, purged.has_more) == (3, False)


def now() -> datetime:
    return datetime.now(timezone.utc)
