from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from payerbase import AsyncPayerbase, PayerbaseProblem
from tests.support import fresh

pytestmark = pytest.mark.anyio


async def test_creates_changes_and_deletes_a_link(pb: AsyncPayerbase) -> None:
    slug = fresh()
    ends = datetime.now(timezone.utc) + timedelta(days=1)
    link = await pb.links.create("https://shop.example/", slug=slug, title="Sale", expires_at=ends, max_clicks=5)
    assert (link.slug, link.title, link.max_clicks, link.expires_at) == (slug, "Sale", 5, ends)
    assert link.short_url
    assert link.short_url.endswith(slug)
    link = await pb.links.update(slug, title=None, max_clicks=None)
    assert (link.title, link.max_clicks, link.expires_at) == (None, None, ends)
    assert (await pb.links.get(slug)).url == "https://shop.example/"
    assert slug in [link.slug async for link in pb.links.list(limit=1)]
    await pb.links.delete(slug)
    with pytest.raises(PayerbaseProblem, match="not-found"):
        await pb.links.get(slug)


async def test_counts_clicks(pb: AsyncPayerbase) -> None:
    slug = fresh()
    await pb.links.create("https://shop.example/", slug=slug)
    clicked = await pb.links.record_click(slug, referrer="https://news.example/page", country="SE")
    assert (clicked.recorded, clicked.clicks) == (True, 1)
    # A program counts as a bot.
    assert await pb.links.follow(slug) == "https://shop.example/"
    stats = await pb.links.stats(slug, days=7)
    assert (stats.clicks, stats.bot_clicks, len(stats.daily)) == (1, 1, 7)
    assert stats.referrers[0].value == "news.example"
    assert stats.daily[-1].date <= datetime.now(timezone.utc).date()


async def test_draws_a_qr_code(pb: AsyncPayerbase) -> None:
    slug = fresh()
    await pb.links.create("https://shop.example/", slug=slug)
    assert "<svg" in await pb.links.qr(slug)


async def test_a_time_without_a_zone_is_refused(pb: AsyncPayerbase) -> None:
    with pytest.raises(ValueError, match="time zone"):
        await pb.links.create("https://shop.example/", expires_at=datetime(2030, 1, 1))
