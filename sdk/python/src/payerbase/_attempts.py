"""The attempts of one call: what an answer means, and how long to wait for the next attempt."""

from __future__ import annotations

import base64
import email.utils
import json
import random
import time
from typing import Any

import httpx

from payerbase import _json, _page
from payerbase._operation import Operation, Safety
from payerbase.errors import PayerbaseAnswerError, PayerbaseConnectionError, PayerbaseError, PayerbaseProblem

BACKOFF_SECONDS = 0.5
BACKOFF_SECONDS_MAX = 8.0
# A server that asks to wait for longer gets no further attempt.
RETRY_AFTER_SECONDS_MAX = 60.0
BODY_SHOWN = 200

# The request was not sent, so nothing can have happened.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
# A further attempt would fail in the same way.
_HOPELESS = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)


def backoff(attempt: int, longest: float = BACKOFF_SECONDS_MAX) -> float:
    """A random time in seconds before the next attempt ("full jitter")."""
    return random.uniform(0, min(longest, BACKOFF_SECONDS * 2 ** min(attempt - 1, 30)))


def may_have_paid(error: PayerbaseError) -> bool:
    """Whether a failed call may have been paid by a client that pays each call: to send it again may pay again."""
    if isinstance(error, PayerbaseConnectionError):
        return not isinstance(error.__cause__, _NOT_SENT)
    if isinstance(error, PayerbaseProblem):
        is_unknown = error.status >= 500 and error.status != httpx.codes.SERVICE_UNAVAILABLE
        return is_unknown or error.code == "outcome-unknown" or error._is_paid
    return isinstance(error, PayerbaseAnswerError)


class Attempts:
    """The attempts of one call."""

    def __init__(
        self, operation: Operation[Any], retries: int, *, is_once: bool = False, may_pay: bool = False
    ) -> None:
        self._operation = operation
        self._is_once = is_once or may_pay or operation.safety is Safety.ONCE
        self._may_pay = may_pay
        self._left = retries
        self.made = 0

    def lost(self, error: httpx.RequestError) -> float:
        """Time to wait in seconds after an attempt without an answer. Raises if there is no further one."""
        is_safe = not self._is_once or isinstance(error, _NOT_SENT)
        if self._left > 0 and is_safe and not isinstance(error, _HOPELESS):
            return self._next()
        request, text = error.request, str(error) or type(error).__name__
        message = f"no answer to {request.method} {request.url.copy_with(query=None)}: {text}"
        if self._may_pay and not isinstance(error, _NOT_SENT):
            message += "; the call may have been paid"
        raise PayerbaseConnectionError(message, attempts=self.made) from error

    def refused(self, response: httpx.Response) -> float:
        """Time to wait in seconds after an answer that is an error. Raises if there is no further attempt."""
        error = self.error(response)
        asked = _retry_after(response)
        if self._left > 0 and self._may_repeat(error) and asked <= RETRY_AFTER_SECONDS_MAX:
            return asked + self._next()
        raise error

    def error(self, response: httpx.Response) -> PayerbaseError:
        """The error that an answer is."""
        request_id = response.headers.get("X-Request-Id")
        try:
            problem = PayerbaseProblem(response.json(), request_id=request_id, attempts=self.made)
            problem._is_paid = _is_paid(response)
            return problem
        except (ValueError, TypeError, AttributeError):
            media = response.headers.get("Content-Type", "no media type")
            message = f"HTTP {response.status_code} without a problem ({media}): is the URL that of payerbase?"
            return self._answer_error(message, response)

    def result(self, response: httpx.Response) -> Any:
        """The result of the call."""
        kind = self._operation.answer
        if kind == "location":
            if "Location" not in response.headers:
                raise self._answer_error(f"an answer to {self._operation.id} without Location", response)
            return response.headers["Location"]
        if kind in ("text", "bytes"):
            return response.text if kind == "text" else response.content
        if response.status_code == httpx.codes.NO_CONTENT:
            return None
        try:
            if kind == "lines":
                return _page.of_lines(response.content)
            return _json.decoder(self._operation.result)(response.json())
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            message = f"an answer to {self._operation.id} that this version of the client cannot read: {error}"
            raise self._answer_error(message, response) from error

    def _answer_error(self, message: str, response: httpx.Response) -> PayerbaseAnswerError:
        return PayerbaseAnswerError(
            message,
            status=response.status_code,
            body=response.text[:BODY_SHOWN],
            request_id=response.headers.get("X-Request-Id"),
            attempts=self.made,
        )

    def _next(self) -> float:
        self._left -= 1
        return backoff(self.made)

    def _may_repeat(self, error: PayerbaseError) -> bool:
        is_problem = isinstance(error, PayerbaseProblem)
        if self._is_once and isinstance(error, PayerbaseProblem) and error._is_paid:
            return False
        if error.status == httpx.codes.TOO_MANY_REQUESTS:
            return is_problem or not self._is_once
        if error.status == httpx.codes.SERVICE_UNAVAILABLE and is_problem and error.code != "outcome-unknown":
            return True
        # Nobody knows whether the server has seen the call.
        is_unknown = error.status == httpx.codes.SERVICE_UNAVAILABLE or (not is_problem and error.status in (502, 504))
        return is_unknown and not self._is_once


def _retry_after(response: httpx.Response) -> float:
    """`Retry-After` in seconds, 0 if it is absent."""
    text = response.headers.get("Retry-After", "0")
    try:
        return max(0.0, float(text))
    except ValueError:
        when = email.utils.parsedate_tz(text)
        return max(0.0, email.utils.mktime_tz(when) - time.time()) if when else 0.0


def _is_paid(response: httpx.Response) -> bool:
    """Whether an answer says that a payment was made."""
    try:
        return json.loads(base64.b64decode(response.headers.get("PAYMENT-RESPONSE", "")))["success"] is True
    except (ValueError, KeyError, TypeError):
        return False
