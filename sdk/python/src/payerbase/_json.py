"""From JSON to values of Python and back."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import re
import types
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import cache, partial
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

SqlValue: TypeAlias = int | float | str | bytes | None
"""A value of SQL. Texts that are not UTF-8 have lone surrogates (`errors="surrogateescape"`)."""

SqlParams: TypeAlias = Sequence[SqlValue] | Mapping[str, SqlValue]
"""Parameters of a statement: a sequence for `?`, a mapping for `:name`. `True` is 1, `False` is 0."""

Decoder: TypeAlias = Callable[[Any], Any]

_INTEGER_MAX = 2**53 - 1


def camel(name: str) -> str:
    """`previous_value` -> `previousValue`."""
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


def dumps(value: object) -> bytes:
    """Compact JSON in UTF-8. A time becomes a text."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_to_json)
    return text.encode()


def _to_json(value: object) -> object:
    if isinstance(value, datetime):
        return time_text(value)
    raise TypeError(f"not JSON: {type(value).__name__}")


def time_text(time: datetime) -> str:
    """A time as RFC 3339."""
    if time.tzinfo is None:
        raise ValueError("a time needs a time zone: datetime.now(timezone.utc), not datetime.now()")
    return time.isoformat()


def members(value: Mapping[str, Any]) -> dict[str, Any]:
    """An object of a request, with the names of the API."""
    return {camel(name): member for name, member in value.items()}


def each_members(values: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A list of objects of a request."""
    return [members(value) for value in values]


def sql_statements(statements: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Statements of SQL with their parameters."""
    return [
        {
            name: sql_params(member) if name == "params" and member is not None else member
            for name, member in each.items()
        }
        for each in statements
    ]


def sql_params(params: SqlParams) -> list[Any] | dict[str, Any]:
    """Parameters of SQL, as JSON."""
    if isinstance(params, (str, bytes)):
        raise TypeError("params of SQL are a sequence or a mapping, not one value")
    if isinstance(params, Mapping):
        return {name: _from_sql_value(value) for name, value in params.items()}
    return [_from_sql_value(value) for value in params]


def _from_sql_value(value: object) -> object:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) <= _INTEGER_MAX else {"$int": str(value)}
    if isinstance(value, float):
        if math.isnan(value):
            raise ValueError("SQLite has no NaN: send None")
        return value if math.isfinite(value) else {"$real": "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, str):
        raw = value.encode("utf-8", "surrogateescape")
        is_odd = "\0" in value or any("\udc80" <= letter <= "\udcff" for letter in value)
        return {"$text": base64.b64encode(raw).decode()} if is_odd else value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$blob": base64.b64encode(value).decode()}
    raise TypeError(f"not a value of SQL: {type(value).__name__}; send other JSON as a text, with json.dumps")


def _to_sql_value(value: Any) -> SqlValue:
    if not isinstance(value, dict):
        result: SqlValue = value
        return result
    [(kind, text)] = value.items()
    if kind == "$int":
        return int(text)
    if kind == "$real":
        return float(text)
    raw = base64.b64decode(text)
    return raw if kind == "$blob" else raw.decode("utf-8", "surrogateescape")


def _to_time(text: str) -> datetime:
    # Python 3.10 does not know `Z`.
    return datetime.fromisoformat(text.removesuffix("Z") + "+00:00" if text.endswith("Z") else text)


def _to_integer(value: Any) -> int:
    # The rowid of a row may be `{"$int": "9007199254740993"}`.
    return int(value["$int"] if isinstance(value, dict) else value)


def _same(value: Any) -> Any:
    return value


def _to_optional(decode: Decoder, value: Any) -> Any:
    return None if value is None else decode(value)


def _to_list(decode: Decoder, values: list[Any]) -> list[Any]:
    return [decode(value) for value in values]


def _to_dataclass(kind: Any, decoders: dict[str, tuple[str, Decoder]], value: dict[str, Any]) -> Any:
    # Members that this version does not know are left out.
    return kind(**{name: decode(value[wire]) for name, (wire, decode) in decoders.items() if wire in value})


_SCALARS: dict[Any, Decoder] = {
    Any: _same,
    str: _same,
    bool: _same,
    float: float,
    int: _to_integer,
    datetime: _to_time,
    date: date.fromisoformat,
    None: _same,
    type(None): _same,
}


@cache
def decoder(hint: Any) -> Decoder:
    """The function that makes a value of this type of JSON."""
    if hint == SqlValue:
        return _to_sql_value
    if hint in _SCALARS:
        return _SCALARS[hint]
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Literal, dict):
        return _same
    if origin is list:
        return partial(_to_list, decoder(args[0]))
    if origin in (Union, types.UnionType):
        # An open set of texts, `Literal["a", "b"] | str`, is a text.
        kinds = {decoder(kind) for kind in args if kind is not type(None)} - {_same}
        return partial(_to_optional, kinds.pop()) if kinds else _same
    kind = origin or hint
    hints, parameters = get_type_hints(kind), getattr(kind, "__parameters__", ())
    arguments = dict(zip(parameters, args, strict=True))
    decoders = {
        field.name: (camel(field.name), decoder(_filled(hints[field.name], arguments)))
        for field in dataclasses.fields(kind)
    }
    return partial(_to_dataclass, kind, decoders)


def _filled(hint: Any, arguments: dict[Any, Any]) -> Any:
    """`list[T]` -> `list[Counter]`."""
    needed = getattr(hint, "__parameters__", ())
    return hint[tuple(arguments[parameter] for parameter in needed)] if needed else hint
