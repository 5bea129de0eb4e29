"""The description of an operation, and the request that it makes of parameters."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, Protocol, TypeAlias, TypeVar
from urllib.parse import quote

from typing_extensions import TypedDict

from payerbase import _json

T = TypeVar("T")


class Absent(enum.Enum):
    """The type of `ABSENT`."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT
"""The default of a parameter for which `None` means something, such as "remove the bound"."""


class Guard(Protocol):
    """A lock that is held: what `locks.acquire` and `locks.hold` return, or any object with these two attributes."""

    @property
    def name(self) -> str:
        """Name of the lock."""

    @property
    def fence(self) -> int:
        """Fence of the lease."""


class ReadOptions(TypedDict, total=False):
    """Options of every call."""

    timeout: float
    """Time limit of each step of one attempt, in seconds: connecting, sending, and each wait for a part of the answer.

    An attempt may take longer in all. The call's own `wait_ms` is added to the wait for the answer.
    """
    retries: int
    """Number of further attempts after the first one."""


class OnceOptions(ReadOptions, total=False):
    """Options of a write that shows a secret once, and so has no idempotency key."""

    guard: Guard | None
    """The write runs only while this lock is held with this fence; otherwise it fails with `stale-fence`."""


class WriteOptions(OnceOptions, total=False):
    """Options of a write."""

    idempotency_key: str | None
    """Key that makes the write safe to repeat, 8 to 128 characters of printable ASCII. Default: a random one.

    For 24 hours, the same write with the same key gets the first answer again and does not run again. `None`: no key,
    so the write is sent again only if it cannot have happened.
    """


class TransactedOptions(TypedDict, total=False):
    """Options of a call in a transaction."""

    guard: Guard | None
    """The transaction happens only if this lock is held with this fence."""


class Safety(enum.Enum):
    """Whether a call may be sent again when nobody knows what became of it."""

    READ = enum.auto()
    """It changes nothing."""
    KEYED = enum.auto()
    """Its idempotency key makes it happen once."""
    ONCE = enum.auto()
    """It may not."""


Answer: TypeAlias = Literal["json", "lines", "text", "bytes", "location"]


@dataclass(frozen=True, kw_only=True)
class Operation(Generic[T]):
    """An operation of the API. `T` is the type of its result."""

    id: str
    method: str
    path: str
    result: Any
    safety: Safety
    answer: Answer = "json"
    needs_token: bool = True
    takes_act_for: bool = True
    none_is_sent: frozenset[str] = frozenset()
    encoders: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)

    def members(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters with the names of the API, without absent ones."""
        given = {}
        for name, value in params.items():
            if value is ABSENT or (value is None and name not in self.none_is_sent):
                continue
            if value is not None and name in self.encoders:
                value = self.encoders[name](value)
            given[_json.camel(name)] = value
        return given


@dataclass(frozen=True)
class Request:
    """What is sent, without what each attempt adds."""

    method: str
    path: str
    query: dict[str, str]
    content: bytes | None
    content_type: str
    wait_ms: int


def request(operation: Operation[Any], params: Mapping[str, Any]) -> Request:
    """The request of a call."""
    members = operation.members(params)
    in_path = re.findall(r"{(\w+)}", operation.path)
    path = re.sub(r"{(\w+)}", lambda match: _segment(match[1], members.pop(match[1], "")), operation.path)
    wait_ms = members.get("waitMs") or 0
    if "file" in members:
        return Request(operation.method, path, {}, members["file"], "application/vnd.sqlite3", wait_ms)
    if operation.method in ("GET", "DELETE"):
        query = {name: _query_text(value) for name, value in members.items()}
        return Request(operation.method, path, query, None, "", wait_ms)
    has_body = bool(members) or not in_path
    content = _json.dumps(members) if has_body else None
    return Request(operation.method, path, {}, content, "application/json", wait_ms)


def guard_header(guard: Guard) -> str:
    """The value of `Payerbase-Guard`."""
    return f"{quote(guard.name, safe='')}; fence={guard.fence}"


def _segment(name: str, value: object) -> str:
    text = str(value)
    if text in ("", ".", ".."):
        raise ValueError(f"{name} cannot be {text!r}: a URL cannot carry it")
    return quote(text, safe="")


def _query_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
