"""Errors of calls."""

from __future__ import annotations

from typing import Any

from payerbase import _json
from payerbase.models import InvalidField, Problem, ProblemCode


class PayerbaseError(Exception):
    """A call failed. The base of all errors of this package; wrong arguments are `ValueError` and `TypeError`."""

    code: ProblemCode | str | None = None
    """Stable code of the problem, such as `lock-held`; `None` if the server did not answer with a problem."""
    status: int | None = None
    """HTTP status of the answer; `None` if there was none."""
    request_id: str | None = None
    """Id of the request, as in the log of the server."""
    attempts: int = 1
    """Number of attempts that were made."""

    def __init__(self, message: str, *, attempts: int = 1) -> None:
        super().__init__(message)
        self.attempts = attempts


class PayerbaseProblem(PayerbaseError):
    """The server refused the call. Branch on `code`."""

    code: ProblemCode | str
    status: int
    title: str
    """Summary of this kind of problem, the same for every occurrence."""
    detail: str
    """Explanation of this occurrence, or advice."""
    errors: list[InvalidField]
    """Invalid values of the request."""
    problem: Problem
    """The whole problem, with the members that its code brings: `value` for `counter-out-of-bounds`, and so on."""
    members: dict[str, Any]
    """The problem as it was received, also with members that this version of the client does not know."""
    # Whether the answer says that a payment was made: it is credit now.
    _is_paid: bool = False

    def __init__(self, members: dict[str, Any], *, request_id: str | None = None, attempts: int = 1) -> None:
        problem: Problem = _json.decoder(Problem)(members)
        super().__init__(f"{problem.code}: {problem.detail}", attempts=attempts)
        self.code, self.status = problem.code, problem.status
        self.title, self.detail = problem.title, problem.detail
        self.errors = problem.errors or []
        self.request_id = request_id or problem.instance
        self.problem, self.members = problem, members


class PayerbaseConnectionError(PayerbaseError):
    """No answer: no connection, a lost one, or a time limit. `__cause__` has the error of httpx.

    All attempts were made. A write may have happened: call again with an `idempotency_key` of your own if that matters.
    A client that pays each call may have paid it.
    """


class PayerbaseAnswerError(PayerbaseError):
    """An answer that is not payerbase's, such as a page of a proxy, or one that this version cannot read."""

    body: str
    """The beginning of the answer."""

    def __init__(
        self, message: str, *, status: int, body: str = "", request_id: str | None = None, attempts: int = 1
    ) -> None:
        super().__init__(message, attempts=attempts)
        self.status, self.body, self.request_id = status, body, request_id
