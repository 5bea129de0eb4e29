from __future__ import annotations

from collections.abc import AsyncIterator

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
