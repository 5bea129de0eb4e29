"""The base of the groups of calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from payerbase._async.pages import AsyncPages
from payerbase._async.transport import AsyncTransport
from payerbase._operation import Operation
from payerbase._page import Page

T = TypeVar("T")


class AsyncGroup:
    """Calls that belong together."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def _send(self, operation: Operation[T], params: Mapping[str, Any], options: Mapping[str, Any]) -> T:
        return await self._transport.send(operation, params, options)

    def _pages(
        self, operation: Operation[Page[T]], params: Mapping[str, Any], options: Mapping[str, Any]
    ) -> AsyncPages[T]:
        return AsyncPages(self._transport, operation, params, options)
