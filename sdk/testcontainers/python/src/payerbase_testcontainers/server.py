"""The part that needs no container: a running `payerbase dev`."""

import json
import secrets
from datetime import datetime, timedelta
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen


class PayerbaseError(Exception):
    """The server refused a request. The text has the status, the code and the detail of the answer."""


def random_payer() -> str:
    """Return a random wallet address: `0x` and 40 hexadecimal digits."""
    return "0x" + secrets.token_hex(20)


class PayerbaseServer:
    """A running `payerbase dev` at a base URL such as `http://localhost:4402`."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def url(self) -> str:
        """Return the base URL, without a slash at the end."""
        return self._url

    def token(self, payer: str | None = None) -> str:
        """Return a bearer token of `payer`, a wallet address. Without `payer`: of a new random payer."""
        return f"pb_test_{payer or random_payer()}"

    def reset(self, payer: str) -> None:
        """Erase all data of `payer`, a wallet address."""
        self._send("DELETE", f"/dev/payers/{quote(payer, safe='')}")

    def advance_clock(self, duration: timedelta) -> datetime:
        """Move the clock of the server forward by whole milliseconds. Return the new time, in UTC."""
        answer = self._send("POST", "/dev/clock", {"advanceMs": duration // timedelta(milliseconds=1)})
        return datetime.fromisoformat(answer["now"].replace("Z", "+00:00"))

    def set_public_url(self, url: str) -> None:
        """Set the URL that the server writes into short URLs and sign-in messages. It cannot be changed later."""
        self._send("PUT", "/dev/public-url", {"url": url})

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urlopen(request, timeout=30) as response:
                text = response.read()
        except HTTPError as error:
            raise PayerbaseError(f"{method} {path}: {error.code} {_detail(error.read())}") from None
        return json.loads(text) if text else None


def _detail(text: bytes) -> str:
    """Code and detail of a problem (RFC 9457), or the text itself if it is not one."""
    try:
        problem = json.loads(text)
        return f"{problem['code']}: {problem.get('detail', problem['title'])}"
    except (ValueError, KeyError, TypeError):
        return text.decode(errors="replace")
