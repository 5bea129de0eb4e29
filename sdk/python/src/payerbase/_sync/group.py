"""The base of the groups of calls.

Made of `src/payerbase/_async/group.py` by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from payerbase._operation import Operation
from payerbase._page import Page
from payerbase._sync.pages import Pages
from payerbase._sync.transport import Transport

T = TypeVar("T")


class Group:
    """Calls that belong together."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _send(self, operation: Operation[T], params: Mapping[str, Any], options: Mapping[str, Any]) -> T:
        return self._transport.send(operation, params, options)

    def _pages(self, operation: Operation[Page[T]], params: Mapping[str, Any], options: Mapping[str, Any]) -> Pages[T]:
        return Pages(self._transport, operation, params, options)
