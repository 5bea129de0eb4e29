"""Counters: 64-bit integers with optional bounds. In a transaction.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from typing_extensions import Unpack

from payerbase import _operations, models
from payerbase._operation import ABSENT, Absent, TransactedOptions
from payerbase._references import Handle, Ref, TransactedGroup
from payerbase._transacted import handles


class Counters(TransactedGroup):
    """Counters: 64-bit integers with optional bounds. In a transaction."""

    def increment(
        self,
        name: str | Ref,
        *,
        amount: int | Ref | None = None,
        max: int | Ref | Absent | None = ABSENT,
        min: int | Ref | Absent | None = ABSENT,
        on_bound: models.OnBound | None = None,
        **options: Unpack[TransactedOptions],
    ) -> handles.AdjustedCounterHandle:
        """Add to a counter. `counters.increment` of the client describes it."""
        return self._add(
            handles.AdjustedCounterHandle,
            _operations.INCREMENT,
            {"name": name, "amount": amount, "max": max, "min": min, "on_bound": on_bound},
            options,
        )

    def decrement(
        self,
        name: str | Ref,
        *,
        amount: int | Ref | None = None,
        max: int | Ref | Absent | None = ABSENT,
        min: int | Ref | Absent | None = ABSENT,
        on_bound: models.OnBound | None = None,
        **options: Unpack[TransactedOptions],
    ) -> handles.AdjustedCounterHandle:
        """Subtract from a counter. `counters.decrement` of the client describes it."""
        return self._add(
            handles.AdjustedCounterHandle,
            _operations.DECREMENT,
            {"name": name, "amount": amount, "max": max, "min": min, "on_bound": on_bound},
            options,
        )

    def reset(
        self, name: str | Ref, *, value: int | Ref | None = None, **options: Unpack[TransactedOptions]
    ) -> handles.ResetCounterHandle:
        """Set a counter to a value. `counters.reset` of the client describes it."""
        return self._add(handles.ResetCounterHandle, _operations.RESET_COUNTER, {"name": name, "value": value}, options)

    def get(self, name: str | Ref, **options: Unpack[TransactedOptions]) -> handles.CounterHandle:
        """Get a counter. `counters.get` of the client describes it."""
        return self._add(handles.CounterHandle, _operations.GET_COUNTER, {"name": name}, options)

    def delete(self, name: str | Ref, **options: Unpack[TransactedOptions]) -> Handle[None]:
        """Delete a counter. `counters.delete` of the client describes it."""
        return self._add(Handle[None], _operations.DELETE_COUNTER, {"name": name}, options)
