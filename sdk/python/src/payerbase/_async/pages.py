"""Lists, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Generic, TypeVar

from payerbase._async.transport import AsyncTransport
from payerbase._operation import Operation
from payerbase._page import Page

T = TypeVar("T")


class AsyncPages(Generic[T]):
    """A list. Iterating over it fetches pages as needed; nothing is sent before."""

    def __init__(
        self,
        transport: AsyncTransport,
        operation: Operation[Page[T]],
        params: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> None:
        self._transport = transport
        self._operation = operation
        self._params = params
        self._options = options

    async def page(self) -> Page[T]:
        """The page at `cursor`, the first one by default."""
        return await self._transport.send(self._operation, self._params, self._options)

    async def pages(self) -> AsyncIterator[Page[T]]:
        """All pages from `cursor` on."""
        params = self._params
        while True:
            page = await self._transport.send(self._operation, params, self._options)
            yield page
            if page.next_cursor is None:
                return
            params = {**params, "cursor": page.next_cursor}

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.items:
                yield item
