# Made of `tests/_async/test_counters.py` by `scripts/generate.py`: do not edit.

from __future__ import annotations

import pytest

from payerbase import Payerbase, PayerbaseProblem
from tests.support import fresh


def test_increments_and_decrements(pb: Payerbase) -> None:
    name = fresh()
    counter = pb.counters.increment(name)
    assert (counter.value, counter.previous_value, counter.applied, counter.capped) == (1, 0, 1, False)
    assert (pb.counters.decrement(name, amount=5)).value == -4
    assert (pb.counters.get(name)).value == -4


def test_keeps_bounds_until_none_removes_them(pb: Payerbase) -> None:
    name = fresh()
    assert (pb.counters.increment(name, amount=9, max=5)).capped
    assert (pb.counters.increment(name)).max == 5
    counter = pb.counters.increment(name, max=None)
    assert (counter.value, counter.max) == (6, None)


def test_is_exact_to_the_ends_of_64_bits(pb: Payerbase) -> None:
    name = fresh()
    for value in (2**63 - 1, 2**53 + 1, -(2**63)):
        assert (pb.counters.reset(name, value=value)).value == value
    with pytest.raises(PayerbaseProblem) as caught:
        pb.counters.decrement(name)
    assert caught.value.code == "counter-overflow"
    assert caught.value.problem.value == -(2**63)


def test_reports_the_bound_that_refuses(pb: Payerbase) -> None:
    name = fresh()
    with pytest.raises(PayerbaseProblem) as caught:
        pb.counters.decrement(name, min=0, on_bound="reject")
    problem = caught.value
    assert (problem.code, problem.status, problem.problem.value) == ("counter-out-of-bounds", 409, 0)
    assert problem.title
    assert problem.detail
    assert problem.attempts == 1


def test_a_deleted_counter_is_not_found(pb: Payerbase) -> None:
    name = fresh()
    pb.counters.increment(name)
    pb.counters.delete(name)
    with pytest.raises(PayerbaseProblem) as caught:
        pb.counters.get(name)
    assert caught.value.code == "not-found"
    assert caught.value.request_id


def test_lists_over_several_pages(pb: Payerbase) -> None:
    prefix = fresh()
    for number in range(5):
        pb.counters.increment(f"{prefix}-{number}")
    counters = pb.counters.list(prefix=prefix, limit=2)
    assert [counter.name for counter in counters] == [f"{prefix}-{number}" for number in range(5)]
    page = counters.page()
    assert len(page.items) == 2
    rest = pb.counters.list(prefix=prefix, limit=2, cursor=page.next_cursor)
    assert [len(page.items) for page in rest.pages()] == [2, 1]


@pytest.mark.parametrize("name", ["a/b", "100%", "what?", "#1", "two words", "café", "a+b;c=d&e", "%2F", "...", "日本"])
def test_names_may_have_any_letters(pb: Payerbase, name: str) -> None:
    name = fresh(name)
    pb.counters.increment(name)
    assert (pb.counters.get(name)).name == name
    assert [counter.name for counter in pb.counters.list(prefix=name)] == [name]


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_names_that_urls_cannot_carry_are_refused(pb: Payerbase, name: str) -> None:
    with pytest.raises(ValueError, match="URL cannot carry"):
        pb.counters.increment(name)
