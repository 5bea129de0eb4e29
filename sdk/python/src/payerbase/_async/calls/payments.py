"""The payments of the payer, on a server with prices.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from typing_extensions import Unpack

from payerbase import _operations, models
from payerbase._async.group import AsyncGroup
from payerbase._async.pages import AsyncPages
from payerbase._operation import ReadOptions


class AsyncPayments(AsyncGroup):
    """The payments of the payer, on a server with prices."""

    def list(
        self, *, limit: int | None = None, cursor: str | None = None, **options: Unpack[ReadOptions]
    ) -> AsyncPages[models.Payment]:
        """List payments.

        Newest first, with those that were rejected.

        Needs the scope `credit:read`.

        Args:
            limit: Maximum number of payments in the page, 1 to 1,000. Default: 100.
            cursor: `next_cursor` of the previous page. Default: the first page.
        """
        return self._pages(_operations.LIST_PAYMENTS, {"limit": limit, "cursor": cursor}, options)

    async def get(self, id: str, **options: Unpack[ReadOptions]) -> models.Payment:
        """Get a payment.

        Payments are never deleted.

        Needs the scope `credit:read`.

        Args:
            id: Id of the payment.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `not-found`: The resource or the path does not exist.
        """
        return await self._send(_operations.GET_PAYMENT, {"id": id}, options)
