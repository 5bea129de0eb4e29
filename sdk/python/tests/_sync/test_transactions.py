# Made of `tests/_async/test_transactions.py` by `scripts/generate.py`: do not edit.

from __future__ import annotations

import pytest

from payerbase import Payerbase, PayerbaseProblem
from tests.support import Server, fresh


def test_calls_happen_together_and_refer_to_each_other(pb: Payerbase) -> None:
    credits, queue, last = fresh(), fresh(), fresh()
    pb.counters.reset(credits, value=10)
    with pb.transact() as t:
        spent = t.counters.decrement(credits, amount=4, min=0, on_bound="reject")
        job = t.queues.push(queue, {"left": spent.value, "of": [spent.previous_value]}, dedup_key=spent.name)
        t.counters.reset(last, value=job["payload"]["of"][0])
        with pytest.raises(RuntimeError, match="after the block"):
            _ = spent.result
    assert (spent.result.value, spent.result.previous_value) == (6, 10)
    assert (job.result.payload, job.result.dedup_key) == ({"left": 6, "of": [10]}, credits)
    assert (pb.counters.get(last)).value == 10


def test_a_call_that_fails_undoes_all(pb: Payerbase) -> None:
    one, other = fresh(), fresh()
    with pytest.raises(PayerbaseProblem) as caught:
        with pb.transact() as t:
            t.counters.increment(one)
            t.counters.decrement(other, min=0, on_bound="reject")
    assert caught.value.code == "counter-out-of-bounds"
    assert (caught.value.problem.index, caught.value.problem.method) == (1, "decrement")
    with pytest.raises(PayerbaseProblem, match="not-found"):
        pb.counters.get(one)


def test_an_error_in_the_block_sends_nothing(pb: Payerbase) -> None:
    name = fresh()
    with pytest.raises(KeyError):
        with pb.transact() as t:
            t.counters.increment(name)
            raise KeyError(name)
    with pytest.raises(PayerbaseProblem, match="not-found"):
        pb.counters.get(name)
    with pb.transact():
        pass


def test_what_only_looks_like_a_reference_is_sent_as_it_is(pb: Payerbase) -> None:
    payload = {"$ref": "0.value", "deep": [{"$literal": {"$ref": "x"}}], "more": [{"$ref": 5}]}
    with pb.transact() as t:
        t.counters.increment(fresh())
        job = t.queues.push(fresh(), payload)
    assert job.result.payload == payload


def test_all_primitives_take_part(server: Server) -> None:
    with Payerbase(server.url, server.new_token()) as pb:
        lease = pb.locks.acquire("l", ttl_ms=30_000)
        pb.queues.push("q", 1)
        with pb.transact(guard=lease) as t:
            t.sql.migrate([{"id": "1", "sql": "create table t (x)"}])
            row = t.sql.execute("insert into t values (?) returning x", [2**60])
            batch = t.sql.batch([{"sql": "select x from t where x = :x", "params": {"x": 2**60}}])
            link = t.links.create("https://shop.example/", slug=fresh())
            memory = t.memories.store("m", "a text", metadata={"x": 1}, guard=lease)
            popped = t.queues.pop("q")
            empty = t.queues.pop("q")
            t.queues.complete(popped.id, lease=popped.lease, result={"link": link.slug})
            lock = t.locks.get("l")
            deleted = t.memories.delete("m")
            t.locks.release("l", token=lease.token)
            token = t.tokens.create(scopes=["counters:read"])
            credit = t.credit.get()
    assert row.result.rows == [[2**60]]
    assert batch.result.results[0].rows == [[2**60]]
    assert memory.result.metadata == {"x": 1}
    assert popped.result
    assert popped.result.payload == 1
    assert empty.result is None
    assert lock.result.fence == lease.fence
    assert deleted.result is None
    assert token.result.token
    assert credit.result.items == []


def test_a_transaction_is_repeated_with_its_key(pb: Payerbase) -> None:
    name, key = fresh(), fresh("key")
    for _ in range(2):
        with pb.transact(idempotency_key=key) as t:
            counter = t.counters.increment(name)
        assert counter.result.value == 1


def test_references_have_no_value(pb: Payerbase) -> None:
    with pytest.raises(KeyError):
        with pb.transact() as t:
            counter = t.counters.increment(fresh())
            with pytest.raises(TypeError, match="no value before"):
                _ = counter.value + 1  # type: ignore[operator]
            with pytest.raises(TypeError, match="no value before"):
                bool(counter.value)
            with pytest.raises(AttributeError, match="no member 'valeu'"):
                _ = counter.valeu  # type: ignore[attr-defined]
            with pytest.raises(TypeError, match="not the handle"):
                t.queues.push(fresh(), {"counter": counter})
            raise KeyError


def test_a_transaction_is_one_block(pb: Payerbase) -> None:
    name = fresh()
    with pb.transact() as t:
        t.counters.increment(name)
    with pytest.raises(RuntimeError, match="would not be sent"):
        t.counters.increment(name)
    with pytest.raises(RuntimeError, match="one block"):
        with t:
            pass
    assert (pb.counters.get(name)).value == 1
