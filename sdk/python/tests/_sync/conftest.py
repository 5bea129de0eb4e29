# Made of `tests/_async/conftest.py` by `scripts/generate.py`: do not edit.

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from payerbase import Payerbase
from tests.support import Proxy, Server


@pytest.fixture
def pb(server: Server) -> Iterator[Payerbase]:
    with Payerbase(server.url, server.token) as client:
        yield client


@pytest.fixture
def pb_behind_proxy(server: Server, proxy: Proxy) -> Iterator[Payerbase]:
    with Payerbase(proxy.url, server.token) as client:
        yield client


@pytest.fixture
def paying_pb(server: Server, proxy: Proxy) -> Iterator[Payerbase]:
    """A client that pays each call, as far as it can see: its HTTP client sends a token."""
    with (
        httpx.Client(headers={"Authorization": f"Bearer {server.token}"}) as http,
        Payerbase(proxy.url, http_client=http) as client,
    ):
        yield client
