"""Tasks can be cancelled at any time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from payerbase import AsyncPayerbase, AsyncWorkedJob
from tests.support import HANGS_AFTERWARDS, Proxy, Server, fresh, problem

pytestmark = pytest.mark.anyio


async def test_a_call_is_cancelled_while_it_waits_to_be_sent_again(proxy: Proxy, server: Server) -> None:
    proxy.faults.append(problem(503, "overloaded", Retry_After="50"))
    async with AsyncPayerbase(proxy.url, server.token) as pb:
        call = asyncio.ensure_future(pb.counters.increment(fresh()))
        await asyncio.sleep(0.5)
        await cancelled(call)


async def test_a_waiting_call_is_cancelled(server: Server) -> None:
    async with AsyncPayerbase(server.url, server.token) as pb:
        call = asyncio.ensure_future(pb.queues.pop(fresh(), wait_ms=30_000))
        await asyncio.sleep(0.3)
        await cancelled(call)


async def test_a_cancelled_worker_gives_its_jobs_back(server: Server) -> None:
    async with AsyncPayerbase(server.url, server.token) as pb:
        queue, started = fresh(), asyncio.Event()
        await pb.queues.push(queue, 1)

        async def handle(_: AsyncWorkedJob) -> None:
            started.set()
            await asyncio.sleep(60)

        work = asyncio.ensure_future(pb.queues.consume(queue, handle))
        await asyncio.wait_for(started.wait(), 30)
        await cancelled(work)
        assert (await pb.queues.status(queue)).running == 0


async def hold(pb: AsyncPayerbase, name: str) -> None:
    async with pb.locks.hold(name, wait_ms=30_000):
        await asyncio.sleep(60)


async def test_a_hold_that_is_cancelled_releases_the_lock(server: Server) -> None:
    async with AsyncPayerbase(server.url, server.token) as pb:
        name = fresh()
        holding = asyncio.ensure_future(hold(pb, name))
        await locked(pb, name)
        await cancelled(holding)
        assert not (await pb.locks.get(name)).locked


async def test_a_hold_that_is_cancelled_while_it_waits_gets_no_lock(server: Server) -> None:
    async with AsyncPayerbase(server.url, server.token) as pb:
        name = fresh()
        first = await pb.locks.acquire(name, ttl_ms=30_000)
        waiting = asyncio.ensure_future(hold(pb, name))
        await asyncio.sleep(0.3)
        await cancelled(waiting)
        await pb.locks.release(name, token=first.token)
        await asyncio.sleep(0.3)
        assert not (await pb.locks.get(name)).locked


async def test_a_hold_that_is_cancelled_before_its_answer_releases_the_lock(proxy: Proxy, server: Server) -> None:
    async with AsyncPayerbase(server.url, server.token) as pb, AsyncPayerbase(proxy.url, server.token) as behind_proxy:
        name = fresh()
        proxy.faults.append(HANGS_AFTERWARDS)
        holding = asyncio.ensure_future(hold(behind_proxy, name))
        await locked(pb, name)
        await cancelled(holding)
        assert not (await pb.locks.get(name)).locked


async def locked(pb: AsyncPayerbase, name: str) -> None:
    end = time.monotonic() + 30
    while not (await pb.locks.get(name)).locked:
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


async def cancelled(task: asyncio.Future[Any]) -> None:
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 15
