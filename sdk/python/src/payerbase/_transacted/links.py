"""Short links with clicks and QR codes. In a transaction.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from datetime import datetime

from typing_extensions import Unpack

from payerbase import _operations
from payerbase._operation import ABSENT, Absent, TransactedOptions
from payerbase._references import Handle, Ref, TransactedGroup
from payerbase._transacted import handles


class Links(TransactedGroup):
    """Short links with clicks and QR codes. In a transaction."""

    def create(
        self,
        url: str,
        *,
        expires_at: datetime | None = None,
        max_clicks: int | None = None,
        slug: str | None = None,
        title: str | Ref | None = None,
        ttl_ms: int | None = None,
        **options: Unpack[TransactedOptions],
    ) -> handles.LinkHandle:
        """Create a short link. `links.create` of the client describes it."""
        return self._add(
            handles.LinkHandle,
            _operations.CREATE_LINK,
            {
                "url": url,
                "expires_at": expires_at,
                "max_clicks": max_clicks,
                "slug": slug,
                "title": title,
                "ttl_ms": ttl_ms,
            },
            options,
        )

    def get(self, slug: str, **options: Unpack[TransactedOptions]) -> handles.LinkHandle:
        """Get a link. `links.get` of the client describes it."""
        return self._add(handles.LinkHandle, _operations.GET_LINK, {"slug": slug}, options)

    def update(
        self,
        slug: str,
        *,
        expires_at: datetime | Absent | None = ABSENT,
        max_clicks: int | Absent | None = ABSENT,
        title: str | Ref | Absent | None = ABSENT,
        url: str | None = None,
        **options: Unpack[TransactedOptions],
    ) -> handles.LinkHandle:
        """Change a link. `links.update` of the client describes it."""
        return self._add(
            handles.LinkHandle,
            _operations.UPDATE_LINK,
            {"slug": slug, "expires_at": expires_at, "max_clicks": max_clicks, "title": title, "url": url},
            options,
        )

    def delete(self, slug: str, **options: Unpack[TransactedOptions]) -> Handle[None]:
        """Delete a link. `links.delete` of the client describes it."""
        return self._add(Handle[None], _operations.DELETE_LINK, {"slug": slug}, options)

    def record_click(
        self,
        slug: str,
        *,
        country: str | None = None,
        referrer: str | None = None,
        user_agent: str | None = None,
        **options: Unpack[TransactedOptions],
    ) -> handles.RecordedClickHandle:
        """Record a click. `links.record_click` of the client describes it."""
        return self._add(
            handles.RecordedClickHandle,
            _operations.RECORD_CLICK,
            {"slug": slug, "country": country, "referrer": referrer, "user_agent": user_agent},
            options,
        )
