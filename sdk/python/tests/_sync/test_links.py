# Made of `tests/_async/test_links.py` by `scripts/generate.py`: do not edit.

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from payerbase import Payerbase, PayerbaseProblem
from tests.support import fresh


def test_creates_changes_and_deletes_a_link(pb: Payerbase) -> None:
    slug = fresh()
    ends = datetime.now(timezone.utc) + timedelta(days=1)
    link = pb.links.create("https://shop.example/", slug=slug, title="Sale", expires_at=ends, max_clicks=5)
    assert (link.slug, link.title, link.max_clicks, link.expires_at) == (slug, "Sale", 5, ends)
    assert link.short_url
    assert link.short_url.endswith(slug)
    link = pb.links.update(slug, title=None, max_clicks=None)
    assert (link.title, link.max_clicks, link.expires_at) == (None, None, ends)
    assert (pb.links.get(slug)).url == "https://shop.example/"
    assert slug in [link.slug for link in pb.links.list(limit=1)]
    pb.links.delete(slug)
    with pytest.raises(PayerbaseProblem, match="not-found"):
        pb.links.get(slug)


def test_counts_clicks(pb: Payerbase) -> None:
    slug = fresh()
    pb.links.create("https://shop.example/", slug=slug)
    clicked = pb.links.record_click(slug, referrer="https://news.example/page", country="SE")
    assert (clicked.recorded, clicked.clicks) == (True, 1)
    # A program counts as a bot.
    assert pb.links.follow(slug) == "https://shop.example/"
    stats = pb.links.stats(slug, days=7)
    assert (stats.clicks, stats.bot_clicks, len(stats.daily)) == (1, 1, 7)
    assert stats.referrers[0].value == "news.example"
    assert stats.daily[-1].date <= datetime.now(timezone.utc).date()


def test_draws_a_qr_code(pb: Payerbase) -> None:
    slug = fresh()
    pb.links.create("https://shop.example/", slug=slug)
    assert "<svg" in pb.links.qr(slug)


def test_a_time_without_a_zone_is_refused(pb: Payerbase) -> None:
    with pytest.raises(ValueError, match="time zone"):
        pb.links.create("https://shop.example/", expires_at=datetime(2030, 1, 1))
