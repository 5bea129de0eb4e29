"""The credit of the payer and its ledger, on a server with prices.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from typing_extensions import Unpack

from payerbase import _operations, models
from payerbase._async.group import AsyncGroup
from payerbase._async.pages import AsyncPages
from payerbase._operation import OnceOptions, ReadOptions


class AsyncCredit(AsyncGroup):
    """The credit of the payer and its ledger, on a server with prices."""

    async def get(self, **options: Unpack[ReadOptions]) -> models.Credit:
        """Get the credit.

        On a server with prices, each call is paid from the credit of its payer; a call that fails costs nothing. Each
        operation has a price tier, `x-price-tier` in this document: `free`, `read`, `write`, or `ai` for calls whose
        texts a model may embed. A transaction costs as much as its calls.

        Needs the scope `credit:read`.
        """
        return await self._send(_operations.GET_CREDIT, {}, options)

    async def top_up(self, amount: int, **options: Unpack[OnceOptions]) -> models.Credit:
        """Top up the credit.

        For callers who pay with x402: the request is answered with 402, whose offers ask for `amount` in the smallest
        unit of each asset, but at least the smallest payment of the server. The number is the same in each asset, and
        its worth is not: choose the offer by its asset. It is in the path because the offers are made before the body
        is read. The payment becomes credit of its payer, who spends it with a token. The default limit of official
        clients is one dollar, which is 1,000,000 of USDC. On a server whose calls are free, it is `not-found`.

        Args:
            amount: Amount to pay, in the smallest unit of the asset.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `not-found`: The resource or the path does not exist.
        """
        return await self._send(_operations.TOP_UP, {"amount": amount}, options)

    def ledger(
        self, *, limit: int | None = None, cursor: str | None = None, **options: Unpack[ReadOptions]
    ) -> AsyncPages[models.LedgerEntry]:
        """List the ledger.

        Newest first: what was added to the credit, and what calls have spent. Calls are booked together: one entry for
        each asset, about every 1 hour. Entries are never changed or deleted.

        Needs the scope `credit:read`.

        Args:
            limit: Maximum number of entries in the page, 1 to 1,000. Default: 100.
            cursor: `next_cursor` of the previous page. Default: the first page.
        """
        return self._pages(_operations.LIST_LEDGER, {"limit": limit, "cursor": cursor}, options)
