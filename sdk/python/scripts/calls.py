"""Writes the methods of the client, in three forms: for asyncio, for threads, and for transactions."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from document import Document, Operation, Parameter, wrapped
from names import BY_HAND, GROUPS

NOTE = "Generated from the OpenAPI document by `scripts/generate.py`: do not edit."
# Their classes get methods by hand.
EXTENDED = {"locks": "LockCalls", "queues": "QueueCalls"}

IMPORTS = """
from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from typing_extensions import Unpack

from payerbase import _operations, inputs, models
"""


def files(document: Document) -> dict[str, str]:
    """The generated files with operations, by their path in the package. The form for threads is made of `_async`."""
    operations = document.operations()
    written = {
        "_operations.py": _operations(document, operations),
        "_transacted/handles.py": _handles(document, operations),
    }
    for group in GROUPS:
        members = [operation for operation in operations if operation.name.group == group]
        written[f"_async/calls/{group}.py"] = _group(group, members)
        if any(operation.can_be_transacted for operation in members):
            written[f"_transacted/{group}.py"] = _transacted_group(group, members)
    written["_transacted/__init__.py"] = _transaction(operations)
    return written


def _constant(operation: Operation | str) -> str:
    id = operation if isinstance(operation, str) else operation.id
    return "".join("_" + letter if letter.isupper() else letter.upper() for letter in id).lstrip("_")


def _operations(document: Document, operations: list[Operation]) -> str:
    lines = [
        f'"""The operations of the API.\n\n{NOTE}\n"""',
        "from __future__ import annotations",
        "from typing import Any",
    ]
    lines += ["from payerbase import _json, models", "from payerbase._operation import Operation, Safety"]
    lines.append("from payerbase._page import Page")
    for operation in [*operations, *document.by_hand()]:
        parts = [f'id="{operation.id}"', f'method="{operation.method}"', f'path="{operation.path}"']
        parts += [f"result={operation.result}", f"safety=Safety.{operation.safety}"]
        if operation.answer != "json":
            parts.append(f'answer="{operation.answer}"')
        if not operation.needs_token:
            parts.append("needs_token=False")
        if operation.needs_token and not operation.takes_act_for:
            parts.append("takes_act_for=False")
        kept = [f'"{each.name}"' for each in operation.parameters if each.sends_none]
        if kept:
            parts.append(f"none_is_sent=frozenset({{{', '.join(kept)}}})")
        encoders = [f'"{each.name}": _json.{each.encoder}' for each in operation.parameters if each.encoder]
        if encoders and operation.id not in BY_HAND:
            parts.append(f"encoders={{{', '.join(encoders)}}}")
        lines.append(f"{_constant(operation)}: Operation[{operation.result}] = Operation({', '.join(parts)})")
    return "\n".join(lines) + "\n"


def _group(group: str, operations: list[Operation]) -> str:
    name = "Async" + EXTENDED.get(group, group.title())
    lines = [f'"""{GROUPS[group]}\n\n{NOTE}\n"""', IMPORTS]
    lines.append("from payerbase._async.group import AsyncGroup")
    lines.append("from payerbase._async.pages import AsyncPages")
    lines.append("from payerbase._json import SqlParams")
    lines.append("from payerbase._operation import ABSENT, Absent, OnceOptions, ReadOptions, WriteOptions")
    lines.append(f'\n\nclass {name}(AsyncGroup):\n    """{GROUPS[group]}"""\n')
    for operation in operations:
        options = {"KEYED": "Write", "READ": "Read"}.get(operation.safety) or (
            "Once" if operation.has_guard else "Read"
        )
        signature = _signature(operation.parameters, f"{options}Options", with_references=False)
        call = f"(_operations.{_constant(operation)}, {_given(operation.parameters)}, options)"
        if operation.is_list:
            result = operation.result.replace("Page[", "AsyncPages[")
            lines.append(f"    def {operation.name.method}({signature}) -> {result}:")
            body = f"return self._pages{call}"
        else:
            lines.append(f"    async def {operation.name.method}({signature}) -> {operation.result}:")
            body = f"return await self._send{call}" if operation.result != "None" else f"await self._send{call}"
        lines += [_docstring(operation), f"        {body}\n"]
    return "\n".join(lines)


def _transacted_group(group: str, operations: list[Operation]) -> str:
    lines = [f'"""{GROUPS[group]} In a transaction.\n\n{NOTE}\n"""', IMPORTS]
    lines.append("from payerbase._json import SqlParams")
    lines.append("from payerbase._operation import ABSENT, Absent, TransactedOptions")
    lines.append("from payerbase._references import Handle, Ref, TransactedGroup")
    lines.append("from payerbase._transacted import handles")
    lines.append(f'\n\nclass {group.title()}(TransactedGroup):\n    """{GROUPS[group]} In a transaction."""\n')
    for operation in (operation for operation in operations if operation.can_be_transacted):
        parameters = [parameter for parameter in operation.parameters if parameter.in_transaction]
        signature = _signature(parameters, "TransactedOptions", with_references=True)
        handle = _handle_name(operation.result)
        given = f"_operations.{_constant(operation)}, {_given(parameters)}, options"
        kind = "Handle[None]" if handle == "Handle" else f"handles.{handle}"
        summary = operation.doc.partition("\n")[0]
        lines.append(f"    def {operation.name.method}({signature}) -> {kind}:")
        lines.append(f'        """{summary} `{group}.{operation.name.method}` of the client describes it."""')
        lines.append(f"        return self._add({kind}, {given})\n")
    return "\n".join(lines)


def _transaction(operations: list[Operation]) -> str:
    groups = [group for group in GROUPS if any(o.can_be_transacted and o.name.group == group for o in operations)]
    lines = [f'"""The calls that a transaction may contain.\n\n{NOTE}\n"""', "from __future__ import annotations"]
    lines.append("from payerbase._references import Recorder")
    lines += [f"from payerbase._transacted.{group} import {group.title()}" for group in groups]
    lines.append(
        '\n\nclass TransactedCalls(Recorder):\n    """The calls that a transaction may contain, by group."""\n'
    )
    lines.append("    def __init__(self) -> None:\n        super().__init__()")
    lines += [f"        self.{group} = {group.title()}(self)" for group in groups]
    return "\n".join(lines) + "\n"


def _handles(document: Document, operations: list[Operation]) -> str:
    lines = [f'"""Handles of calls in a transaction, with the members of their results.\n\n{NOTE}\n"""']
    lines += ["from __future__ import annotations", "from payerbase import models"]
    lines.append("from payerbase._references import Handle, Ref")
    results = sorted({operation.result for operation in operations if operation.can_be_transacted} - {"None"})
    for result in results:
        model = result.removesuffix(" | None").removeprefix("models.")
        lines.append(
            f'\n\nclass {_handle_name(result)}(Handle[{result}]):\n    """A call with the result `{model}`."""\n'
        )
        # `result` is the result of the call.
        for name, doc in document.member_docs(model).items():
            if name != "result":
                lines += [f"    {name}: Ref", f"    {_quoted(doc, 4)}"]
    return "\n".join(lines) + "\n"


def _handle_name(result: str) -> str:
    model = result.removesuffix(" | None").removeprefix("models.")
    return "Handle" if model == "None" else f"{model}Handle"


def _signature(parameters: list[Parameter], options: str, *, with_references: bool) -> str:
    positional = [parameter for parameter in parameters if parameter.is_positional]
    named = sorted((p for p in parameters if not p.is_positional), key=lambda parameter: not parameter.is_required)
    parts = ["self", *(_declared(parameter, with_references) for parameter in positional)]
    if named:
        parts += ["*", *(_declared(parameter, with_references) for parameter in named)]
    return ", ".join([*parts, f"**options: Unpack[{options}]"])


def _declared(parameter: Parameter, with_references: bool) -> str:
    type = f"{parameter.type} | Ref" if with_references and parameter.takes_reference else parameter.type
    if parameter.is_required:
        return f"{parameter.name}: {type}"
    if parameter.sends_none:
        return f"{parameter.name}: {type} | Absent | None = ABSENT"
    return f"{parameter.name}: {type} | None = None"


def _given(parameters: Iterable[Parameter]) -> str:
    """The parameters as a dictionary."""
    items = [f'"{parameter.name}": {parameter.name}' for parameter in parameters]
    return f"{{{', '.join(items)}}}"


def _docstring(operation: Operation) -> str:
    parts = [wrapped(operation.doc, " " * 8)]
    if operation.parameters:
        ordered = sorted(operation.parameters, key=lambda each: (not each.is_positional, not each.is_required))
        parts.append("        Args:\n" + "\n".join(_item(each.name, each.doc) for each in ordered))
    if operation.problems:
        parts.append(
            "        Raises:\n            PayerbaseProblem: Besides the problems of all calls:\n"
            + "\n".join(_item(f"`{code}`", doc, 16) for code, doc in operation.problems)
        )
    text = "\n\n".join(parts).strip()
    end = "\n        " if "\n" in text else ""
    return f'        """{text}{end}"""'


def _item(name: str, doc: str, indent: int = 12) -> str:
    spaces = " " * indent
    text = f"{name}: {' '.join(doc.split())}"
    return textwrap.fill(text, 120, initial_indent=spaces, subsequent_indent=spaces + "    ", break_long_words=False)


def _quoted(doc: str, indent: int) -> str:
    return wrapped(f'"""{doc}"""', " " * indent).strip()
