"""Waiting and running in the background, with asyncio. `_threads.py` is the same with threads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

Lock = asyncio.Lock
StopEvent = asyncio.Event

# How long a worker waits in one request, and so how long a stop may take.
POP_WAIT_MS = 5_000


async def sleep(seconds: float) -> None:
    """Waits."""
    await asyncio.sleep(seconds)


async def shielded(run: Callable[[], Awaitable[None]]) -> None:
    """Runs something to its end, also if the caller is cancelled in the meantime."""
    await asyncio.shield(asyncio.ensure_future(run()))


async def wait_for_event(event: StopEvent, is_over: Callable[[], bool]) -> None:
    """Waits until the event is set. (Threads also look whether it is over: nothing cancels them.)"""
    await event.wait()


class Signal:
    """Wakes those who wait for a change."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """Says that something has changed."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, is_true: Callable[[], bool], timeout: float | None = None) -> bool:
        """Waits until the condition is true, at most for this time in seconds. Returns whether it is true."""
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        while not is_true():
            left = None if end is None else end - loop.time()
            if left is not None and left <= 0:
                return False
            waiter = loop.create_future()
            self._waiters.add(waiter)
            try:
                await asyncio.wait([waiter], timeout=left)
            finally:
                self._waiters.discard(waiter)
        return True


class Background:
    """Something that runs beside the caller until it returns or is stopped."""

    def __init__(self, run: Callable[[], Awaitable[None]]) -> None:
        self._task = asyncio.ensure_future(run())

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return not self._task.done()

    async def stop(self) -> None:
        """Cancels it and waits for its end. (A thread cannot be cancelled: it is only left.)"""
        self._task.cancel()
        await self.join()

    async def join(self) -> None:
        """Waits for its end."""
        await asyncio.wait([self._task])


class Handlers:
    """Runs handlers concurrently. At its end it waits for them, or cancels them after an error."""

    def __init__(self, count: int) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Handlers:
        return self

    def start(self, run: Callable[[], Awaitable[None]]) -> None:
        """Starts a handler. The caller limits their number."""
        task = asyncio.ensure_future(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def __aexit__(self, *error: object) -> None:
        tasks = list(self._tasks)
        try:
            if error[0] is None and tasks:
                await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
