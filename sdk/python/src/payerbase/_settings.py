"""What a client was made with, checked."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Protocol

import httpx

from payerbase._operation import Operation, Safety, WriteOptions, guard_header, request

USER_AGENT = f"payerbase-python/{version('payerbase')}"


class Wallet(Protocol):
    """A wallet that signs in: an account of `eth_account`, or any object with these two members."""

    @property
    def address(self) -> str:
        """Address of the wallet."""

    def sign_message(self, message: Any, /) -> Any:
        """The signature of a text: `bytes`, or hexadecimal digits. `AsyncPayerbase` may get a coroutine."""


# Time limits of one attempt, in seconds. Settling a payment may take a minute.
TIMEOUT = 30.0
TIMEOUT_WITH_PAYMENT = 90.0


@dataclass(frozen=True)
class Settings:
    """What a client was made with."""

    url: str
    token: str | None
    wallet: Wallet | None
    chain: str
    act_for: str | None
    timeout: float
    retries: int
    headers: Mapping[str, str]
    sign_in_domain: str | None = None

    @property
    def pays(self) -> bool:
        """Whether the HTTP client pays each call, so that sending a call again may pay again."""
        return self.token is None and self.wallet is None

    def check(self, *, has_http_client: bool) -> None:
        """Raises `ValueError` for what cannot work."""
        try:
            url = httpx.URL(self.url)
        except (httpx.InvalidURL, TypeError):
            raise ValueError("url is not a URL") from None
        if url.userinfo:
            raise ValueError("url must not have a user or a password: it is shown in errors")
        if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
            raise ValueError(f"url must be like https://payerbase.example, with a path at most: {self.url!r}")
        if self.token is not None and self.wallet is not None:
            raise ValueError("give a token or a wallet, not both")
        if self.token is None and self.wallet is None and not has_http_client:
            raise ValueError("a token is missing: give token=.., wallet=.., or http_client=.. that pays for calls")
        if self.token is not None and not re.fullmatch("[!-~]{8,}", self.token):
            raise ValueError("token is malformed: it must be the whole text, without spaces")
        if self.retries < 0 or self.timeout <= 0:
            raise ValueError("retries must be at least 0, and timeout more than 0")

    def request(
        self,
        http: httpx.Client | httpx.AsyncClient,
        operation: Operation[Any],
        params: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> httpx.Request:
        """The request of a call, the same for each attempt but for its token."""
        unknown = set(options) - WriteOptions.__annotations__.keys()
        if unknown:
            raise TypeError(f"unknown parameters: {', '.join(sorted(unknown))}")
        parts = request(operation, params)
        headers = {"User-Agent": USER_AGENT, **self.headers}
        if parts.content is not None:
            headers["Content-Type"] = parts.content_type
        default = str(uuid.uuid4()) if operation.safety is Safety.KEYED else None
        key = options.get("idempotency_key", default)
        if key == "":
            raise ValueError("idempotency_key is empty: leave it out for a random key, or give None for no key")
        if key is not None:
            headers["Idempotency-Key"] = key
        if options.get("guard") is not None:
            headers["Payerbase-Guard"] = guard_header(options["guard"])
        if operation.needs_token and operation.takes_act_for and self.act_for:
            headers["Payerbase-Act-For"] = self.act_for
        if operation.needs_token and self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        timeout = options.get("timeout", self.timeout)
        return http.build_request(
            operation.method,
            self.url.rstrip("/") + parts.path,
            params=parts.query or None,
            content=parts.content,
            headers=headers,
            timeout=httpx.Timeout(timeout, read=timeout + parts.wait_ms / 1000),
        )


def signable(wallet: Wallet, text: str) -> Any:
    """The text in the form that the wallet signs."""
    if type(wallet).__module__.startswith("eth_account."):
        from eth_account.messages import encode_defunct

        return encode_defunct(text=text)
    return text


def signature_text(signature: Any) -> str:
    """A signature in the form of the API: `0x` and hexadecimal digits, or as the wallet wrote it."""
    signature = getattr(signature, "signature", signature)
    return signature if isinstance(signature, str) else "0x" + bytes(signature).hex()
