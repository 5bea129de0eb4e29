# Made of `tests/_async/test_locks.py` by `scripts/generate.py`: do not edit.

from __future__ import annotations

import time

import pytest

from payerbase import Payerbase, PayerbaseConnectionError, PayerbaseError, PayerbaseProblem, _threads
from payerbase._sync.locks import HeldLock
from tests.support import LOSES_ANSWER, Fault, Proxy, fresh, problem


def test_acquires_extends_and_releases(pb: Payerbase) -> None:
    name = fresh()
    lease = pb.locks.acquire(name, ttl_ms=30_000, metadata="a text")
    assert (pb.locks.extend(name, token=lease.token, ttl_ms=60_000)).fence == lease.fence
    lock = pb.locks.get(name)
    assert (lock.locked, lock.fence, lock.metadata) == (True, lease.fence, "a text")
    assert name in [lock.name for lock in pb.locks.list(limit=1)]
    with pytest.raises(PayerbaseProblem) as caught:
        pb.locks.acquire(name, ttl_ms=30_000)
    assert caught.value.code == "lock-held"
    assert caught.value.problem.expires_in_ms
    pb.locks.release(name, token=lease.token)
    assert not (pb.locks.get(name)).locked


def test_a_guarded_write_needs_the_lock(pb: Payerbase) -> None:
    name, counter = fresh("a/b é"), fresh()
    lease = pb.locks.acquire(name, ttl_ms=30_000)
    assert (pb.counters.increment(counter, guard=lease)).value == 1
    pb.locks.release(name, token=lease.token)
    with pytest.raises(PayerbaseProblem) as caught:
        pb.counters.increment(counter, guard=lease)
    assert (caught.value.code, caught.value.problem.fence) == ("stale-fence", lease.fence)


def test_a_block_holds_and_extends_the_lock(pb: Payerbase) -> None:
    name = fresh()
    with pb.locks.hold(name, ttl_ms=3_000) as lock:
        _threads.sleep(5)
        assert (pb.locks.get(name)).fence == lock.fence
        assert not lock.lost
        lock.raise_if_lost()
        pb.counters.increment(fresh(), guard=lock)
    assert not (pb.locks.get(name)).locked
    assert not lock.wait_lost(0)


def test_a_block_releases_after_an_error(pb: Payerbase) -> None:
    name = fresh()
    with pytest.raises(KeyError):
        with pb.locks.hold(name):
            raise KeyError(name)
    assert not (pb.locks.get(name)).locked


def test_waits_for_the_lock_or_gives_up(pb: Payerbase) -> None:
    name = fresh()
    first = pb.locks.acquire(name, ttl_ms=1_000)
    with pytest.raises(PayerbaseProblem, match="lock-held"):
        with pb.locks.hold(name):
            pass
    with pb.locks.hold(name, wait_ms=45_000) as lock:
        assert lock.fence > first.fence


def test_says_that_the_lease_was_lost(pb: Payerbase) -> None:
    name = fresh()
    with pytest.raises(PayerbaseProblem, match="lock-not-held|lock-expired"):
        with pb.locks.hold(name, ttl_ms=1_000) as lock:
            pb.locks.release(name, token=lock.token)
            assert lock.wait_lost(30)
            with pytest.raises(PayerbaseError, match="was lost"):
                lock.raise_if_lost()


def test_the_lease_is_lost_when_the_server_is_away_for_too_long(pb_behind_proxy: Payerbase, proxy: Proxy) -> None:
    with pytest.raises(PayerbaseProblem, match="lock-expired|lock-not-held"):
        with pb_behind_proxy.locks.hold(fresh(), ttl_ms=1_000) as lock:
            proxy.faults.extend([problem(503, "overloaded")] * 1000)
            assert lock.wait_lost(30)
            assert lock.lost
            proxy.faults.clear()
            # The lease ends a little later at the server.
            end = time.monotonic() + 30
            while (pb_behind_proxy.locks.get(lock.name)).locked and time.monotonic() < end:
                _threads.sleep(0.1)


def test_a_lost_answer_loses_no_lock(pb_behind_proxy: Payerbase, proxy: Proxy) -> None:
    proxy.faults.append(LOSES_ANSWER)
    with pb_behind_proxy.locks.hold(fresh()) as lock:
        assert (pb_behind_proxy.locks.get(lock.name)).fence == lock.fence


def test_a_lock_of_a_failed_call_is_released(pb_behind_proxy: Payerbase, proxy: Proxy) -> None:
    name = fresh()
    proxy.faults.extend([LOSES_ANSWER, problem(500, "internal")])
    with pytest.raises(PayerbaseProblem, match="internal"):
        with pb_behind_proxy.locks.hold(name):
            pass
    assert not (pb_behind_proxy.locks.get(name)).locked


def test_a_lease_that_may_be_old_is_extended_first(pb: Payerbase) -> None:
    name = fresh()
    pb.locks.acquire(name, ttl_ms=1_500)
    with pb.locks.hold(name, ttl_ms=1_000, wait_ms=20_000) as lock:
        assert not lock.lost


def test_goes_on_waiting_if_an_old_lease_was_taken_by_another_one(pb_behind_proxy: Payerbase, proxy: Proxy) -> None:
    name = fresh()
    pb_behind_proxy.locks.acquire(name, ttl_ms=1_500)
    proxy.faults.extend([Fault(delays_seconds=0.01), problem(409, "lock-wrong-token")])
    with pb_behind_proxy.locks.hold(name, ttl_ms=1_000, wait_ms=20_000) as lock:
        assert not lock.lost
    assert not proxy.faults


def test_a_lease_is_lost_when_its_time_is_over(pb: Payerbase) -> None:
    asked_at = time.monotonic()
    lease = pb.locks.acquire(fresh(), ttl_ms=1_000)
    lock = HeldLock(pb.locks, lease, 1_000, asked_at)
    assert lock.wait_lost(20)
    assert time.monotonic() - asked_at < 10


def test_a_client_that_pays_pays_for_no_release_after_a_lost_answer(paying_pb: Payerbase, proxy: Proxy) -> None:
    proxy.faults.append(LOSES_ANSWER)
    with pytest.raises(PayerbaseConnectionError, match="may have been paid"):
        with paying_pb.locks.hold(fresh()):
            pass
    assert len(proxy.seen) == 1


def test_a_paid_extension_of_a_lock_is_not_repeated_before_the_next_one_is_due(
    paying_pb: Payerbase, proxy: Proxy
) -> None:
    with paying_pb.locks.hold(fresh(), ttl_ms=6_000) as lock:
        proxy.faults.append(LOSES_ANSWER)
        _threads.sleep(5.2)
        lock.raise_if_lost()
    first, second = [seen.at for seen in proxy.seen if seen.path.endswith("/extend")]
    assert second - first >= 1.9
