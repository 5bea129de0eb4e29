"""A page of a list."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Page(Generic[T]):
    """One page of a list."""

    items: list[T]
    """Items of the page, in the order of the list."""
    next_cursor: str | None
    """Cursor of the next page, to send as `cursor`; `None` on the last page."""


def of_lines(data: bytes) -> Page[dict[str, Any]]:
    """The page that lines of JSON are. The last line has the cursor of the next page, or ends the list."""
    *items, last = map(json.loads, data.rstrip().split(b"\n"))
    if last["type"] not in ("next", "end"):
        raise ValueError("its last line is missing")
    return Page(items=items, next_cursor=last["cursor"] if last["type"] == "next" else None)
