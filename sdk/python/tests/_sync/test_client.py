# Made of `tests/_async/test_client.py` by `scripts/generate.py`: do not edit.

from __future__ import annotations

import httpx
import pytest

from payerbase import Payerbase, PayerbaseProblem
from tests.support import Proxy, Server, fresh


@pytest.mark.parametrize(
    "url", ["", "payerbase.example", "ftp://payerbase.example", "http://", "http://x/?a=1", "http://u:p@x", None]
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="^url "):
        Payerbase(url, "token")


@pytest.mark.parametrize("token", ["", " ", "a\nb", "é", "token", "pb_a b", "pb_a\n", " pb_a"])
def test_a_token_that_is_none_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="token"):
        Payerbase("http://payerbase.example", token)


def test_a_token_may_be_one_of_dev() -> None:
    assert Payerbase("http://payerbase.example", "known-in-advance")


def test_a_token_must_be_given() -> None:
    with pytest.raises(ValueError, match="a token is missing"):
        Payerbase("http://payerbase.example")


def test_unknown_parameters_are_refused(pb: Payerbase) -> None:
    with pytest.raises(TypeError, match="unknown parameters: ammount"):
        pb.counters.increment(fresh(), ammount=5)  # type: ignore[call-arg]


def test_a_wrong_token_is_a_problem(server: Server) -> None:
    with Payerbase(server.url, "pb_live_wrong") as pb:
        with pytest.raises(PayerbaseProblem) as caught:
            pb.counters.increment(fresh())
    assert caught.value.status == 401


def test_a_url_may_have_a_path_and_requests_further_headers(proxy: Proxy, server: Server) -> None:
    with Payerbase(f"{proxy.url}/some/path/", server.token, headers={"X-Test": "1"}) as pb:
        with pytest.raises(PayerbaseProblem, match="not-found"):
            pb.counters.get("a/b é")
    assert proxy.seen[0].path == "/some/path/v1/counters/a%2Fb%20%C3%A9"
    assert proxy.seen[0].headers["X-Test"] == "1"
    assert proxy.seen[0].headers["User-Agent"].startswith("payerbase-python/")


def test_an_http_client_may_be_given(server: Server) -> None:
    with httpx.Client(headers={"Authorization": f"Bearer {server.token}"}) as http:
        with Payerbase(server.url, http_client=http) as pb:
            pb.counters.increment(fresh())
        assert not http.is_closed
