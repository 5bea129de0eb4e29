# Made of `tests/_async/conftest.py` by `scripts/generate.py`: do not edit.

from __future__ import annotations

from collections.abc import Iterator

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
