"""Counters: 64-bit integers with optional bounds.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from typing_extensions import Unpack

from payerbase import _operations, models
from payerbase._async.group import AsyncGroup
from payerbase._async.pages import AsyncPages
from payerbase._operation import ABSENT, Absent, ReadOptions, WriteOptions


class AsyncCounters(AsyncGroup):
    """Counters: 64-bit integers with optional bounds."""

    async def increment(
        self,
        name: str,
        *,
        amount: int | None = None,
        max: int | Absent | None = ABSENT,
        min: int | Absent | None = ABSENT,
        on_bound: models.OnBound | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.AdjustedCounter:
        """Add to a counter.

        Adds `amount` to the counter. A counter that does not exist is created at 0 first. `min` and `max` are stored as
        the bounds of the counter; if they are absent, the stored bounds are kept. The value stops at a bound: the part
        of `amount` beyond it is not applied, or the call fails with `counter-out-of-bounds` if `on_bound` is `reject`.
        A new bound does not change the value: a value below `min` can only be increased, a value above `max` can only
        be decreased. A result that does not fit into a signed 64-bit integer fails with `counter-overflow`, unless a
        bound stops the value before.

        Needs the scope `counters:write`.

        Args:
            name: Name of the counter.
            amount: Amount, a 64-bit signed integer; it may be negative. Default: 1.
            max: New upper bound, a 64-bit signed integer, at least the lower bound. It holds for later calls too.
                `None` removes the bound, absent keeps it.
            min: New lower bound, a 64-bit signed integer, at most the upper bound. It holds for later calls too. `None`
                removes the bound, absent keeps it.
            on_bound: Effect of an amount that crosses a bound: `saturate` stops the counter at the bound, `reject`
                changes nothing and fails with `counter-out-of-bounds`. Default: `saturate`.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `quota-exceeded`: The payer has as much of this as it may have.
                `counter-out-of-bounds`: The amount would take the counter out of its bounds.
                `counter-overflow`: The new value would not fit into a signed 64-bit integer.
        """
        return await self._send(
            _operations.INCREMENT,
            {"name": name, "amount": amount, "max": max, "min": min, "on_bound": on_bound},
            options,
        )

    async def decrement(
        self,
        name: str,
        *,
        amount: int | None = None,
        max: int | Absent | None = ABSENT,
        min: int | Absent | None = ABSENT,
        on_bound: models.OnBound | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.AdjustedCounter:
        """Subtract from a counter.

        Works like `counters.increment` with the sign of `amount` reversed. `applied` is the amount that was subtracted.

        Needs the scope `counters:write`.

        Args:
            name: Name of the counter.
            amount: Amount, a 64-bit signed integer; it may be negative. Default: 1.
            max: New upper bound, a 64-bit signed integer, at least the lower bound. It holds for later calls too.
                `None` removes the bound, absent keeps it.
            min: New lower bound, a 64-bit signed integer, at most the upper bound. It holds for later calls too. `None`
                removes the bound, absent keeps it.
            on_bound: Effect of an amount that crosses a bound: `saturate` stops the counter at the bound, `reject`
                changes nothing and fails with `counter-out-of-bounds`. Default: `saturate`.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `quota-exceeded`: The payer has as much of this as it may have.
                `counter-out-of-bounds`: The amount would take the counter out of its bounds.
                `counter-overflow`: The new value would not fit into a signed 64-bit integer.
        """
        return await self._send(
            _operations.DECREMENT,
            {"name": name, "amount": amount, "max": max, "min": min, "on_bound": on_bound},
            options,
        )

    async def reset(
        self, name: str, *, value: int | None = None, **options: Unpack[WriteOptions]
    ) -> models.ResetCounter:
        """Set a counter to a value.

        A missing counter is created. The bounds of the counter stay: a value outside them is `invalid-value`.

        Needs the scope `counters:write`.

        Args:
            name: Name of the counter.
            value: New value, a 64-bit signed integer. Default: 0.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `quota-exceeded`: The payer has as much of this as it may have.
        """
        return await self._send(_operations.RESET_COUNTER, {"name": name, "value": value}, options)

    async def get(self, name: str, **options: Unpack[ReadOptions]) -> models.Counter:
        """Get a counter.

        The result includes every write that was answered before this call.

        Needs the scope `counters:read`.

        Args:
            name: Name of the counter.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `not-found`: The resource or the path does not exist.
        """
        return await self._send(_operations.GET_COUNTER, {"name": name}, options)

    async def delete(self, name: str, **options: Unpack[WriteOptions]) -> None:
        """Delete a counter.

        The bounds are deleted too. The next `counters.increment` starts at 0.

        Needs the scope `counters:write`.

        Args:
            name: Name of the counter.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `not-found`: The resource or the path does not exist.
        """
        await self._send(_operations.DELETE_COUNTER, {"name": name}, options)

    def list(
        self,
        *,
        prefix: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        **options: Unpack[ReadOptions],
    ) -> AsyncPages[models.Counter]:
        """List counters.

        Pages are sorted by name, byte by byte.

        Needs the scope `counters:read`.

        Args:
            prefix: Prefix of the names to list, 1 to 256 bytes of UTF-8. Default: all names.
            limit: Maximum number of counters in the page, 1 to 1,000. Default: 100.
            cursor: `next_cursor` of the previous page. Default: the first page.
        """
        return self._pages(_operations.LIST_COUNTERS, {"prefix": prefix, "limit": limit, "cursor": cursor}, options)
