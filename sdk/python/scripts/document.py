"""Reads the OpenAPI document into the operations that the client offers."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from names import BY_HAND, CHANGING_GETS, NAMES, PAYING, READS_WITH_BODY, SQL_PARAMS_DOC, Name

Schema = dict[str, Any]
JSON = "application/json"
PROBLEM = "application/problem+json"
ANSWERS = {"application/x-ndjson": "lines"}
REFERENCE = "ResultReference"


@dataclass(frozen=True)
class Parameter:
    """A parameter of an operation, in Python."""

    name: str
    wire: str
    place: str
    is_required: bool
    type: str
    doc: str
    # How the value becomes JSON: the name of a function of `payerbase._json`, or nothing if it is JSON already.
    encoder: str | None
    # Whether `None` is sent, because it does not mean "absent".
    sends_none: bool
    is_positional: bool
    in_transaction: bool
    takes_reference: bool


@dataclass(frozen=True)
class Operation:
    """An operation of the document."""

    id: str
    method: str
    path: str
    name: Name
    doc: str
    problems: list[tuple[str, str]]
    parameters: list[Parameter]
    result: str
    answer: str
    safety: str
    has_guard: bool
    needs_token: bool
    takes_act_for: bool
    is_list: bool
    can_be_transacted: bool


def snake(name: str) -> str:
    """`previousValue` -> `previous_value`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: "_" + match[1].lower(), name)


class Document:
    """The OpenAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self.schemas: dict[str, Schema] = document["components"]["schemas"]
        self._members = self._all_members()
        codes = [{code for code, _ in self._codes(raw)} for _, _, raw in self.raw()]
        counts = Counter(code for of_one in codes for code in of_one)
        self._shared_codes = {code for code, count in counts.items() if count > len(codes) / 3}

    def resolved(self, value: dict[str, Any]) -> dict[str, Any]:
        """The part of the document that a `$ref` stands for."""
        while "$ref" in value:
            part: Any = self._document
            for step in value["$ref"].removeprefix("#/").split("/"):
                part = part[step]
            value = part
        return value

    def operations(self) -> list[Operation]:
        """All operations but those that are written by hand."""
        found = {raw["operationId"]: self._operation(path, method, raw) for path, method, raw in self.raw()}
        known = set(NAMES) | BY_HAND
        if set(found) != known:
            raise SystemExit(f"scripts/names.py and the document differ: {sorted(set(found) ^ known)}")
        return [found[id] for id in NAMES]

    def by_hand(self) -> list[Operation]:
        """The operations that are written by hand."""
        return [self._operation(path, method, raw) for path, method, raw in self.raw() if raw["operationId"] in BY_HAND]

    def member_docs(self, schema: str) -> dict[str, str]:
        """The members of a schema, with their descriptions."""
        docs: dict[str, str] = {}
        for part in self.schemas[schema].get("allOf", [self.schemas[schema]]):
            if name := self.name_of(part):
                docs |= self.member_docs(name)
            docs |= {snake(name): self.text(description(member)) for name, member in part.get("properties", {}).items()}
        return docs

    def text(self, text: str) -> str:
        """A text of the document, in the names of Python."""

        def python(match: re.Match[str]) -> str:
            word = match[1]
            if word in NAMES:
                return f"`{NAMES[word].group}.{NAMES[word].method}`"
            if word == "null":
                return "`None`"
            if word in ("true", "false"):
                return f"`{word.title()}`"
            return re.sub(r"\b[a-z]+[A-Z]\w*", member, match[0])

        def member(match: re.Match[str]) -> str:
            is_member = match[0] in self._members and match[0] != "operationId"
            return snake(match[0]) if is_member else match[0]

        # Python always sends a body where there may be one.
        text = re.sub(
            r"\s*The\s+(request\s+)?body\s+is\s+optional\b[^.]*\.",
            "",
            text.replace("; without a body, the call adds 1", ""),
        )
        return re.sub(r"`([^`]+)`", python, text).strip()

    def name_of(self, schema: Schema) -> str | None:
        """The name of the schema that a `$ref` stands for."""
        reference = schema.get("$ref")
        # A schema may describe a member that is called `$ref`.
        return reference.rsplit("/", 1)[1] if isinstance(reference, str) else None

    def _all_members(self) -> set[str]:
        members = set()
        for schema in self.schemas.values():
            for part in schema.get("allOf", [schema]):
                members |= set(part.get("properties", {}))
        return members

    def raw(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Path, HTTP method and description of each operation."""
        for path, item in self._document["paths"].items():
            for method, raw in item.items():
                if method != "parameters":
                    yield path, method.upper(), raw

    def _codes(self, raw: dict[str, Any]) -> list[tuple[str, str]]:
        codes = []
        for response in map(self.resolved, raw["responses"].values()):
            if PROBLEM in response.get("content", {}):
                codes += re.findall(r"`([a-z-]+)`: (.*)", response["description"])
        return codes

    def _operation(self, path: str, method: str, raw: dict[str, Any]) -> Operation:
        id = raw["operationId"]
        headers, parameters = set(), []
        name = NAMES.get(id, Name("", ""))
        call = self._transacted(id)
        for parameter in map(self.resolved, raw.get("parameters", [])):
            if parameter["in"] == "header":
                headers.add(parameter["name"])
            else:
                parameters.append(self._parameter(parameter, name, call))
        parameters += self._body(raw, name, call)
        order = [parameter.name for parameter in parameters if parameter.place == "path"] + list(name.positional)
        parameters.sort(key=lambda each: order.index(each.name) if each.name in order else len(order))
        result, answer = self._result(raw)
        summary = raw.get("summary", "").rstrip(".") + "."
        return Operation(
            id=id,
            method=method,
            path=path,
            name=name,
            doc=self.text(f"{summary}\n\n{raw.get('description') or ''}"),
            problems=[(code, self.text(doc)) for code, doc in self._codes(raw) if code not in self._shared_codes],
            parameters=parameters,
            result=result,
            answer=answer,
            safety=_safety(id, method, headers),
            has_guard="Payerbase-Guard" in headers,
            needs_token=raw.get("security") != [{}],
            takes_act_for="Payerbase-Act-For" in headers,
            is_list=result.startswith("Page["),
            can_be_transacted=call is not None,
        )

    def _transacted(self, id: str) -> dict[str, Schema] | None:
        """The parameters of an operation in a transaction, `None` if it cannot be in one."""
        mapping = self.schemas["TransactedCall"]["discriminator"]["mapping"]
        if id not in mapping:
            return None
        params = self.resolved(self.resolved({"$ref": mapping[id]})["properties"]["params"])
        properties: dict[str, Schema] = params.get("properties", {})
        return properties

    def _parameter(self, raw: dict[str, Any], name: Name, call: dict[str, Schema] | None) -> Parameter:
        is_required = raw.get("required", False)
        return self._named(raw["name"], raw["schema"], raw.get("description", ""), raw["in"], is_required, name, call)

    def _body(self, raw: dict[str, Any], name: Name, call: dict[str, Schema] | None) -> list[Parameter]:
        content = raw.get("requestBody", {}).get("content", {})
        if not content:
            return []
        if JSON not in content:
            doc = "The file of SQLite, at most 16 MiB."
            return [Parameter("file", "file", "file", True, "bytes", doc, None, False, True, False, False)]
        body = self.resolved(content[JSON]["schema"])
        required = body.get("required", [])
        return [
            self._named(wire, schema, description(schema), "body", wire in required, name, call)
            for wire, schema in body.get("properties", {}).items()
        ]

    def _named(
        self,
        wire: str,
        schema: Schema,
        doc: str,
        place: str,
        is_required: bool,
        name: Name,
        call: dict[str, Schema] | None,
    ) -> Parameter:
        type, encoder = self._type(wire, schema)
        python = snake(wire)
        return Parameter(
            name=python,
            wire=wire,
            place=place,
            is_required=is_required,
            type=type,
            doc=SQL_PARAMS_DOC if type == "SqlParams" else self.text(doc),
            encoder=encoder,
            sends_none=python in name.none_is_sent or (is_required and type == "Any"),
            is_positional=place == "path" or python in name.positional,
            in_transaction=wire in (call or {}),
            takes_reference=self._takes_reference((call or {}).get(wire, {})),
        )

    def _takes_reference(self, schema: Schema) -> bool:
        if self.name_of(schema) == REFERENCE:
            return True
        return any(self._takes_reference(kind) for kind in schema.get("oneOf", []))

    def _type(self, wire: str, schema: Schema) -> tuple[str, str | None]:
        """The type of a parameter, and the function that makes JSON of it."""
        kinds = [kind for kind in schema.get("oneOf", [schema]) if kind.get("type") != "null"]
        name, schema = self.name_of(kinds[0]), self.resolved(kinds[0])
        if wire == "params":
            return "SqlParams", "sql_params"
        if "enum" in schema and name:
            return f"models.{name}", None
        if "properties" in schema:
            return f"inputs.{name}", "members"
        type = schema.get("type")
        type = next(kind for kind in type if kind != "null") if isinstance(type, list) else type
        if type == "array":
            item, encoder = self._type("", schema["items"])
            whole = {"inputs.SqlStatement": "sql_statements"}.get(item, "each_members" if encoder else None)
            return f"Sequence[{item}]", whole
        if schema.get("format") == "date-time":
            return "datetime", None
        scalars = {
            "string": "str",
            "integer": "int",
            "number": "float",
            "boolean": "bool",
            "object": "Mapping[str, Any]",
        }
        return scalars.get(type or "", "Any"), None

    def _result(self, raw: dict[str, Any]) -> tuple[str, str]:
        """The type of the result, and the form of the answer."""
        if "302" in raw["responses"]:
            return "str", "location"
        types, answer = [], "json"
        for status, response in raw["responses"].items():
            if not status.startswith("2"):
                continue
            content = self.resolved(response).get("content", {})
            if not content:
                types.append("None")
            for media, value in content.items():
                type = self._result_type(value["schema"])
                types += [type] if type not in types else []
                if media != JSON:
                    answer = ANSWERS.get(media) or ("bytes" if type == "bytes" else "text")
        return " | ".join(types), answer

    def _result_type(self, schema: Schema) -> str:
        name, schema = self.name_of(schema), self.resolved(schema)
        if name == "Lines":
            return "Page[dict[str, Any]]"
        if name and name.endswith("Page"):
            return f"Page[models.{name.removesuffix('Page')}]"
        if "properties" in schema or "allOf" in schema:
            return f"models.{name}"
        if schema.get("type") == "object":
            return "dict[str, Any]"
        return "bytes" if schema.get("format") == "binary" else "str"


def wrapped(text: str, indent: str = "", width: int = 120) -> str:
    """The paragraphs of a text in lines of at most this width."""
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]
    lines = [
        textwrap.fill(
            part, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        for part in paragraphs
    ]
    return "\n\n".join(lines)


def description(schema: Schema) -> str:
    """The description of a schema, also if it stands in its first kind."""
    kinds = [schema, *schema.get("oneOf", []), *schema.get("anyOf", [])]
    return next((kind["description"] for kind in kinds if "description" in kind), "")


def _safety(id: str, method: str, headers: set[str]) -> str:
    """Whether a lost answer may be asked for again."""
    if id in PAYING:
        return "ONCE"
    if "Idempotency-Key" in headers:
        return "KEYED"
    is_read = method == "GET" and id not in CHANGING_GETS
    return "READ" if is_read or id in READS_WITH_BODY else "ONCE"
