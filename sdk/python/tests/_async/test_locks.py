from __future__ import annotations

import time

import pytest

from payerbase import AsyncPayerbase, PayerbaseConnectionError, PayerbaseError, PayerbaseProblem, _tasks
from payerbase._async.locks import AsyncHeldLock
from tests.support import LOSES_ANSWER, Fault, Proxy, fresh, problem

pytestmark = pytest.mark.anyio


async def test_acquires_extends_and_releases(pb: AsyncPayerbase) -> None:
    name = fresh()
    lease = await pb.locks.acquire(name, ttl_ms=30_000, metadata="a text")
    assert (await pb.locks.extend(name, token=lease.token, ttl_ms=60_000)).fence == lease.fence
    lock = await pb.locks.get(name)
    assert (lock.locked, lock.fence, lock.metadata) == (True, lease.fence, "a text")
    assert name in [lock.name async for lock in pb.locks.list(limit=1)]
    with pytest.raises(PayerbaseProblem) as caught:
        await pb.locks.acquire(name, ttl_ms=30_000)
    assert caught.value.code == "lock-held"
    assert caught.value.problem.expires_in_ms
    await pb.locks.release(name, token=lease.token)
    assert not (await pb.locks.get(name)).locked


async def test_a_guarded_write_needs_the_lock(pb: AsyncPayerbase) -> None:
    name, counter = fresh("a/b é"), fresh()
    lease = await pb.locks.acquire(name, ttl_ms=30_000)
    assert (await pb.counters.increment(counter, guard=lease)).value == 1
    await pb.locks.release(name, token=lease.token)
    with pytest.raises(PayerbaseProblem) as caught:
        await pb.counters.increment(counter, guard=lease)
    assert (caught.value.code, caught.value.problem.fence) == ("stale-fence", lease.fence)


async def test_a_block_holds_and_extends_the_lock(pb: AsyncPayerbase) -> None:
    name = fresh()
    async with pb.locks.hold(name, ttl_ms=3_000) as lock:
        await _tasks.sleep(5)
        assert (await pb.locks.get(name)).fence == lock.fence
        assert not lock.lost
        lock.raise_if_lost()
        await pb.counters.increment(fresh(), guard=lock)
    assert not (await pb.locks.get(name)).locked
    assert not await lock.wait_lost(0)


async def test_a_block_releases_after_an_error(pb: AsyncPayerbase) -> None:
    name = fresh()
    with pytest.raises(KeyError):
        async with pb.locks.hold(name):
            raise KeyError(name)
    assert not (await pb.locks.get(name)).locked


async def test_waits_for_the_lock_or_gives_up(pb: AsyncPayerbase) -> None:
    name = fresh()
    first = await pb.locks.acquire(name, ttl_ms=1_000)
    with pytest.raises(PayerbaseProblem, match="lock-held"):
        async with pb.locks.hold(name):
            pass
    async with pb.locks.hold(name, wait_ms=45_000) as lock:
        assert lock.fence > first.fence


async def test_says_that_the_lease_was_lost(pb: AsyncPayerbase) -> None:
    name = fresh()
    with pytest.raises(PayerbaseProblem, match="lock-not-held|lock-expired"):
        async with pb.locks.hold(name, ttl_ms=1_000) as lock:
            await pb.locks.release(name, token=lock.token)
            assert await lock.wait_lost(30)
            with pytest.raises(PayerbaseError, match="was lost"):
                lock.raise_if_lost()


async def test_the_lease_is_lost_when_the_server_is_away_for_too_long(
    pb_behind_proxy: AsyncPayerbase, proxy: Proxy
) -> None:
    with pytest.raises(PayerbaseProblem, match="lock-expired|lock-not-held"):
        async with pb_behind_proxy.locks.hold(fresh(), ttl_ms=1_000) as lock:
            proxy.faults.extend([problem(503, "overloaded")] * 1000)
            assert await lock.wait_lost(30)
            assert lock.lost
            proxy.faults.clear()
            # The lease ends a little later at the server.
            end = time.monotonic() + 30
            while (await pb_behind_proxy.locks.get(lock.name)).locked and time.monotonic() < end:
                await _tasks.sleep(0.1)


async def test_a_lost_answer_loses_no_lock(pb_behind_proxy: AsyncPayerbase, proxy: Proxy) -> None:
    proxy.faults.append(LOSES_ANSWER)
    async with pb_behind_proxy.locks.hold(fresh()) as lock:
        assert (await pb_behind_proxy.locks.get(lock.name)).fence == lock.fence


async def test_a_lock_of_a_failed_call_is_released(pb_behind_proxy: AsyncPayerbase, proxy: Proxy) -> None:
    name = fresh()
    proxy.faults.extend([LOSES_ANSWER, problem(500, "internal")])
    with pytest.raises(PayerbaseProblem, match="internal"):
        async with pb_behind_proxy.locks.hold(name):
            pass
    assert not (await pb_behind_proxy.locks.get(name)).locked


async def test_a_lease_that_may_be_old_is_extended_first(pb: AsyncPayerbase) -> None:
    name = fresh()
    await pb.locks.acquire(name, ttl_ms=1_500)
    async with pb.locks.hold(name, ttl_ms=1_000, wait_ms=20_000) as lock:
        assert not lock.lost


async def test_goes_on_waiting_if_an_old_lease_was_taken_by_another_one(
    pb_behind_proxy: AsyncPayerbase, proxy: Proxy
) -> None:
    name = fresh()
    await pb_behind_proxy.locks.acquire(name, ttl_ms=1_500)
    proxy.faults.extend([Fault(delays_seconds=0.01), problem(409, "lock-wrong-token")])
    async with pb_behind_proxy.locks.hold(name, ttl_ms=1_000, wait_ms=20_000) as lock:
        assert not lock.lost
    assert not proxy.faults


async def test_a_lease_is_lost_when_its_time_is_over(pb: AsyncPayerbase) -> None:
    asked_at = time.monotonic()
    lease = await pb.locks.acquire(fresh(), ttl_ms=1_000)
    lock = AsyncHeldLock(pb.locks, lease, 1_000, asked_at)
    assert await lock.wait_lost(20)
    assert time.monotonic() - asked_at < 10


async def test_a_client_that_pays_pays_for_no_release_after_a_lost_answer(
    paying_pb: AsyncPayerbase, proxy: Proxy
) -> None:
    proxy.faults.append(LOSES_ANSWER)
    with pytest.raises(PayerbaseConnectionError, match="may have been paid"):
        async with paying_pb.locks.hold(fresh()):
            pass
    assert len(proxy.seen) == 1


async def test_a_paid_extension_of_a_lock_is_not_repeated_before_the_next_one_is_due(
    paying_pb: AsyncPayerbase, proxy: Proxy
) -> None:
    async with paying_pb.locks.hold(fresh(), ttl_ms=6_000) as lock:
        proxy.faults.append(LOSES_ANSWER)
        await _tasks.sleep(5.2)
        lock.raise_if_lost()
    first, second = [seen.at for seen in proxy.seen if seen.path.endswith("/extend")]
    assert second - first >= 1.9
