"""Signs in with a wallet, and keeps the token.

Made of `src/payerbase/_async/sign_in.py` by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from payerbase import _operations, _threads
from payerbase._challenge import check_message
from payerbase._settings import Settings, signable, signature_text

# A token is replaced this long before its end.
MARGIN = timedelta(minutes=1)


class SignIn:
    """Signs in with the wallet of the client when a token is needed."""

    def __init__(self, settings: Settings, send: Callable[..., Any]) -> None:
        self._settings = settings
        self._send = send
        self._lock = _threads.Lock()
        self._token = ""
        self._ends = datetime.min.replace(tzinfo=timezone.utc)

    def token(self) -> str:
        """A token that is still valid for a while."""
        with self._lock:
            if datetime.now(timezone.utc) >= self._ends:
                self._sign_in()
            return self._token

    def forget(self, token: str) -> None:
        """Signs in again before the next call, unless the refused token was replaced in the meantime."""
        if token == self._token:
            self._ends = datetime.min.replace(tzinfo=timezone.utc)

    def _sign_in(self) -> None:
        wallet = self._settings.wallet
        assert wallet
        wanted = {"address": wallet.address, "chain": self._settings.chain}
        challenge = self._send(_operations.CREATE_CHALLENGE, wanted, {})
        check_message(
            challenge.message,
            url=self._settings.url,
            domain=self._settings.sign_in_domain,
            address=wallet.address,
            nonce=challenge.nonce,
        )
        signature = wallet.sign_message(signable(wallet, challenge.message))
        if inspect.isawaitable(signature):
            signature = signature
        proof = {"nonce": challenge.nonce, "signature": signature_text(signature)}
        signed_in = self._send(_operations.VERIFY_CHALLENGE, proof, {})
        self._token = signed_in.token
        # By the clock of the server, so that a wrong clock here does not matter.
        lifetime = signed_in.expires_at - challenge.expires_at + timedelta(minutes=5)
        self._ends = datetime.now(timezone.utc) + lifetime - min(MARGIN, lifetime / 2)
