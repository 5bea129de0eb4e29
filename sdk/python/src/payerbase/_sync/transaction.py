"""A transaction that is sent at the end of its block.

Made of `src/payerbase/_async/transaction.py` by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from payerbase._sync.transport import Transport
from payerbase._transacted import TransactedCalls


class Transaction(TransactedCalls):
    """Calls that happen together at the end of the block, or not at all."""

    def __init__(self, transport: Transport, options: Mapping[str, Any]) -> None:
        super().__init__()
        self._transport = transport
        self._options = options
        self._is_entered = False

    def __enter__(self) -> Transaction:
        if self._is_entered:
            raise RuntimeError("a transaction is one block: call transact again")
        self._is_entered = True
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._is_over = True
        if kind is None and self._calls:
            answer = self._transport.send(self._operation, {"calls": self._calls}, self._options)
            self._settle(answer.results)
