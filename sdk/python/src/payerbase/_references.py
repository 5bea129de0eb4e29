"""References from one call of a transaction to the results of earlier ones."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from payerbase import _json, _operations
from payerbase._operation import Operation, Safety

T = TypeVar("T")
H = TypeVar("H", bound="Handle[Any]")

_WAITING = object()


class Ref:
    """Stands for a member of the result of an earlier call, in the parameters of a later call.

    Members and items of it are references too: `ref.name`, `ref["name of a payload"]`, `ref[0]`.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def __getattr__(self, name: str) -> Ref:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[_json.camel(name)]

    def __getitem__(self, key: str | int) -> Ref:
        if isinstance(key, str) and "." in key:
            raise ValueError(f"a reference cannot name a member with a dot: {key!r}")
        return Ref(f"{self._path}.{key}")

    def __repr__(self) -> str:
        return f"Ref({self._path!r})"

    def __bool__(self) -> NoReturn:
        raise TypeError("a reference has no value before the transaction: it can only be passed to later calls")

    if not TYPE_CHECKING:
        __add__ = __sub__ = __mul__ = __lt__ = __gt__ = __le__ = __ge__ = __int__ = __iter__ = __str__ = (
            lambda self, *_: bool(self)
        )


class Handle(Generic[T]):
    """A call of a transaction. Its members stand for those of its result, in later calls.

    `handle["result"]` is the member `result` of a job: `handle.result` is the result of the call.
    """

    def __init__(self, index: int, operation: Operation[Any]) -> None:
        self._index = index
        self._operation = operation
        self._result: Any = _WAITING

    @property
    def result(self) -> T:
        """The result of the call, after the block. Before, and if the transaction has failed: `RuntimeError`."""
        if self._result is _WAITING:
            raise RuntimeError("the result is there after the block of the transaction, if it has happened")
        result: T = self._result
        return result

    def __getitem__(self, name: str) -> Ref:
        """The reference to a member."""
        if name not in _member_names(self._operation.result):
            raise AttributeError(f"the result of {self._operation.id} has no member {name!r}")
        return Ref(f"{self._index}.{_json.camel(name)}")

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Ref:
            if name.startswith("_"):
                raise AttributeError(name)
            return self[name]


class Recorder:
    """Notes the calls of a transaction."""

    def __init__(self) -> None:
        self._calls: list[dict[str, Any]] = []
        self._handles: list[Handle[Any]] = []
        self._is_over = False

    @property
    def _operation(self) -> Operation[Any]:
        """The operation that sends the calls. One that shows a secret once makes it one that takes no key."""
        has_secret = any(handle._operation.safety is Safety.ONCE for handle in self._handles)
        safety = Safety.ONCE if has_secret else Safety.KEYED
        return dataclasses.replace(_operations.TRANSACT, safety=safety)

    def _add(
        self, kind: type[H], operation: Operation[Any], params: Mapping[str, Any], options: Mapping[str, Any]
    ) -> H:
        if self._is_over:
            raise RuntimeError("the block of the transaction has ended: this call would not be sent")
        call: dict[str, Any] = {"method": operation.id, "params": _sent(operation.members(params))}
        if (guard := options.get("guard")) is not None:
            call["guard"] = {"lock": guard.name, "fence": guard.fence}
        handle = kind(len(self._calls), operation)
        self._calls.append(call)
        self._handles.append(handle)
        return handle

    def _settle(self, results: list[Any]) -> None:
        for handle, result in zip(self._handles, results, strict=True):
            handle._result = _json.decoder(handle._operation.result)(result)


class TransactedGroup:
    """Calls of a transaction that belong together."""

    def __init__(self, recorder: Recorder) -> None:
        self._add = recorder._add


def _member_names(result: Any) -> set[str]:
    kinds = [kind for kind in typing.get_args(result) or [result] if dataclasses.is_dataclass(kind)]
    return {field.name for kind in kinds for field in dataclasses.fields(kind)}


def _sent(value: Any) -> Any:
    """A parameter with references, and with what only looks like one marked as literal."""
    if isinstance(value, Ref):
        return {"$ref": value._path}
    if isinstance(value, Handle):
        raise TypeError("pass a member of the handle, such as handle.value, not the handle")
    if isinstance(value, Mapping):
        if "$ref" in value or "$literal" in value:
            return {"$literal": value}
        return {name: _sent(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_sent(item) for item in value]
    return value
