"""Lists, page by page.

Made of `src/payerbase/_async/pages.py` by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from payerbase._operation import Operation
from payerbase._page import Page
from payerbase._sync.transport import Transport

T = TypeVar("T")


class Pages(Generic[T]):
    """A list. Iterating over it fetches pages as needed; nothing is sent before."""

    def __init__(
        self,
        transport: Transport,
        operation: Operation[Page[T]],
        params: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> None:
        self._transport = transport
        self._operation = operation
        self._params = params
        self._options = options

    def page(self) -> Page[T]:
        """The page at `cursor`, the first one by default."""
        return self._transport.send(self._operation, self._params, self._options)

    def pages(self) -> Iterator[Page[T]]:
        """All pages from `cursor` on."""
        params = self._params
        while True:
            page = self._transport.send(self._operation, params, self._options)
            yield page
            if page.next_cursor is None:
                return
            params = {**params, "cursor": page.next_cursor}

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            for item in page.items:
                yield item
