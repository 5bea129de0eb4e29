"""A page of a list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Page(Generic[T]):
    """One page of a list."""

    items: list[T]
    """Items of the page, in the order of the list."""
    next_cursor: str | None
    """Cursor of the next page, to send as `cursor`; `None` on the last page."""
