"""Sends calls, again if that is safe and may help.

Made of `src/payerbase/_async/transport.py` by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import httpx

from payerbase import _threads
from payerbase._attempts import Attempts
from payerbase._operation import Operation, Safety
from payerbase._settings import Settings
from payerbase._sync.sign_in import SignIn

T = TypeVar("T")


class Closable(Protocol):
    """Something that ends with the client."""

    def close(self) -> None:
        """Ends it."""


class Transport:
    """Sends calls to one server for one caller."""

    def __init__(self, settings: Settings, http_client: httpx.Client | None) -> None:
        settings.check(has_http_client=http_client is not None)
        self._settings = settings
        self._http = http_client or httpx.Client()
        self._is_own = http_client is None
        self._sign_in = SignIn(settings, self.send) if settings.wallet else None
        self._left: set[_threads.Background] = set()
        # Those that run.
        self.workers: set[Closable] = set()

    @property
    def pays(self) -> bool:
        """Whether each call may be paid."""
        return self._settings.pays

    def send(self, operation: Operation[T], params: Mapping[str, Any], options: Mapping[str, Any]) -> T:
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
                token = signs_in.token()
                request.headers["Authorization"] = f"Bearer {token}"
            attempts.made += 1
            try:
                response = self._http.send(request, follow_redirects=False)
            except httpx.RequestError as error:
                _threads.sleep(attempts.lost(error))
                continue
            if response.is_success or (response.is_redirect and operation.answer == "location"):
                result: T = attempts.result(response)
                return result
            if signs_in and not was_forgotten and response.status_code == httpx.codes.UNAUTHORIZED:
                # The token was revoked, or the server has another clock. A new one is refused for another reason.
                signs_in.forget(token)
                was_forgotten = True
                continue
            _threads.sleep(attempts.refused(response))

    def leave(self, background: _threads.Background) -> None:
        """Lets a request in the background end by itself, before the connections are closed."""
        self._left = {left for left in self._left if left.is_running}
        self._left.add(background)

    def close(self) -> None:
        """Ends the workers, and closes the connections, if the HTTP client is not the user's own."""
        for worker in list(self.workers):
            worker.close()
        for background in self._left:
            background.join()
        if self._is_own:
            self._http.close()
