# Made of `tests/_async/test_retries.py` by `scripts/generate.py`: do not edit.

from __future__ import annotations

import base64
import json

import pytest

from payerbase import (
    Payerbase,
    PayerbaseAnswerError,
    PayerbaseConnectionError,
    PayerbaseError,
    PayerbaseProblem,
    _threads,
)
from tests.support import HANGS, LOSES_ANSWER, LOSES_REQUEST, Fault, Proxy, Server, fresh, problem

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
def test_a_write_is_sent_again_and_happens_once(pb_behind_proxy: Payerbase, proxy: Proxy, fault: Fault) -> None:
    name = fresh()
    proxy.faults.extend([fault, fault])
    assert (pb_behind_proxy.counters.increment(name)).value == 1
    assert (pb_behind_proxy.counters.get(name)).value == 1
    keys = proxy.keys()[:3]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert keys[0]


def test_each_write_has_a_key_of_its_own(pb_behind_proxy: Payerbase, proxy: Proxy) -> None:
    for _ in range(2):
        pb_behind_proxy.counters.increment(fresh())
    assert len(set(proxy.keys())) == 2


def test_the_same_key_gets_the_first_answer(pb: Payerbase) -> None:
    name, key = fresh(), fresh("key")
    first = pb.counters.increment(name, idempotency_key=key)
    assert pb.counters.increment(name, idempotency_key=key) == first
    with pytest.raises(PayerbaseProblem, match="idempotency-mismatch"):
        pb.counters.increment(name, amount=2, idempotency_key=key)


def test_reads_are_sent_again(pb_behind_proxy: Payerbase, proxy: Proxy) -> None:
    proxy.faults.extend([LOSES_ANSWER, BAD_GATEWAY])
    assert (pb_behind_proxy.sql.query("select 1")).rows == [[1]]
    assert proxy.keys() == [None] * 3


def test_a_secret_is_not_asked_for_twice(pb_behind_proxy: Payerbase, proxy: Proxy) -> None:
    for fault in (LOSES_ANSWER, BAD_GATEWAY, Fault(status=503), problem(503, "outcome-unknown")):
        proxy.seen.clear()
        proxy.faults.append(fault)
        with pytest.raises(PayerbaseError):
            pb_behind_proxy.tokens.create(scopes=["counters:read"])
        assert proxy.keys() == [None]
    # The server says that nothing was done.
    proxy.faults.extend([problem(503, "overloaded"), problem(429, "rate-limited")])
    assert (pb_behind_proxy.tokens.create(scopes=["counters:read"])).token


def test_other_problems_are_not_sent_again(pb_behind_proxy: Payerbase, proxy: Proxy) -> None:
    for status, code in ((500, "internal"), (504, "payment-unknown"), (409, "lock-held"), (408, "request-timeout")):
        proxy.seen.clear()
        proxy.faults.append(problem(status, code))
        with pytest.raises(PayerbaseProblem) as caught:
            pb_behind_proxy.counters.increment(fresh())
        assert (caught.value.code, caught.value.status, caught.value.attempts) == (code, status, 1)
        assert len(proxy.seen) == 1


def test_gives_up_after_its_retries(pb_behind_proxy: Payerbase, proxy: Proxy) -> None:
    proxy.faults.extend([problem(503, "overloaded")] * 2)
    with pytest.raises(PayerbaseProblem) as caught:
        pb_behind_proxy.counters.increment(fresh(), retries=1)
    assert caught.value.attempts == 2
    proxy.faults.extend([LOSES_REQUEST] * 2)
    with pytest.raises(PayerbaseConnectionError) as lost:
        pb_behind_proxy.counters.increment(fresh(), retries=1)
    assert lost.value.attempts == 2
    assert lost.value.__cause__
    assert lost.value.code is None


def test_waits_as_long_as_the_server_asks(
    pb_behind_proxy: Payerbase, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(_threads, "sleep", sleep)
    proxy.faults.extend([problem(429, "rate-limited", Retry_After="7"), LOSES_REQUEST])
    pb_behind_proxy.counters.increment(fresh())
    assert 7 <= slept[0] <= 8
    assert slept[1] <= 1
    proxy.faults.append(problem(429, "rate-limited", Retry_After="3600"))
    with pytest.raises(PayerbaseProblem, match="rate-limited"):
        pb_behind_proxy.counters.increment(fresh())


def test_an_answer_without_a_problem_is_a_clear_error(pb_behind_proxy: Payerbase, proxy: Proxy) -> None:
    proxy.faults.append(BAD_GATEWAY)
    with pytest.raises(PayerbaseAnswerError, match="HTTP 502 without a problem .text/html.") as caught:
        pb_behind_proxy.counters.increment(fresh(), retries=0)
    assert (caught.value.status, caught.value.body) == (502, "<h1>Bad Gateway</h1>")
    proxy.faults.append(Fault(status=200, headers={"Content-Type": "text/html"}, body="<h1>Welcome</h1>"))
    with pytest.raises(PayerbaseAnswerError, match="cannot read"):
        pb_behind_proxy.counters.increment(fresh())


def test_a_time_limit_ends_an_attempt(pb_behind_proxy: Payerbase, proxy: Proxy) -> None:
    proxy.faults.append(HANGS)
    with pytest.raises(PayerbaseConnectionError, match="no answer to POST"):
        pb_behind_proxy.counters.increment(fresh(), timeout=1, retries=0)
    proxy.faults.append(HANGS)
    assert (pb_behind_proxy.counters.increment(fresh(), timeout=5)).value == 1


def test_the_time_that_a_call_waits_is_added_to_its_limit(pb: Payerbase) -> None:
    assert pb.queues.pop(fresh(), wait_ms=6_000, timeout=5, retries=0) is None


def test_nobody_listens(server: Server) -> None:
    with Payerbase("http://127.0.0.1:1", server.token, retries=0) as pb:
        with pytest.raises(PayerbaseConnectionError, match="no answer to GET http://127.0.0.1:1/v1/me"):
            pb.account.me()


def test_what_may_pay_is_not_sent_again(pb_behind_proxy: Payerbase, paying_pb: Payerbase, proxy: Proxy) -> None:
    proxy.faults.append(LOSES_ANSWER)
    with pytest.raises(PayerbaseConnectionError):
        pb_behind_proxy.credit.top_up(1)
    assert paying_pb._transport._settings.timeout == 90
    for fault in (LOSES_ANSWER, BAD_GATEWAY, problem(503, "outcome-unknown")):
        proxy.seen.clear()
        proxy.faults.append(fault)
        with pytest.raises(PayerbaseError):
            paying_pb.counters.increment(fresh())
        assert len(proxy.seen) == 1
    proxy.faults.append(LOSES_ANSWER)
    with pytest.raises(PayerbaseConnectionError, match="the call may have been paid"):
        paying_pb.counters.increment(fresh())
    proxy.faults.extend([problem(503, "overloaded"), problem(429, "rate-limited")])
    assert (paying_pb.counters.increment(fresh())).value == 1


def test_a_call_that_was_paid_and_not_run_is_not_sent_again(paying_pb: Payerbase, proxy: Proxy) -> None:
    paid, unpaid = (base64.b64encode(json.dumps({"success": success}).encode()).decode() for success in (True, False))
    proxy.faults.append(problem(503, "overloaded", Payment_Response=paid))
    with pytest.raises(PayerbaseProblem, match="overloaded") as caught:
        paying_pb.counters.increment(fresh())
    assert caught.value.attempts == 1
    proxy.faults.append(problem(503, "facilitator-unavailable", Payment_Response=unpaid))
    assert (paying_pb.counters.increment(fresh())).value == 1


def test_a_write_may_have_no_key(pb_behind_proxy: Payerbase, proxy: Proxy) -> None:
    pb_behind_proxy.counters.increment(fresh(), idempotency_key=None, guard=None)
    proxy.faults.append(LOSES_ANSWER)
    with pytest.raises(PayerbaseConnectionError):
        pb_behind_proxy.counters.increment(fresh(), idempotency_key=None)
    assert proxy.keys() == [None, None]
    with pytest.raises(ValueError, match="idempotency_key is empty"):
        pb_behind_proxy.counters.increment(fresh(), idempotency_key="")


def test_an_answer_without_a_location_is_a_clear_error(pb_behind_proxy: Payerbase, proxy: Proxy) -> None:
    proxy.faults.append(Fault(status=302))
    with pytest.raises(PayerbaseAnswerError, match="without Location"):
        pb_behind_proxy.links.follow("x")
