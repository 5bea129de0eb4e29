"""What a client was made with, checked."""

from __future__ import annotations

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

    def check(self, *, has_http_client: bool) -> None:
        """Raises `ValueError` for what cannot work."""
        try:
            url = httpx.URL(self.url)
        except (httpx.InvalidURL, TypeError) as error:
            raise ValueError(f"url is not a URL: {self.url!r}") from error
        if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
            raise ValueError(f"url must be like https://payerbase.example, with a path at most: {self.url!r}")
        if self.token is not None and self.wallet is not None:
            raise ValueError("give a token or a wallet, not both")
        if self.token is None and self.wallet is None and not has_http_client:
            raise ValueError("a token is missing: give token=.., wallet=.., or http_client=.. that pays for calls")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and self.token.strip()):
            raise ValueError("token is empty, or has characters that a token cannot have")
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
        if "idempotency_key" in options or operation.safety is Safety.KEYED:
            headers["Idempotency-Key"] = options.get("idempotency_key") or str(uuid.uuid4())
        if "guard" in options:
            headers["Payerbase-Guard"] = guard_header(options["guard"])
        if operation.needs_token and self.act_for:
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
