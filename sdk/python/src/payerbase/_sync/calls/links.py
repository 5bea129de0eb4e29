"""Short links with clicks and QR codes.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from datetime import datetime

from typing_extensions import Unpack

from payerbase import _operations, models
from payerbase._operation import ABSENT, Absent, ReadOptions, WriteOptions
from payerbase._sync.group import Group
from payerbase._sync.pages import Pages


class Links(Group):
    """Short links with clicks and QR codes."""

    def create(
        self,
        url: str,
        *,
        expires_at: datetime | None = None,
        max_clicks: int | None = None,
        slug: str | None = None,
        title: str | None = None,
        ttl_ms: int | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Link:
        """Create a short link.

        All payers share the slugs: a slug that belongs to another payer or to another link is `slug-taken`. Without
        `slug`, the link gets 8 random letters and digits. A target URL that is not allowed is `url-not-allowed`.

        Needs the scope `links:write`.

        Args:
            url: Target URL: absolute, `http` or `https`, at most 2,048 bytes, without user and password, and no short
                URL of this server.
            expires_at: Time at which the link expires. If the time is in the past, the link expires immediately.
                Without `expires_at` and `ttl_ms`, the link never expires. Cannot be combined with `ttl_ms`.
            max_clicks: Maximum number of clicks by people, 1 to 2^53 - 1. Default: no limit. Bots are redirected until
                the limit is reached, and do not count towards it.
            slug: Last segment of the short URL, 3 to 64 of `A-Z a-z 0-9 _ -`. Default: 8 random letters and digits.
            title: Title for people, at most 512 bytes of UTF-8 without control characters.
            ttl_ms: Lifetime, in milliseconds, 1,000 to 315,360,000,000 (10 years). Default: no limit. Not together with
                `expires_at`.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `quota-exceeded`: The payer has as much of this as it may have.
                `slug-taken`: The slug is already in use.
                `url-not-allowed`: The URL is not allowed as a target.
        """
        return self._send(
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

    def get(self, slug: str, **options: Unpack[ReadOptions]) -> models.Link:
        """Get a link.

        An expired or used-up link is returned too.

        Needs the scope `links:read`.

        Args:
            slug: Slug of the link.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `not-found`: The resource or the path does not exist.
        """
        return self._send(_operations.GET_LINK, {"slug": slug}, options)

    def update(
        self,
        slug: str,
        *,
        expires_at: datetime | Absent | None = ABSENT,
        max_clicks: int | Absent | None = ABSENT,
        title: str | Absent | None = ABSENT,
        url: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Link:
        """Change a link.

        The body is a JSON merge patch (RFC 7396): absent members stay unchanged. `None` removes `title`, `expires_at`
        or `max_clicks`; `url` cannot be removed. An expired or used-up link works again if its new limits allow it.

        Needs the scope `links:write`.

        Args:
            slug: Slug of the link.
            expires_at: New time at which the link expires. `None`: never. Absent keeps it.
            max_clicks: New maximum number of clicks by people, 1 to 2^53 - 1. Earlier clicks count towards it. `None`:
                no limit. Absent keeps it.
            title: New title, at most 512 bytes of UTF-8 without control characters. `None` removes the title, absent
                keeps it.
            url: New target URL, with the same rules as in `links.create`. `None` or absent keeps it.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `quota-exceeded`: The payer has as much of this as it may have.
                `not-found`: The resource or the path does not exist.
                `url-not-allowed`: The URL is not allowed as a target.
        """
        return self._send(
            _operations.UPDATE_LINK,
            {"slug": slug, "expires_at": expires_at, "max_clicks": max_clicks, "title": title, "url": url},
            options,
        )

    def delete(self, slug: str, **options: Unpack[WriteOptions]) -> None:
        """Delete a link.

        Its statistics are deleted too. The slug stays the payer's for 10 minutes, in which it can make a new link with
        it. Then a background job frees the slug for all payers.

        Needs the scope `links:write`.

        Args:
            slug: Slug of the link.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `not-found`: The resource or the path does not exist.
        """
        self._send(_operations.DELETE_LINK, {"slug": slug}, options)

    def record_click(
        self,
        slug: str,
        *,
        country: str | None = None,
        referrer: str | None = None,
        user_agent: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.RecordedClick:
        """Record a click.

        For visitors that your own server redirects. The rules of the short URL apply: an expired or used-up link is
        `link-gone`, and bots are counted separately.

        Needs the scope `links:write`.

        Args:
            slug: Slug of the link.
            country: Country of the visitor, two letters (ISO 3166-1). Default: unknown. `XX` is refused.
            referrer: URL of the page with the link, at most 2,048 bytes. Only the host of an `http` or `https` URL is
                stored. Default: unknown.
            user_agent: Header `User-Agent` of the visitor, at most 2,048 bytes. Without it, the click counts as a
                person's. An empty one, or one over 1,024 bytes, counts as a bot's.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `not-found`: The resource or the path does not exist.
                `link-gone`: The link no longer redirects.
        """
        return self._send(
            _operations.RECORD_CLICK,
            {"slug": slug, "country": country, "referrer": referrer, "user_agent": user_agent},
            options,
        )

    def stats(self, slug: str, *, days: int | None = None, **options: Unpack[ReadOptions]) -> models.LinkStats:
        """Get the click statistics of a link.

        Counts of clicks by referrer, country, browser and day over the last `days` days. Addresses of visitors are
        never stored.

        Needs the scope `links:read`.

        Args:
            slug: Slug of the link.
            days: Number of days in UTC, including today, 1 to 366. Default: 30.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `not-found`: The resource or the path does not exist.
        """
        return self._send(_operations.GET_LINK_STATS, {"slug": slug, "days": days}, options)

    def list(
        self, *, limit: int | None = None, cursor: str | None = None, **options: Unpack[ReadOptions]
    ) -> Pages[models.Link]:
        """List links.

        Pages are sorted by time of creation, newest first.

        Needs the scope `links:read`.

        Args:
            limit: Maximum number of links in the page, 1 to 1,000. Default: 100.
            cursor: `next_cursor` of the previous page. Default: the first page.
        """
        return self._pages(_operations.LIST_LINKS, {"limit": limit, "cursor": cursor}, options)

    def follow(self, slug: str, **options: Unpack[ReadOptions]) -> str:
        """Follow a link.

        The click is counted durably before the answer. Bots, link previews, `HEAD` requests and prefetching browsers
        are redirected too, but counted separately as bots. An expired or used-up link is `link-gone`; a browser
        (`Accept: text/html`) gets a small page instead of a problem. Punctuation and slashes behind the slug are
        ignored.

        Args:
            slug: Slug of the link.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `not-found`: The resource or the path does not exist.
                `link-gone`: The link no longer redirects.
        """
        return self._send(_operations.FOLLOW_LINK, {"slug": slug}, options)

    def qr(self, slug: str, **options: Unpack[ReadOptions]) -> str:
        """Get the QR code of a short URL.

        The code contains the short URL of this slug. The server does not check whether the link exists.

        Args:
            slug: Slug of the link.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `not-found`: The resource or the path does not exist.
        """
        return self._send(_operations.LINK_QR, {"slug": slug}, options)
