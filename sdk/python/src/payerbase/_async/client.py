"""The client."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
from typing_extensions import Unpack

from payerbase._async.calls.account import AsyncAccount
from payerbase._async.calls.auth import AsyncAuth
from payerbase._async.calls.counters import AsyncCounters
from payerbase._async.calls.credit import AsyncCredit
from payerbase._async.calls.grants import AsyncGrants
from payerbase._async.calls.links import AsyncLinks
from payerbase._async.calls.memories import AsyncMemories
from payerbase._async.calls.payments import AsyncPayments
from payerbase._async.calls.server import AsyncServer
from payerbase._async.calls.sql import AsyncSql
from payerbase._async.calls.tokens import AsyncTokens
from payerbase._async.locks import AsyncLocks
from payerbase._async.queues import AsyncQueues
from payerbase._async.transaction import AsyncTransaction
from payerbase._async.transport import AsyncTransport
from payerbase._operation import WriteOptions
from payerbase._settings import TIMEOUT, TIMEOUT_WITH_PAYMENT, Settings, Wallet


class AsyncPayerbase:
    """A client of a payerbase server, for one caller.

    Keep one for the whole program: it keeps connections, until `close` or the end of its block
    (`async with AsyncPayerbase(url, token) as pb:`). Several tasks can use it at the same time.

    Args:
        url: URL of the server, `https://payerbase.example` for example. It may have a path.
        token: Token of the caller.
        wallet: Wallet that signs in at the first call, instead of a token: an account of `eth_account`, or any object
            with `address` and `sign_message(text)`. Its token is kept in memory and replaced before it ends.
        chain: CAIP-2 id of the network of the wallet.
        act_for: Address of another payer, on whose data all calls run. It must have granted them (`grants.create`).
        timeout: Time limit of each step of one attempt, in seconds, as httpx counts it: connecting, sending, and each
            wait for a part of the answer. An attempt may take longer in all. A call that waits (`wait_ms`) has that
            much longer for the answer. Default: 30, and 90 without `token` and `wallet`, for payments.
        retries: Number of further attempts after the first one, if that may help: after a lost connection, a time
            limit, 429, 503, or 502 and 504 without a problem. It is safe: each write has an idempotency key of its
            own, the same in all attempts. `tokens.create`, `tokens.rotate`, `auth.verify`, `credit.top_up` and
            `links.follow` are sent again only if they cannot have happened. Without `token` and `wallet`, this is so
            for all calls: each attempt may be paid.
        http_client: HTTP client of httpx to use, for example one that pays for calls. It is not closed with this
            client.
        headers: Further headers of all requests.
        sign_in_domain: Host (and port, if it has one) of the public URL of the server, if the client uses another URL.
            The wallet signs only messages for this domain; without it, only those for `url`.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        wallet: Wallet | None = None,
        chain: str = "eip155:8453",
        act_for: str | None = None,
        timeout: float | None = None,
        retries: int = 4,
        http_client: httpx.AsyncClient | None = None,
        headers: Mapping[str, str] | None = None,
        sign_in_domain: str | None = None,
    ) -> None:
        if timeout is None:
            timeout = TIMEOUT_WITH_PAYMENT if token is None and wallet is None else TIMEOUT
        settings = Settings(url, token, wallet, chain, act_for, timeout, retries, headers or {}, sign_in_domain)
        transport = self._transport = AsyncTransport(settings, http_client)
        self.counters = AsyncCounters(transport)
        self.links = AsyncLinks(transport)
        self.locks = AsyncLocks(transport)
        self.queues = AsyncQueues(transport)
        self.memories = AsyncMemories(transport)
        self.sql = AsyncSql(transport)
        self.account = AsyncAccount(transport)
        self.tokens = AsyncTokens(transport)
        self.grants = AsyncGrants(transport)
        self.credit = AsyncCredit(transport)
        self.payments = AsyncPayments(transport)
        self.auth = AsyncAuth(transport)
        self.server = AsyncServer(transport)

    def transact(self, **options: Unpack[WriteOptions]) -> AsyncTransaction:
        """Run up to 50 calls in one transaction: all of them happen, or none.

        In the block, calls of `t` only note what to do and return handles. At the end of the block they are sent. If an
        error leaves the block, nothing is sent. A member of a handle stands for a member of its result, and can be
        passed to later calls; `handle.result` has the result after the block.

            async with pb.transact() as t:
                credits = t.counters.decrement("credits", min=0, on_bound="reject")
                t.queues.push("mail", {"left": credits.value})
            print(credits.result.value)

        SQL runs before the other calls, so it cannot use their results. The total weight of the calls is at most 500:
        a simple call is 1, a batch 1 for each job, `queues.purge` and `queues.retry_dead` at least 100.

        Raises:
            PayerbaseProblem: The problem of the call at fault, with its `index` and `method` in `problem`. Nothing
                was changed.
        """
        return AsyncTransaction(self._transport, options)

    async def close(self) -> None:
        """End the workers, give back their jobs, and close the connections.

        It waits for workers that are about to end, and for their last requests, up to their `wait_ms`. To lose no
        attempt of a job, stop the workers first (`stop`).
        """
        await self._transport.close()

    async def __aenter__(self) -> AsyncPayerbase:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()
