"""Job queues, and working on their jobs.

Made of `src/payerbase/_async/queues.py` by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial

from payerbase import _threads
from payerbase._log import LOGGER
from payerbase._sync.calls.queues import QueueCalls
from payerbase._sync.worker import WorkedJob, Worker


class Queues(QueueCalls):
    """Job queues with priorities, delays, retries, groups and deduplication."""

    def work(
        self,
        queue: str,
        *,
        concurrency: int = 1,
        lease_ms: int = 60_000,
        wait_ms: int = _threads.POP_WAIT_MS,
        stop: _threads.StopEvent | None = None,
    ) -> Generator[WorkedJob, None, None]:
        """Take jobs of a queue, one after the other, until `stop` is set.

        The lease of each job is extended in the background until its `complete` or `fail`, or the end of its block
        (`with job:`). While `concurrency` jobs are in hand, no further one is taken: with more than 1, the body
        of the loop can pass jobs on to others and take the next one. `consume` does that.

        After `stop`, the loop takes no further job, gives out those that it has taken or that its last request brings,
        and ends when all are completed or failed: it takes up to `wait_ms`, if no job comes. A job that is in hand
        when the loop is left by `break` or by an error, or that arrives after its end, is failed with a retry at once;
        in its last attempt it is not failed, and is dead when its lease ends.
        If the server is away, the loop waits for it (up to 30 seconds between attempts).
        If the client pays each call, the loop ends with the error when an answer is lost that may have been paid.

        Args:
            queue: Name of the queue.
            concurrency: Maximum number of jobs in hand, 1 to 100.
            lease_ms: Time of a lease, in milliseconds, 1,000 to 86,400,000 (24 hours): how soon another worker gets
                the job after this program was killed.
            wait_ms: Time of one waiting request, in milliseconds, 0 to 30,000, and so the time that a stop may take.
            stop: Event that ends the loop.

        Raises:
            PayerbaseProblem: The server refuses to give jobs, for example `missing-scope`.
        """
        worker = Worker(self, queue, concurrency=concurrency, lease_ms=lease_ms, wait_ms=wait_ms, stop=stop)
        with worker:
            while job := worker.next():
                yield job
                if concurrency == 1 and job.in_hand:
                    raise RuntimeError(
                        "complete or fail the job before you take the next one, or raise the concurrency"
                    )

    def consume(
        self,
        queue: str,
        handler: Callable[[WorkedJob], object],
        *,
        concurrency: int = 1,
        lease_ms: int = 60_000,
        wait_ms: int = _threads.POP_WAIT_MS,
        stop: _threads.StopEvent | None = None,
    ) -> None:
        """Run a handler for each job of a queue, up to `concurrency` at a time, until `stop` is set.

        A job is completed with what the handler returns (any JSON, or `None`), and failed, to be retried, with the
        error that it raises. A handler may also call `complete` or `fail` of the job itself, for example to fail it
        without a retry. Handlers run in threads. `consume` raises what `work` raises, after the handlers have ended.

        Args:
            queue: Name of the queue.
            handler: Called with each job.
            concurrency: Maximum number of jobs at a time, 1 to 100.
            lease_ms: Time of a lease, in milliseconds, as for `work`.
            wait_ms: Time of one waiting request, in milliseconds, 0 to 30,000, and so the time that a stop may take.
            stop: Event that ends the work. Jobs in hand, and those that the last request brings, are finished.
        """
        worker = Worker(self, queue, concurrency=concurrency, lease_ms=lease_ms, wait_ms=wait_ms, stop=stop)
        with worker, _threads.Handlers(concurrency) as handlers:
            while job := worker.next():
                handlers.start(partial(_handle, worker, job, handler))


def _handle(worker: Worker, job: WorkedJob, handler: Callable[[WorkedJob], object]) -> None:
    try:
        result = handler(job)
        if job.in_hand:
            job.complete(result)
    except Exception as error:
        LOGGER.exception("a handler of %r has failed", job.queue)
        if job.in_hand:
            worker.report(job, error)
    except BaseException:
        if job.in_hand:
            worker.give_back(job)
        raise
    finally:
        # Otherwise its lease would be extended for ever.
        worker.forget(job)
