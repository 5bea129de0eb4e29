from __future__ import annotations

import pytest

from payerbase import AsyncPayerbase, PayerbaseProblem
from tests.support import fresh

pytestmark = pytest.mark.anyio


async def test_increments_and_decrements(pb: AsyncPayerbase) -> None:
    name = fresh()
    counter = await pb.counters.increment(name)
    assert (counter.value, counter.previous_value, counter.applied, counter.capped) == (1, 0, 1, False)
    assert (await pb.counters.decrement(name, amount=5)).value == -4
    assert (await pb.counters.get(name)).value == -4


async def test_keeps_bounds_until_none_removes_them(pb: AsyncPayerbase) -> None:
    name = fresh()
    assert (await pb.counters.increment(name, amount=9, max=5)).capped
    assert (await pb.counters.increment(name)).max == 5
    counter = await pb.counters.increment(name, max=None)
    assert (counter.value, counter.max) == (6, None)


async def test_is_exact_to_the_ends_of_64_bits(pb: AsyncPayerbase) -> None:
    name = fresh()
    for value in (2**63 - 1, 2**53 + 1, -(2**63)):
        assert (await pb.counters.reset(name, value=value)).value == value
    with pytest.raises(PayerbaseProblem) as caught:
        await pb.counters.decrement(name)
    assert caught.value.code == "counter-overflow"
    assert caught.value.problem.value == -(2**63)


async def test_reports_the_bound_that_refuses(pb: AsyncPayerbase) -> None:
    name = fresh()
    with pytest.raises(PayerbaseProblem) as caught:
        await pb.counters.decrement(name, min=0, on_bound="reject")
    problem = caught.value
    assert (problem.code, problem.status, problem.problem.value) == ("counter-out-of-bounds", 409, 0)
    assert problem.title
    assert problem.detail
    assert problem.attempts == 1


async def test_a_deleted_counter_is_not_found(pb: AsyncPayerbase) -> None:
    name = fresh()
    await pb.counters.increment(name)
    await pb.counters.delete(name)
    with pytest.raises(PayerbaseProblem) as caught:
        await pb.counters.get(name)
    assert caught.value.code == "not-found"
    assert caught.value.request_id


async def test_lists_over_several_pages(pb: AsyncPayerbase) -> None:
    prefix = fresh()
    for number in range(5):
        await pb.counters.increment(f"{prefix}-{number}")
    counters = pb.counters.list(prefix=prefix, limit=2)
    assert [counter.name async for counter in counters] == [f"{prefix}-{number}" for number in range(5)]
    page = await counters.page()
    assert len(page.items) == 2
    rest = pb.counters.list(prefix=prefix, limit=2, cursor=page.next_cursor)
    assert [len(page.items) async for page in rest.pages()] == [2, 1]


@pytest.mark.parametrize("name", ["a/b", "100%", "what?", "#1", "two words", "café", "a+b;c=d&e", "%2F", "...", "日本"])
async def test_names_may_have_any_letters(pb: AsyncPayerbase, name: str) -> None:
    name = fresh(name)
    await pb.counters.increment(name)
    assert (await pb.counters.get(name)).name == name
    assert [counter.name async for counter in pb.counters.list(prefix=name)] == [name]


@pytest.mark.parametrize("name", ["", ".", ".."])
async def test_names_that_urls_cannot_carry_are_refused(pb: AsyncPayerbase, name: str) -> None:
    with pytest.raises(ValueError, match="URL cannot carry"):
        await pb.counters.increment(name)
