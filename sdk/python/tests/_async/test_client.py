from __future__ import annotations

import httpx
import pytest

from payerbase import AsyncPayerbase, PayerbaseProblem
from tests.support import Proxy, Server, fresh

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "url", ["", "payerbase.example", "ftp://payerbase.example", "http://", "http://x/?a=1", "http://u:p@x", None]
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="^url "):
        AsyncPayerbase(url, "token")


@pytest.mark.parametrize("token", ["", " ", "a\nb", "é", "token", "pb_a b", "pb_a\n", " pb_a"])
def test_a_token_that_is_none_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="token"):
        AsyncPayerbase("http://payerbase.example", token)


def test_a_token_may_be_one_of_dev() -> None:
    assert AsyncPayerbase("http://payerbase.example", "known-in-advance")


def test_a_token_must_be_given() -> None:
    with pytest.raises(ValueError, match="a token is missing"):
        AsyncPayerbase("http://payerbase.example")


async def test_unknown_parameters_are_refused(pb: AsyncPayerbase) -> None:
    with pytest.raises(TypeError, match="unknown parameters: ammount"):
        await pb.counters.increment(fresh(), ammount=5)  # type: ignore[call-arg]


async def test_a_wrong_token_is_a_problem(server: Server) -> None:
    async with AsyncPayerbase(server.url, "pb_live_wrong") as pb:
        with pytest.raises(PayerbaseProblem) as caught:
            await pb.counters.increment(fresh())
    assert caught.value.status == 401


async def test_a_url_may_have_a_path_and_requests_further_headers(proxy: Proxy, server: Server) -> None:
    async with AsyncPayerbase(f"{proxy.url}/some/path/", server.token, headers={"X-Test": "1"}) as pb:
        with pytest.raises(PayerbaseProblem, match="not-found"):
            await pb.counters.get("a/b é")
    assert proxy.seen[0].path == "/some/path/v1/counters/a%2Fb%20%C3%A9"
    assert proxy.seen[0].headers["X-Test"] == "1"
    assert proxy.seen[0].headers["User-Agent"].startswith("payerbase-python/")


async def test_an_http_client_may_be_given(server: Server) -> None:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {server.token}"}) as http:
        async with AsyncPayerbase(server.url, http_client=http) as pb:
            await pb.counters.increment(fresh())
        assert not http.is_closed
