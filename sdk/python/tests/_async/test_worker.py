from __future__ import annotations

import pytest

from payerbase import AsyncPayerbase, AsyncWorkedJob, PayerbaseConnectionError, PayerbaseError, PayerbaseProblem, _tasks
from tests.support import HANGS, LOSES_ANSWER, Fault, Proxy, Server, fresh, problem

pytestmark = pytest.mark.anyio


async def pushed(pb: AsyncPayerbase, count: int, max_attempts: int = 3) -> str:
    queue = fresh()
    await pb.queues.push_many(
        queue, [{"payload": number, "backoff_ms": 0, "max_attempts": max_attempts} for number in range(count)]
    )
    return queue


async def test_a_loop_completes_and_fails_jobs(pb: AsyncPayerbase) -> None:
    queue, stop = await pushed(pb, 3), _tasks.StopEvent()
    seen = []
    async for job in pb.queues.work(queue, stop=stop):
        seen.append((job.payload, job.attempts))
        if job.payload == 1 and job.attempts == 1:
            await job.fail("later", retry_in_ms=0)
        else:
            await job.complete({"was": job.payload})
        assert not job.in_hand
        if len(seen) == 4:
            stop.set()
    assert sorted(seen) == [(0, 1), (1, 1), (1, 2), (2, 1)]
    status = await pb.queues.status(queue)
    assert (status.completed, status.total) == (3, 3)


async def test_a_job_is_a_block(pb: AsyncPayerbase) -> None:
    queue, stop = await pushed(pb, 2, max_attempts=1), _tasks.StopEvent()
    async for job in pb.queues.work(queue, stop=stop):
        if job.payload == 0:
            async with job:
                pass
            continue
        with pytest.raises(KeyError):
            async with job:
                raise KeyError("no address")
        stop.set()
    [dead] = [job async for job in pb.queues.list_jobs(queue, status="dead")]
    assert dead.error == "KeyError: 'no address'"
    assert (await pb.queues.status(queue)).completed == 1


async def test_leaving_the_loop_gives_jobs_back(pb: AsyncPayerbase) -> None:
    queue = await pushed(pb, 3)
    jobs = pb.queues.work(queue, concurrency=2)
    async for job in jobs:
        assert job.in_hand
        break
    await jobs.aclose()
    status = await pb.queues.status(queue)
    assert (status.running, status.total) == (0, 3)
    # Nothing waits for jobs any more.
    await pb.queues.push(queue, "last")
    assert (await pb.queues.status(queue)).running == 0


async def test_takes_no_more_jobs_than_the_concurrency(pb: AsyncPayerbase) -> None:
    queue, stop = await pushed(pb, 5), _tasks.StopEvent()
    held: list[AsyncWorkedJob] = []
    async for job in pb.queues.work(queue, concurrency=3, stop=stop):
        held.append(job)
        if len(held) == 3:
            await _tasks.sleep(0.5)
            assert (await pb.queues.status(queue)).running == 3
            stop.set()
            for each in held:
                await each.complete()
    assert (await pb.queues.status(queue)).pending == 2


async def test_one_job_at_a_time_must_be_settled(pb: AsyncPayerbase) -> None:
    queue = await pushed(pb, 2)
    with pytest.raises(RuntimeError, match="complete or fail"):
        async for _ in pb.queues.work(queue):
            pass


async def test_extends_leases_until_the_job_is_settled(pb: AsyncPayerbase) -> None:
    queue, stop = await pushed(pb, 1), _tasks.StopEvent()
    async for job in pb.queues.work(queue, lease_ms=3_000, stop=stop):
        await _tasks.sleep(5)
        assert not job.lost
        assert (await pb.queues.get_job(job.id)).attempts == 1
        await job.complete()
        stop.set()


async def test_says_that_a_lease_was_lost(pb: AsyncPayerbase) -> None:
    queue, stop = await pushed(pb, 1), _tasks.StopEvent()
    async for job in pb.queues.work(queue, stop=stop):
        stop.set()
        await pb.queues.complete(job.id, lease=job.lease)
        with pytest.raises(PayerbaseProblem) as caught:
            await job.complete()
        assert caught.value.code in ("lease-lost", "job-not-running")
        assert job.lost
        assert not job.in_hand


async def test_consume_runs_handlers_concurrently(pb: AsyncPayerbase) -> None:
    queue, stop = await pushed(pb, 4), _tasks.StopEvent()
    together = _tasks.Signal()
    started: list[int] = []

    async def handle(job: AsyncWorkedJob) -> dict[str, int]:
        started.append(job.payload)
        together.notify()
        # No handler ends before all four run.
        assert await together.wait(lambda: len(started) == 4, 30)
        stop.set()
        return {"doubled": job.payload * 2}

    await pb.queues.consume(queue, handle, concurrency=4, stop=stop)
    jobs = [job async for job in pb.queues.list_jobs(queue, status="completed")]
    assert sorted(job.result["doubled"] for job in jobs) == [0, 2, 4, 6]


async def test_consume_fails_a_job_whose_handler_fails(pb: AsyncPayerbase) -> None:
    queue, stop = await pushed(pb, 2, max_attempts=1), _tasks.StopEvent()
    done: list[int] = []

    async def handle(job: AsyncWorkedJob) -> None:
        done.append(job.payload)
        if len(done) == 2:
            stop.set()
        if job.payload == 0:
            raise KeyError("no address")

    await pb.queues.consume(queue, handle, stop=stop)
    [dead] = [job async for job in pb.queues.list_jobs(queue, status="dead")]
    assert dead.error == "KeyError: 'no address'"
    assert (await pb.queues.status(queue)).completed == 1


async def test_stops_while_it_waits_for_a_job(pb: AsyncPayerbase) -> None:
    queue, stop = fresh(), _tasks.StopEvent()

    async def stop_soon() -> None:
        await _tasks.sleep(0.3)
        stop.set()

    stopping = _tasks.Background(stop_soon)
    assert [job async for job in pb.queues.work(queue, wait_ms=2_000, stop=stop)] == []
    await stopping.join()
    # A job that arrives now is not lost: it is not popped, or given back at once.
    await pb.queues.push(queue, 1, backoff_ms=0)
    job = await pb.queues.pop(queue, wait_ms=30_000)
    assert job
    assert job.payload == 1


async def test_waits_for_a_server_that_is_away(pb_behind_proxy: AsyncPayerbase, proxy: Proxy) -> None:
    queue, stop = await pushed(pb_behind_proxy, 1), _tasks.StopEvent()
    proxy.faults.extend([problem(503, "overloaded"), LOSES_ANSWER])
    async for job in pb_behind_proxy.queues.work(queue, stop=stop):
        async with job:
            stop.set()
    assert (await pb_behind_proxy.queues.status(queue)).completed == 1


async def test_an_error_that_does_not_go_away_ends_the_loop(pb: AsyncPayerbase) -> None:
    with pytest.raises(PayerbaseProblem, match="invalid-value"):
        async for _ in pb.queues.work(fresh(), lease_ms=1):
            pass


async def test_no_handler_keeps_its_job(pb: AsyncPayerbase) -> None:
    queue, stop = await pushed(pb, 2), _tasks.StopEvent()
    seen: list[int] = []

    async def handle(job: AsyncWorkedJob) -> None:
        seen.append(job.payload)
        if len(seen) == 2:
            stop.set()
        raise KeyError("a \ud800 b")

    await pb.queues.consume(queue, handle, stop=stop)
    assert (await pb.queues.status(queue)).running == 0
    errors = {job.error async for job in pb.queues.list_jobs(queue)}
    assert "KeyError: 'a \\ud800 b'" in errors


async def test_jobs_that_were_taken_are_run_after_the_stop(pb: AsyncPayerbase) -> None:
    queue, stop = await pushed(pb, 3, max_attempts=1), _tasks.StopEvent()
    stop_at_once = True
    async for job in pb.queues.work(queue, concurrency=3, stop=stop):
        if stop_at_once:
            stop.set()
            await _tasks.sleep(0.5)
            stop_at_once = False
        async with job:
            pass
    assert (await pb.queues.status(queue)).completed == 3


async def test_the_last_attempt_is_not_failed_when_the_loop_is_left(pb: AsyncPayerbase) -> None:
    queue = await pushed(pb, 1, max_attempts=1)
    jobs = pb.queues.work(queue)
    async for _ in jobs:
        break
    await jobs.aclose()
    assert (await pb.queues.status(queue)).dead == 0


async def test_the_end_of_the_client_gives_jobs_back(pb: AsyncPayerbase, server: Server) -> None:
    queue = await pushed(pb, 1)
    async with AsyncPayerbase(server.url, server.token) as other:
        jobs = other.queues.work(queue)
        async for _ in jobs:
            break
    assert (await pb.queues.status(queue)).running == 0
    await jobs.aclose()


async def test_leases_are_extended_without_a_key(pb_behind_proxy: AsyncPayerbase, proxy: Proxy) -> None:
    queue, stop = await pushed(pb_behind_proxy, 1), _tasks.StopEvent()
    async for job in pb_behind_proxy.queues.work(queue, lease_ms=1_500, stop=stop):
        async with job:
            await _tasks.sleep(1.5)
            assert not job.lost
            stop.set()
    extended = [seen.headers.get("Idempotency-Key") for seen in proxy.seen if seen.path.endswith("/extend")]
    assert set(extended) == {None}


async def test_a_handler_that_is_ended_gives_its_job_back(pb: AsyncPayerbase) -> None:
    class QuitError(BaseException):
        pass

    queue, stop = await pushed(pb, 1), _tasks.StopEvent()
    attempts: list[int] = []

    async def handle(job: AsyncWorkedJob) -> None:
        attempts.append(job.attempts)
        if job.attempts == 1:
            raise QuitError
        stop.set()

    await pb.queues.consume(queue, handle, stop=stop)
    assert attempts == [1, 2]


async def test_a_stop_does_not_cut_the_last_request(pb: AsyncPayerbase) -> None:
    queue, stop = fresh(), _tasks.StopEvent()

    async def stop_and_push() -> None:
        await _tasks.sleep(0.3)
        stop.set()
        await _tasks.sleep(1.5)
        await pb.queues.push(queue, "at the last moment", max_attempts=1)

    pushing = _tasks.Background(stop_and_push)
    seen = []
    async for job in pb.queues.work(queue, wait_ms=10_000, stop=stop):
        async with job:
            seen.append(job.payload)
    await pushing.join()
    assert seen == ["at the last moment"]
    assert (await pb.queues.status(queue)).completed == 1


async def test_no_job_is_popped_while_nobody_waits_for_one(pb: AsyncPayerbase) -> None:
    queue = await pushed(pb, 1)
    jobs = pb.queues.work(queue, concurrency=2)
    async for job in jobs:
        await job.complete()
        await pb.queues.push(queue, "last", max_attempts=1)
        await _tasks.sleep(0.5)
        assert (await pb.queues.status(queue)).running == 0
        break
    await jobs.aclose()
    await _tasks.sleep(0.3)
    assert (await pb.queues.status(queue)).pending == 1


async def test_the_end_of_the_client_waits_for_a_worker_that_ends(proxy: Proxy, server: Server) -> None:
    async with AsyncPayerbase(server.url, server.token) as pb:
        queue = await pushed(pb, 1)
        ending = AsyncPayerbase(proxy.url, server.token)
        jobs = ending.queues.work(queue)
        async for _ in jobs:
            break
        proxy.faults.append(Fault(delays_seconds=2))
        closing = _tasks.Background(jobs.aclose)
        while proxy.faults:
            await _tasks.sleep(0.05)
        await ending.close()
        # It was given back before the end of the client.
        assert (await pb.queues.status(queue)).running == 0
        await closing.join()


async def test_leases_are_extended_at_the_same_time(pb_behind_proxy: AsyncPayerbase, proxy: Proxy) -> None:
    queue, stop = await pushed(pb_behind_proxy, 4), _tasks.StopEvent()
    held: list[AsyncWorkedJob] = []
    async for job in pb_behind_proxy.queues.work(queue, concurrency=4, lease_ms=8_000, stop=stop):
        held.append(job)
        if len(held) == 4:
            # The first three get no answer within their time limit of two seconds.
            proxy.faults.extend([HANGS] * 3)
            await _tasks.sleep(8.5)
            assert [job.lost for job in held] == [False] * 4
            stop.set()
            for each in held:
                await each.complete()
    extended = [seen.at for seen in proxy.seen if seen.path.endswith("/extend")]
    assert extended[3] - extended[0] < 1.5
    assert (await pb_behind_proxy.queues.status(queue)).completed == 4


@pytest.mark.parametrize("fault", [LOSES_ANSWER, Fault(status=502), problem(503, "outcome-unknown")])
async def test_a_worker_that_pays_ends_after_a_lost_answer(
    pb: AsyncPayerbase, paying_pb: AsyncPayerbase, proxy: Proxy, fault: Fault
) -> None:
    queue = await pushed(pb, 1)
    proxy.faults.append(fault)
    with pytest.raises(PayerbaseError) as caught:
        async for _ in paying_pb.queues.work(queue, wait_ms=0, stop=after(10)):
            pass
    assert caught.value.attempts == 1
    assert len(proxy.seen) == 1


async def test_a_worker_that_pays_goes_on_if_nothing_was_done(
    pb: AsyncPayerbase, paying_pb: AsyncPayerbase, proxy: Proxy
) -> None:
    queue, stop = await pushed(pb, 1), _tasks.StopEvent()
    proxy.faults.append(problem(503, "overloaded"))
    async for job in paying_pb.queues.work(queue, wait_ms=0, stop=stop):
        async with job:
            stop.set()
    assert (await pb.queues.status(queue)).completed == 1


async def test_a_worker_that_pays_ends_when_the_answer_to_a_completion_is_lost(
    pb: AsyncPayerbase, paying_pb: AsyncPayerbase, proxy: Proxy
) -> None:
    queue = await pushed(pb, 2)

    async def handle(_: AsyncWorkedJob) -> None:
        proxy.faults.append(LOSES_ANSWER)

    with pytest.raises(PayerbaseConnectionError, match="may have been paid"):
        await paying_pb.queues.consume(queue, handle, wait_ms=0, stop=after(10))
    assert [seen.path.split("/")[-1] for seen in proxy.seen] == ["batch", "complete"]
    status = await pb.queues.status(queue)
    assert (status.completed, status.pending) == (1, 1)


async def test_a_paid_extension_is_not_repeated_before_the_next_one_is_due(
    pb: AsyncPayerbase, paying_pb: AsyncPayerbase, proxy: Proxy
) -> None:
    queue, stop = await pushed(pb, 1), _tasks.StopEvent()
    async for job in paying_pb.queues.work(queue, lease_ms=6_000, wait_ms=0, stop=stop):
        proxy.faults.append(LOSES_ANSWER)
        async with job:
            await _tasks.sleep(5.2)
            assert not job.lost
        stop.set()
    first, second = [seen.at for seen in proxy.seen if seen.path.endswith("/extend")]
    assert second - first >= 1.9
    assert (await pb.queues.status(queue)).completed == 1


def after(seconds: float) -> _tasks.StopEvent:
    """An event that is set after a time, so that a test ends."""
    stop = _tasks.StopEvent()

    async def run() -> None:
        await _tasks.sleep(seconds)
        stop.set()

    _tasks.Background(run)
    return stop
