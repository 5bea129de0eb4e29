"""Looks at the text of a sign-in before the wallet signs it."""

from __future__ import annotations

import re

import httpx

from payerbase.errors import PayerbaseError

# The message of EIP-4361, from its first to its last character.
_MESSAGE = re.compile(
    r"(?P<domain>\S+) wants you to sign in with your \w+ account:\n(?P<address>\S+)\n\n"
    r"(?:[^\n]*\n)?\n"
    r"URI: (?P<uri>\S+)\nVersion: 1\nChain ID: \S+\nNonce: (?P<nonce>\S+)\nIssued At: \S+"
    r"(?:\nExpiration Time: \S+)?(?:\nNot Before: \S+)?(?:\nRequest ID: \S*)?(?:\nResources:(?:\n- \S+)*)?"
)


def check_message(message: str, *, url: str, domain: str | None, address: str, nonce: str) -> None:
    """Raises `PayerbaseError` unless the text is a sign-in of this wallet at this server.

    A hostile server could otherwise pass on the text of another server, and get a token there.
    """
    found = _MESSAGE.fullmatch(message)
    if not found:
        raise PayerbaseError("the wallet did not sign in: the text of the server is not a sign-in message")
    own = httpx.URL(url)
    wanted = domain or own.netloc.decode()
    _compare("domain", found["domain"].lower(), wanted.lower())
    try:
        uri = httpx.URL(found["uri"])
    except httpx.InvalidURL as error:
        raise PayerbaseError("the wallet did not sign in: the URI of the message is not a URL") from error
    if domain:
        _compare("URI", uri.netloc.decode().lower(), wanted.lower())
    else:
        _compare("URI", _plain(uri), _plain(own))
    if address.lower().startswith("0x"):
        _compare("address", found["address"].lower(), address.lower())
    else:
        _compare("address", found["address"], address)
    _compare("nonce", found["nonce"], nonce)


def _plain(url: httpx.URL) -> str:
    return str(url).rstrip("/")


def _compare(what: str, found: str, wanted: str) -> None:
    if found != wanted:
        hint = "; if the server has another public URL, give sign_in_domain=.." if what in ("domain", "URI") else ""
        raise PayerbaseError(f"the wallet did not sign in: the {what} of the message is {found}, not {wanted}{hint}")
