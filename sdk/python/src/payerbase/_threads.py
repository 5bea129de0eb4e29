"""Waiting and running in the background, with threads. `_tasks.py` is the same with asyncio."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

Lock = threading.Lock
StopEvent = threading.Event

# How long a worker waits in one request, and so how long a stop may take.
POP_WAIT_MS = 5_000

LOOK_SECONDS = 0.2


def sleep(seconds: float) -> None:
    """Waits."""
    time.sleep(seconds)


def shielded(run: Callable[[], None]) -> None:
    """Runs something to its end."""
    run()


def wait_for_event(event: StopEvent, is_over: Callable[[], bool]) -> None:
    """Waits until the event is set or it is over."""
    while not is_over() and not event.wait(LOOK_SECONDS):
        pass


class Signal:
    """Wakes those who wait for a change."""

    def __init__(self) -> None:
        self._condition = threading.Condition()

    def notify(self) -> None:
        """Says that something has changed."""
        with self._condition:
            self._condition.notify_all()

    def wait(self, is_true: Callable[[], bool], timeout: float | None = None) -> bool:
        """Waits until the condition is true, at most for this time in seconds. Returns whether it is true."""
        with self._condition:
            return self._condition.wait_for(is_true, timeout)


class Background:
    """Something that runs beside the caller until it returns."""

    def __init__(self, run: Callable[[], None]) -> None:
        # A daemon, so that a program can end although a request of it waits for its answer.
        self._thread = threading.Thread(target=run, daemon=True, name="payerbase")
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """A thread cannot be cancelled: it is left, and ends by itself."""

    def join(self) -> None:
        """Waits for its end."""
        self._thread.join()


class Handlers:
    """Runs handlers concurrently. At its end it waits for them."""

    def __init__(self, count: int) -> None:
        self._threads = ThreadPoolExecutor(count, "payerbase-handler")

    def __enter__(self) -> Handlers:
        return self

    def start(self, run: Callable[[], None]) -> None:
        """Starts a handler. The caller limits their number."""
        self._threads.submit(run)

    def __exit__(self, *error: object) -> None:
        self._threads.shutdown()
