from __future__ import annotations

import base64
import json

import pytest

from payerbase import (
    AsyncPayerbase,
    PayerbaseAnswerError,
    PayerbaseConnectionError,
    PayerbaseError,
    PayerbaseProblem,
    _tasks,
)
from tests.support import HANGS, LOSES_ANSWER, LOSES_REQUEST, Fault, Proxy, Server, fresh, problem

pytestmark = pytest.mark.anyio

BAD_GATEWAY = Fault(status=502, headers={"Content-Type": "text/html"}, body="<h1>Bad Gateway</h1>")


@pytest.mark.parametrize(
    "fault",
    [
        LOSES_ANSWER,
        LOSES_REQUEST,
        BAD_GATEWAY,
        Fault(status=504),
        Fault(status=503, passes_on=True),
        problem(503, "overloaded", Retry_After="0"),
        problem(503, "outcome-unknown"),
        problem(429, "rate-limited"),
    ],
)
async def test_a_write_is_sent_again_and_happens_once(
    pb_behind_proxy: AsyncPayerbase, proxy: Proxy, fault: Fault
) -> None:
    name = fresh()
    proxy.faults.extend([fault, fault])
    assert (await pb_behind_proxy.counters.increment(name)).value == 1
    assert (await pb_behind_proxy.counters.get(name)).value == 1
    keys = proxy.keys()[:3]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert keys[0]


async def test_each_write_has_a_key_of_its_own(pb_behind_proxy: AsyncPayerbase, proxy: Proxy) -> None:
    for _ in range(2):
        await pb_behind_proxy.counters.increment(fresh())
    assert len(set(proxy.keys())) == 2


async def test_the_same_key_gets_the_first_answer(pb: AsyncPayerbase) -> None:
    name, key = fresh(), fresh("key")
    first = await pb.counters.increment(name, idempotency_key=key)
    assert await pb.counters.increment(name, idempotency_key=key) == first
    with pytest.raises(PayerbaseProblem, match="idempotency-mismatch"):
        await pb.counters.increment(name, amount=2, idempotency_key=key)


async def test_reads_are_sent_again(pb_behind_proxy: AsyncPayerbase, proxy: Proxy) -> None:
    proxy.faults.extend([LOSES_ANSWER, BAD_GATEWAY])
    assert (await pb_behind_proxy.sql.query("select 1")).rows == [[1]]
    assert proxy.keys() == [None] * 3


async def test_a_secret_is_not_asked_for_twice(pb_behind_proxy: AsyncPayerbase, proxy: Proxy) -> None:
    for fault in (LOSES_ANSWER, BAD_GATEWAY, Fault(status=503), problem(503, "outcome-unknown")):
        proxy.seen.clear()
        proxy.faults.append(fault)
        with pytest.raises(PayerbaseError):
            await pb_behind_proxy.tokens.create(scopes=["counters:read"])
        assert proxy.keys() == [None]
    # The server says that nothing was done.
    proxy.faults.extend([problem(503, "overloaded"), problem(429, "rate-limited")])
    assert (await pb_behind_proxy.tokens.create(scopes=["counters:read"])).token


async def test_other_problems_are_not_sent_again(pb_behind_proxy: AsyncPayerbase, proxy: Proxy) -> None:
    for status, code in ((500, "internal"), (504, "payment-unknown"), (409, "lock-held"), (408, "request-timeout")):
        proxy.seen.clear()
        proxy.faults.append(problem(status, code))
        with pytest.raises(PayerbaseProblem) as caught:
            await pb_behind_proxy.counters.increment(fresh())
        assert (caught.value.code, caught.value.status, caught.value.attempts) == (code, status, 1)
        assert len(proxy.seen) == 1


async def test_gives_up_after_its_retries(pb_behind_proxy: AsyncPayerbase, proxy: Proxy) -> None:
    proxy.faults.extend([problem(503, "overloaded")] * 2)
    with pytest.raises(PayerbaseProblem) as caught:
        await pb_behind_proxy.counters.increment(fresh(), retries=1)
    assert caught.value.attempts == 2
    proxy.faults.extend([LOSES_REQUEST] * 2)
    with pytest.raises(PayerbaseConnectionError) as lost:
        await pb_behind_proxy.counters.increment(fresh(), retries=1)
    assert lost.value.attempts == 2
    assert lost.value.__cause__
    assert lost.value.code is None


async def test_waits_as_long_as_the_server_asks(
    pb_behind_proxy: AsyncPayerbase, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(_tasks, "sleep", sleep)
    proxy.faults.extend([problem(429, "rate-limited", Retry_After="7"), LOSES_REQUEST])
    await pb_behind_proxy.counters.increment(fresh())
    assert 7 <= slept[0] <= 8
    assert slept[1] <= 1
    proxy.faults.append(problem(429, "rate-limited", Retry_After="3600"))
    with pytest.raises(PayerbaseProblem, match="rate-limited"):
        await pb_behind_proxy.counters.increment(fresh())


async def test_an_answer_without_a_problem_is_a_clear_error(pb_behind_proxy: AsyncPayerbase, proxy: Proxy) -> None:
    proxy.faults.append(BAD_GATEWAY)
    with pytest.raises(PayerbaseAnswerError, match="HTTP 502 without a problem .text/html.") as caught:
        await pb_behind_proxy.counters.increment(fresh(), retries=0)
    assert (caught.value.status, caught.value.body) == (502, "<h1>Bad Gateway</h1>")
    proxy.faults.append(Fault(status=200, headers={"Content-Type": "text/html"}, body="<h1>Welcome</h1>"))
    with pytest.raises(PayerbaseAnswerError, match="cannot read"):
        await pb_behind_proxy.counters.increment(fresh())


async def test_a_time_limit_ends_an_attempt(pb_behind_proxy: AsyncPayerbase, proxy: Proxy) -> None:
    proxy.faults.append(HANGS)
    with pytest.raises(PayerbaseConnectionError, match="no answer to POST"):
        await pb_behind_proxy.counters.increment(fresh(), timeout=1, retries=0)
    proxy.faults.append(HANGS)
    assert (await pb_behind_proxy.counters.increment(fresh(), timeout=5)).value == 1


async def test_the_time_that_a_call_waits_is_added_to_its_limit(pb: AsyncPayerbase) -> None:
    assert await pb.queues.pop(fresh(), wait_ms=6_000, timeout=5, retries=0) is None


async def test_nobody_listens(server: Server) -> None:
    async with AsyncPayerbase("http://127.0.0.1:1", server.token, retries=0) as pb:
        with pytest.raises(PayerbaseConnectionError, match="no answer to GET http://127.0.0.1:1/v1/me"):
            await pb.account.me()


async def test_what_may_pay_is_not_sent_again(
    pb_behind_proxy: AsyncPayerbase, paying_pb: AsyncPayerbase, proxy: Proxy
) -> None:
    proxy.faults.append(LOSES_ANSWER)
    with pytest.raises(PayerbaseConnectionError):
        await pb_behind_proxy.credit.top_up(1)
    assert paying_pb._transport._settings.timeout == 90
    for fault in (LOSES_ANSWER, BAD_GATEWAY, problem(503, "outcome-unknown")):
        proxy.seen.clear()
        proxy.faults.append(fault)
        with pytest.raises(PayerbaseError):
            await paying_pb.counters.increment(fresh())
        assert len(proxy.seen) == 1
    proxy.faults.append(LOSES_ANSWER)
    with pytest.raises(PayerbaseConnectionError, match="the call may have been paid"):
        await paying_pb.counters.increment(fresh())
    proxy.faults.extend([problem(503, "overloaded"), problem(429, "rate-limited")])
    assert (await paying_pb.counters.increment(fresh())).value == 1


async def test_a_call_that_was_paid_and_not_run_is_not_sent_again(paying_pb: AsyncPayerbase, proxy: Proxy) -> None:
    paid, unpaid = (base64.b64encode(json.dumps({"success": success}).encode()).decode() for success in (True, False))
    proxy.faults.append(problem(503, "overloaded", Payment_Response=paid))
    with pytest.raises(PayerbaseProblem, match="overloaded") as caught:
        await paying_pb.counters.increment(fresh())
    assert caught.value.attempts == 1
    proxy.faults.append(problem(503, "facilitator-unavailable", Payment_Response=unpaid))
    assert (await paying_pb.counters.increment(fresh())).value == 1


async def test_a_write_may_have_no_key(pb_behind_proxy: AsyncPayerbase, proxy: Proxy) -> None:
    await pb_behind_proxy.counters.increment(fresh(), idempotency_key=None, guard=None)
    proxy.faults.append(LOSES_ANSWER)
    with pytest.raises(PayerbaseConnectionError):
        await pb_behind_proxy.counters.increment(fresh(), idempotency_key=None)
    assert proxy.keys() == [None, None]
    with pytest.raises(ValueError, match="idempotency_key is empty"):
        await pb_behind_proxy.counters.increment(fresh(), idempotency_key="")


async def test_an_answer_without_a_location_is_a_clear_error(pb_behind_proxy: AsyncPayerbase, proxy: Proxy) -> None:
    proxy.faults.append(Fault(status=302))
    with pytest.raises(PayerbaseAnswerError, match="without Location"):
        await pb_behind_proxy.links.follow("x")
