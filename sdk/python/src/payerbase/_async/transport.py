"""Sends calls, again if that is safe and may help."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import httpx

from payerbase import _tasks
from payerbase._async.sign_in import AsyncSignIn
from payerbase._attempts import Attempts
from payerbase._operation import Operation, Safety
from payerbase._settings import Settings

T = TypeVar("T")


class AsyncClosable(Protocol):
    """Something that ends with the client."""

    async def close(self) -> None:
        """Ends it."""


class AsyncTransport:
    """Sends calls to one server for one caller."""

    def __init__(self, settings: Settings, http_client: httpx.AsyncClient | None) -> None:
        settings.check(has_http_client=http_client is not None)
        self._settings = settings
        self._http = http_client or httpx.AsyncClient()
        self._is_own = http_client is None
        self._sign_in = AsyncSignIn(settings, self.send) if settings.wallet else None
        self._left: set[_tasks.Background] = set()
        # Those that run.
        self.workers: set[AsyncClosable] = set()

    @property
    def pays(self) -> bool:
        """Whether each call may be paid."""
        return self._settings.pays

    async def send(self, operation: Operation[T], params: Mapping[str, Any], options: Mapping[str, Any]) -> T:
        """The result of a call. Raises `PayerbaseError`."""
        request = self._settings.request(self._http, operation, params, options)
        # Without a key a write may happen again, and without a token or a wallet each attempt may be paid.
        has_no_key = operation.safety is Safety.KEYED and options.get("idempotency_key", "") is None
        retries = options.get("retries", self._settings.retries)
        attempts = Attempts(operation, retries, is_once=has_no_key, may_pay=self.pays)
        signs_in = self._sign_in if operation.needs_token else None
        was_forgotten = False
        while True:
            if signs_in:
                token = await signs_in.token()
                request.headers["Authorization"] = f"Bearer {token}"
            attempts.made += 1
            try:
                response = await self._http.send(request, follow_redirects=False)
            except httpx.RequestError as error:
                await _tasks.sleep(attempts.lost(error))
                continue
            if response.is_success or (response.is_redirect and operation.answer == "location"):
                result: T = attempts.result(response)
                return result
            if signs_in and not was_forgotten and response.status_code == httpx.codes.UNAUTHORIZED:
                # The token was revoked, or the server has another clock. A new one is refused for another reason.
                signs_in.forget(token)
                was_forgotten = True
                continue
            await _tasks.sleep(attempts.refused(response))

    def leave(self, background: _tasks.Background) -> None:
        """Lets a request in the background end by itself, before the connections are closed."""
        self._left = {left for left in self._left if left.is_running}
        self._left.add(background)

    async def close(self) -> None:
        """Ends the workers, and closes the connections, if the HTTP client is not the user's own."""
        for worker in list(self.workers):
            await worker.close()
        for background in self._left:
            await background.join()
        if self._is_own:
            await self._http.aclose()
