# Made of `tests/_async/test_worker.py` by `scripts/generate.py`: do not edit.

from __future__ import annotations

import pytest

from payerbase import Payerbase, PayerbaseConnectionError, PayerbaseError, PayerbaseProblem, WorkedJob, _threads
from tests.support import HANGS, LOSES_ANSWER, Fault, Proxy, Server, fresh, problem


def pushed(pb: Payerbase, count: int, max_attempts: int = 3) -> str:
    queue = fresh()
    pb.queues.push_many(
        queue, [{"payload": number, "backoff_ms": 0, "max_attempts": max_attempts} for number in range(count)]
    )
    return queue


def test_a_loop_completes_and_fails_jobs(pb: Payerbase) -> None:
    queue, stop = pushed(pb, 3), _threads.StopEvent()
    seen = []
    for job in pb.queues.work(queue, stop=stop):
        seen.append((job.payload, job.attempts))
        if job.payload == 1 and job.attempts == 1:
            job.fail("later", retry_in_ms=0)
        else:
            job.complete({"was": job.payload})
        assert not job.in_hand
        if len(seen) == 4:
            stop.set()
    assert sorted(seen) == [(0, 1), (1, 1), (1, 2), (2, 1)]
    status = pb.queues.status(queue)
    assert (status.completed, status.total) == (3, 3)


def test_a_job_is_a_block(pb: Payerbase) -> None:
    queue, stop = pushed(pb, 2, max_attempts=1), _threads.StopEvent()
    for job in pb.queues.work(queue, stop=stop):
        if job.payload == 0:
            with job:
                pass
            continue
        with pytest.raises(KeyError):
            with job:
                raise KeyError("no address")
        stop.set()
    [dead] = [job for job in pb.queues.list_jobs(queue, status="dead")]
    assert dead.error == "KeyError: 'no address'"
    assert (pb.queues.status(queue)).completed == 1


def test_leaving_the_loop_gives_jobs_back(pb: Payerbase) -> None:
    queue = pushed(pb, 3)
    jobs = pb.queues.work(queue, concurrency=2)
    for job in jobs:
        assert job.in_hand
        break
    jobs.close()
    status = pb.queues.status(queue)
    assert (status.running, status.total) == (0, 3)
    # Nothing waits for jobs any more.
    pb.queues.push(queue, "last")
    assert (pb.queues.status(queue)).running == 0


def test_takes_no_more_jobs_than_the_concurrency(pb: Payerbase) -> None:
    queue, stop = pushed(pb, 5), _threads.StopEvent()
    held: list[WorkedJob] = []
    for job in pb.queues.work(queue, concurrency=3, stop=stop):
        held.append(job)
        if len(held) == 3:
            _threads.sleep(0.5)
            assert (pb.queues.status(queue)).running == 3
            stop.set()
            for each in held:
                each.complete()
    assert (pb.queues.status(queue)).pending == 2


def test_one_job_at_a_time_must_be_settled(pb: Payerbase) -> None:
    queue = pushed(pb, 2)
    with pytest.raises(RuntimeError, match="complete or fail"):
        for _ in pb.queues.work(queue):
            pass


def test_extends_leases_until_the_job_is_settled(pb: Payerbase) -> None:
    queue, stop = pushed(pb, 1), _threads.StopEvent()
    for job in pb.queues.work(queue, lease_ms=3_000, stop=stop):
        _threads.sleep(5)
        assert not job.lost
        assert (pb.queues.get_job(job.id)).attempts == 1
        job.complete()
        stop.set()


def test_says_that_a_lease_was_lost(pb: Payerbase) -> None:
    queue, stop = pushed(pb, 1), _threads.StopEvent()
    for job in pb.queues.work(queue, stop=stop):
        stop.set()
        pb.queues.complete(job.id, lease=job.lease)
        with pytest.raises(PayerbaseProblem) as caught:
            job.complete()
        assert caught.value.code in ("lease-lost", "job-not-running")
        assert job.lost
        assert not job.in_hand


def test_consume_runs_handlers_concurrently(pb: Payerbase) -> None:
    queue, stop = pushed(pb, 4), _threads.StopEvent()
    together = _threads.Signal()
    started: list[int] = []

    def handle(job: WorkedJob) -> dict[str, int]:
        started.append(job.payload)
        together.notify()
        # No handler ends before all four run.
        assert together.wait(lambda: len(started) == 4, 30)
        stop.set()
        return {"doubled": job.payload * 2}

    pb.queues.consume(queue, handle, concurrency=4, stop=stop)
    jobs = [job for job in pb.queues.list_jobs(queue, status="completed")]
    assert sorted(job.result["doubled"] for job in jobs) == [0, 2, 4, 6]


def test_consume_fails_a_job_whose_handler_fails(pb: Payerbase) -> None:
    queue, stop = pushed(pb, 2, max_attempts=1), _threads.StopEvent()
    done: list[int] = []

    def handle(job: WorkedJob) -> None:
        done.append(job.payload)
        if len(done) == 2:
            stop.set()
        if job.payload == 0:
            raise KeyError("no address")

    pb.queues.consume(queue, handle, stop=stop)
    [dead] = [job for job in pb.queues.list_jobs(queue, status="dead")]
    assert dead.error == "KeyError: 'no address'"
    assert (pb.queues.status(queue)).completed == 1


def test_stops_while_it_waits_for_a_job(pb: Payerbase) -> None:
    queue, stop = fresh(), _threads.StopEvent()

    def stop_soon() -> None:
        _threads.sleep(0.3)
        stop.set()

    stopping = _threads.Background(stop_soon)
    assert [job for job in pb.queues.work(queue, wait_ms=2_000, stop=stop)] == []
    stopping.join()
    # A job that arrives now is not lost: it is not popped, or given back at once.
    pb.queues.push(queue, 1, backoff_ms=0)
    job = pb.queues.pop(queue, wait_ms=30_000)
    assert job
    assert job.payload == 1


def test_waits_for_a_server_that_is_away(pb_behind_proxy: Payerbase, proxy: Proxy) -> None:
    queue, stop = pushed(pb_behind_proxy, 1), _threads.StopEvent()
    proxy.faults.extend([problem(503, "overloaded"), LOSES_ANSWER])
    for job in pb_behind_proxy.queues.work(queue, stop=stop):
        with job:
            stop.set()
    assert (pb_behind_proxy.queues.status(queue)).completed == 1


def test_an_error_that_does_not_go_away_ends_the_loop(pb: Payerbase) -> None:
    with pytest.raises(PayerbaseProblem, match="invalid-value"):
        for _ in pb.queues.work(fresh(), lease_ms=1):
            pass


def test_no_handler_keeps_its_job(pb: Payerbase) -> None:
    queue, stop = pushed(pb, 2), _threads.StopEvent()
    seen: list[int] = []

    def handle(job: WorkedJob) -> None:
        seen.append(job.payload)
        if len(seen) == 2:
            stop.set()
        raise KeyError("a \ud800 b")

    pb.queues.consume(queue, handle, stop=stop)
    assert (pb.queues.status(queue)).running == 0
    errors = {job.error for job in pb.queues.list_jobs(queue)}
    assert "KeyError: 'a \\ud800 b'" in errors


def test_jobs_that_were_taken_are_run_after_the_stop(pb: Payerbase) -> None:
    queue, stop = pushed(pb, 3, max_attempts=1), _threads.StopEvent()
    stop_at_once = True
    for job in pb.queues.work(queue, concurrency=3, stop=stop):
        if stop_at_once:
            stop.set()
            _threads.sleep(0.5)
            stop_at_once = False
        with job:
            pass
    assert (pb.queues.status(queue)).completed == 3


def test_the_last_attempt_is_not_failed_when_the_loop_is_left(pb: Payerbase) -> None:
    queue = pushed(pb, 1, max_attempts=1)
    jobs = pb.queues.work(queue)
    for _ in jobs:
        break
    jobs.close()
    assert (pb.queues.status(queue)).dead == 0


def test_the_end_of_the_client_gives_jobs_back(pb: Payerbase, server: Server) -> None:
    queue = pushed(pb, 1)
    with Payerbase(server.url, server.token) as other:
        jobs = other.queues.work(queue)
        for _ in jobs:
            break
    assert (pb.queues.status(queue)).running == 0
    jobs.close()


def test_leases_are_extended_without_a_key(pb_behind_proxy: Payerbase, proxy: Proxy) -> None:
    queue, stop = pushed(pb_behind_proxy, 1), _threads.StopEvent()
    for job in pb_behind_proxy.queues.work(queue, lease_ms=1_500, stop=stop):
        with job:
            _threads.sleep(1.5)
            assert not job.lost
            stop.set()
    extended = [seen.headers.get("Idempotency-Key") for seen in proxy.seen if seen.path.endswith("/extend")]
    assert set(extended) == {None}


def test_a_handler_that_is_ended_gives_its_job_back(pb: Payerbase) -> None:
    class QuitError(BaseException):
        pass

    queue, stop = pushed(pb, 1), _threads.StopEvent()
    attempts: list[int] = []

    def handle(job: WorkedJob) -> None:
        attempts.append(job.attempts)
        if job.attempts == 1:
            raise QuitError
        stop.set()

    pb.queues.consume(queue, handle, stop=stop)
    assert attempts == [1, 2]


def test_a_stop_does_not_cut_the_last_request(pb: Payerbase) -> None:
    queue, stop = fresh(), _threads.StopEvent()

    def stop_and_push() -> None:
        _threads.sleep(0.3)
        stop.set()
        _threads.sleep(1.5)
        pb.queues.push(queue, "at the last moment", max_attempts=1)

    pushing = _threads.Background(stop_and_push)
    seen = []
    for job in pb.queues.work(queue, wait_ms=10_000, stop=stop):
        with job:
            seen.append(job.payload)
    pushing.join()
    assert seen == ["at the last moment"]
    assert (pb.queues.status(queue)).completed == 1


def test_no_job_is_popped_while_nobody_waits_for_one(pb: Payerbase) -> None:
    queue = pushed(pb, 1)
    jobs = pb.queues.work(queue, concurrency=2)
    for job in jobs:
        job.complete()
        pb.queues.push(queue, "last", max_attempts=1)
        _threads.sleep(0.5)
        assert (pb.queues.status(queue)).running == 0
        break
    jobs.close()
    _threads.sleep(0.3)
    assert (pb.queues.status(queue)).pending == 1


def test_the_end_of_the_client_waits_for_a_worker_that_ends(proxy: Proxy, server: Server) -> None:
    with Payerbase(server.url, server.token) as pb:
        queue = pushed(pb, 1)
        ending = Payerbase(proxy.url, server.token)
        jobs = ending.queues.work(queue)
        for _ in jobs:
            break
        proxy.faults.append(Fault(delays_seconds=2))
        closing = _threads.Background(jobs.close)
        while proxy.faults:
            _threads.sleep(0.05)
        ending.close()
        # It was given back before the end of the client.
        assert (pb.queues.status(queue)).running == 0
        closing.join()


def test_leases_are_extended_at_the_same_time(pb_behind_proxy: Payerbase, proxy: Proxy) -> None:
    queue, stop = pushed(pb_behind_proxy, 4), _threads.StopEvent()
    held: list[WorkedJob] = []
    for job in pb_behind_proxy.queues.work(queue, concurrency=4, lease_ms=8_000, stop=stop):
        held.append(job)
        if len(held) == 4:
            # The first three get no answer within their time limit of two seconds.
            proxy.faults.extend([HANGS] * 3)
            _threads.sleep(8.5)
            assert [job.lost for job in held] == [False] * 4
            stop.set()
            for each in held:
                each.complete()
    extended = [seen.at for seen in proxy.seen if seen.path.endswith("/extend")]
    assert extended[3] - extended[0] < 1.5
    assert (pb_behind_proxy.queues.status(queue)).completed == 4


@pytest.mark.parametrize("fault", [LOSES_ANSWER, Fault(status=502), problem(503, "outcome-unknown")])
def test_a_worker_that_pays_ends_after_a_lost_answer(
    pb: Payerbase, paying_pb: Payerbase, proxy: Proxy, fault: Fault
) -> None:
    queue = pushed(pb, 1)
    proxy.faults.append(fault)
    with pytest.raises(PayerbaseError) as caught:
        for _ in paying_pb.queues.work(queue, wait_ms=0, stop=after(10)):
            pass
    assert caught.value.attempts == 1
    assert len(proxy.seen) == 1


def test_a_worker_that_pays_goes_on_if_nothing_was_done(pb: Payerbase, paying_pb: Payerbase, proxy: Proxy) -> None:
    queue, stop = pushed(pb, 1), _threads.StopEvent()
    proxy.faults.append(problem(503, "overloaded"))
    for job in paying_pb.queues.work(queue, wait_ms=0, stop=stop):
        with job:
            stop.set()
    assert (pb.queues.status(queue)).completed == 1


def test_a_worker_that_pays_ends_when_the_answer_to_a_completion_is_lost(
    pb: Payerbase, paying_pb: Payerbase, proxy: Proxy
) -> None:
    queue = pushed(pb, 2)

    def handle(_: WorkedJob) -> None:
        proxy.faults.append(LOSES_ANSWER)

    with pytest.raises(PayerbaseConnectionError, match="may have been paid"):
        paying_pb.queues.consume(queue, handle, wait_ms=0, stop=after(10))
    assert [seen.path.split("/")[-1] for seen in proxy.seen] == ["batch", "complete"]
    status = pb.queues.status(queue)
    assert (status.completed, status.pending) == (1, 1)


def test_a_paid_extension_is_not_repeated_before_the_next_one_is_due(
    pb: Payerbase, paying_pb: Payerbase, proxy: Proxy
) -> None:
    queue, stop = pushed(pb, 1), _threads.StopEvent()
    for job in paying_pb.queues.work(queue, lease_ms=6_000, wait_ms=0, stop=stop):
        proxy.faults.append(LOSES_ANSWER)
        with job:
            _threads.sleep(5.2)
            assert not job.lost
        stop.set()
    first, second = [seen.at for seen in proxy.seen if seen.path.endswith("/extend")]
    assert second - first >= 1.9
    assert (pb.queues.status(queue)).completed == 1


def after(seconds: float) -> _threads.StopEvent:
    """An event that is set after a time, so that a test ends."""
    stop = _threads.StopEvent()

    def run() -> None:
        _threads.sleep(seconds)
        stop.set()

    _threads.Background(run)
    return stop
