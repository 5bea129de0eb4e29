"""The server itself. These calls need no token.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from typing import Any

from typing_extensions import Unpack

from payerbase import _operations, models
from payerbase._async.group import AsyncGroup
from payerbase._operation import ReadOptions


class AsyncServer(AsyncGroup):
    """The server itself. These calls need no token."""

    async def health(self, **options: Unpack[ReadOptions]) -> models.Health:
        """Check that the process is alive.

        Does not use the database.
        """
        return await self._send(_operations.HEALTHZ, {}, options)

    async def ready(self, **options: Unpack[ReadOptions]) -> models.Health:
        """Check that the server can serve requests.

        The database answers and is migrated, and the server is not stopping. Load balancers take a server with status
        503 out of rotation.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `server-stopping`: The server is stopping.
        """
        return await self._send(_operations.READYZ, {}, options)

    async def metrics(self, **options: Unpack[ReadOptions]) -> str:
        """Get the metrics.

        OpenMetrics text for Prometheus. It contains no payer. A server with an admin port (`PAYERBASE_ADMIN_PORT`) has
        this page only there.
        """
        return await self._send(_operations.METRICS, {}, options)

    async def openapi(self, **options: Unpack[ReadOptions]) -> dict[str, Any]:
        """Get this document.

        The OpenAPI 3.1 document of the server that answers the request.
        """
        return await self._send(_operations.OPENAPI, {}, options)

    async def openapi_30(self, **options: Unpack[ReadOptions]) -> dict[str, Any]:
        """Get this document in OpenAPI 3.0.3.

        For generators that do not read OpenAPI 3.1. It has the same operations. Three things that stop such generators
        are left out: the answer 204 of `queues.pop`, the media type `application/vnd.sqlite3` of `sql.import_database`,
        and the discriminator of `TransactedCall`.
        """
        return await self._send(_operations.OPENAPI30, {}, options)

    async def problems(self, **options: Unpack[ReadOptions]) -> str:
        """Get the catalogue of problems.

        The `type` of every problem links to its section. A browser (`Accept: text/html`) gets the same text as HTML.
        """
        return await self._send(_operations.PROBLEMS, {}, options)

    async def paid_routes(self, **options: Unpack[ReadOptions]) -> models.PaidRoutes:
        """List the routes that cost something.

        For callers who pay each call with x402, version 2: a request without a token and without a payment is answered
        with 402 and the header `PAYMENT-REQUIRED`. Official clients sign one of its offers and send the request again
        with `PAYMENT-SIGNATURE`; the answer has `PAYMENT-RESPONSE`. The part of a payment above the price becomes
        credit of its payer.
        """
        return await self._send(_operations.LIST_PAID_ROUTES, {}, options)
