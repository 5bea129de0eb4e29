from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from payerbase import AsyncPayerbase
from tests.support import Proxy, Server


@pytest.fixture
async def pb(server: Server) -> AsyncIterator[AsyncPayerbase]:
    async with AsyncPayerbase(server.url, server.token) as client:
        yield client


@pytest.fixture
async def pb_behind_proxy(server: Server, proxy: Proxy) -> AsyncIterator[AsyncPayerbase]:
    async with AsyncPayerbase(proxy.url, server.token) as client:
        yield client


@pytest.fixture
async def paying_pb(server: Server, proxy: Proxy) -> AsyncIterator[AsyncPayerbase]:
    """A client that pays each call, as far as it can see: its HTTP client sends a token."""
    async with (
        httpx.AsyncClient(headers={"Authorization": f"Bearer {server.token}"}) as http,
        AsyncPayerbase(proxy.url, http_client=http) as client,
    ):
        yield client
