import json
import os
import re
from datetime import datetime, timedelta
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from payerbase_testcontainers.server import PayerbaseError, PayerbaseServer, random_payer


@pytest.fixture
def server() -> PayerbaseServer:
    url = os.environ.get("PAYERBASE_URL")
    if not url:
        pytest.fail("PAYERBASE_URL is not set: it must be the URL of a running `payerbase dev`")
    return PayerbaseServer(url)


def call(server: PayerbaseServer, token: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    data = json.dumps(body or {}).encode() if method == "POST" else None
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        with urlopen(Request(server.url() + path, data, headers, method=method)) as response:
            return json.load(response)
    except HTTPError as error:
        return json.load(error)


def test_a_token_without_a_payer_is_of_a_new_payer(server: PayerbaseServer) -> None:
    for token in (server.token(), server.token()):
        assert re.fullmatch("pb_test_0x[0-9a-f]{40}", token)
        assert call(server, token, "POST", "/v1/counters/visits/increment")["value"] == 1


def test_reset_erases_the_data_of_one_payer(server: PayerbaseServer) -> None:
    kept, erased = random_payer(), random_payer()
    for payer in (kept, erased):
        call(server, server.token(payer), "POST", "/v1/counters/visits/increment")
    server.reset(erased)
    assert call(server, server.token(erased), "GET", "/v1/counters/visits")["code"] == "not-found"
    assert call(server, server.token(kept), "GET", "/v1/counters/visits")["value"] == 1


def test_the_clock_moves_forward(server: PayerbaseServer) -> None:
    day = timedelta(days=1)
    before = server.advance_clock(timedelta(seconds=1))
    assert server.advance_clock(day) - before >= day
    counter = call(server, server.token(), "POST", "/v1/counters/visits/increment")
    assert datetime.fromisoformat(counter["createdAt"].replace("Z", "+00:00")) - before >= day


def test_short_urls_have_the_public_url(server: PayerbaseServer) -> None:
    server.set_public_url("http://localhost:49153")
    link = call(server, server.token(), "POST", "/v1/links", {"url": "https://shop.example/sale"})
    assert link["shortUrl"].startswith("http://localhost:49153/")


def test_an_error_says_what_the_server_says(server: PayerbaseServer) -> None:
    with pytest.raises(PayerbaseError, match=r"^POST /dev/clock: 422 invalid-value: /advanceMs: must be "):
        server.advance_clock(timedelta(milliseconds=-1))
