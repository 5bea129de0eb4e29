"""Makes `models.py` and `inputs.py` of the schemas, with datamodel-code-generator."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from document import JSON, PROBLEM, Document, Schema, description, snake, wrapped
from names import BY_HAND, SQL_PARAMS_DOC, SQL_ROWS_DOC

HEADER = '"""{about}\n\nGenerated from the OpenAPI document by `scripts/generate.py`: do not edit.\n"""'
OPTIONS = [
    "--input-file-type=openapi",
    "--target-python-version=3.10",
    "--frozen-dataclasses",
    "--keyword-only",
    "--use-schema-description",
    "--use-field-description",
    "--use-attribute-docstrings",
    "--use-single-line-docstring",
    "--enum-field-as-literal=all",
    "--output-datetime-class=datetime",
    "--use-standard-collections",
    "--use-union-operator",
    "--strict-nullable",
    "--disable-timestamp",
    "--formatters=builtin",
]
# Values of SQL have types of their own in Python, such as `bytes`: `SqlValue` of `payerbase._json`.
SQL_VALUE = "SqlValue"
SQL_PARAMS = "SqlParams"


def models(document: Document) -> str:
    """The results of calls, as dataclasses."""
    roots = ["Problem"]
    for _, _, raw in document.raw():
        for response in map(document.resolved, raw["responses"].values()):
            for media, content in response.get("content", {}).items():
                if media in (JSON, PROBLEM) and (name := document.name_of(content["schema"])):
                    roots.append(name)
        for schema in [parameter["schema"] for parameter in map(document.resolved, raw.get("parameters", []))]:
            roots += [name for name in [document.name_of(schema)] if name and _is_enum(document, name)]
        body = raw.get("requestBody", {}).get("content", {}).get(JSON)
        if body and raw["operationId"] not in BY_HAND:
            roots += [name for name in _reachable(document, body["schema"]) if _is_enum(document, name)]
    names = {name for root in roots for name in [root, *_reachable(document, {"$ref": f"#/{root}"})]}
    schemas = {name: _result(document, name) for name in sorted(names) if _has_model(document, name)}
    return _generated("Results of calls.", schemas, "dataclasses.dataclass")


def inputs(document: Document) -> str:
    """Objects inside of requests, as typed dictionaries."""
    names = set()
    for _, _, raw in document.raw():
        body = raw.get("requestBody", {}).get("content", {}).get(JSON)
        if body and raw["operationId"] not in BY_HAND:
            for member in document.resolved(body["schema"]).get("properties", {}).values():
                names |= set(_reachable(document, member))
    schemas = {
        name: _tidy(document, document.schemas[name], is_request=True)
        for name in sorted(names)
        if "properties" in document.schemas[name]
    }
    return _generated(
        "Objects inside of requests, for example the jobs of `queues.push_many`.", schemas, "typing.TypedDict"
    )


def _is_enum(document: Document, name: str) -> bool:
    return "enum" in document.schemas[name]


def _has_model(document: Document, name: str) -> bool:
    schema = document.schemas[name]
    return ("properties" in schema or "allOf" in schema or "enum" in schema) and not name.endswith("Page")


def _reachable(document: Document, schema: Any) -> list[str]:
    """The names of all schemas that a schema uses."""
    found: list[str] = []

    def visit(part: Any) -> None:
        if isinstance(part, list):
            for item in part:
                visit(item)
        if isinstance(part, dict):
            name = document.name_of(part)
            if name and name in document.schemas and name not in found:
                found.append(name)
                visit(document.schemas[name])
            for item in part.values():
                visit(item)

    visit(schema)
    return found


def _result(document: Document, name: str) -> Schema:
    schema = _tidy(document, document.schemas[name], is_request=False)
    if name == "SqlRows":
        rows = schema["properties"]["rows"]
        rows["items"]["items"] = {"$ref": f"#/components/schemas/{SQL_VALUE}"}
        rows["description"] = SQL_ROWS_DOC
    if name == "SqlResult":
        rowid = schema["allOf"][1]["properties"]["last_insert_rowid"]
        rowid |= {"type": ["integer", "null"], "description": rowid["description"].split(". Beyond")[0] + "."}
    return schema


def _tidy(document: Document, schema: Schema, *, is_request: bool) -> Schema:
    """A schema in the names of Python, without what only the server checks."""
    tidy: Schema = {key: schema[key] for key in ("type", "enum", "required", "additionalProperties") if key in schema}
    if is_request or tidy.get("additionalProperties") is not True or "properties" in schema:
        tidy.pop("additionalProperties", None)
    if schema.get("format") in ("date-time", "date"):
        tidy["format"] = schema["format"]
    if "required" in tidy:
        tidy["required"] = [snake(name) for name in tidy["required"]]
    if "properties" in schema:
        tidy["properties"] = {
            snake(name): _member(document, name, member, is_request) for name, member in schema["properties"].items()
        }
    if "allOf" in schema:
        first, second = schema["allOf"]
        tidy["allOf"] = [{"$ref": first["$ref"]}, _tidy(document, second, is_request=is_request)]
    if "items" in schema:
        tidy["items"] = _kind(document, schema["items"], is_request)
    if text := description(schema):
        tidy["description"] = _doc(document, text)
    return tidy


def _doc(document: Document, text: str) -> str:
    return wrapped(document.text(text), width=108)


def _member(document: Document, name: str, schema: Schema, is_request: bool) -> Schema:
    if is_request and name == "params":
        return {
            "anyOf": [{"$ref": f"#/components/schemas/{SQL_PARAMS}"}],
            "description": wrapped(SQL_PARAMS_DOC, width=108),
        }
    if "oneOf" in schema:
        kind: Schema = {"anyOf": [_kind(document, kind, is_request) for kind in schema["oneOf"]]}
    else:
        kind = _kind(document, schema, is_request)
    if "$ref" in kind:
        kind = {"anyOf": [kind]}
    return {**kind, "description": _doc(document, description(schema))}


def _kind(document: Document, schema: Schema, is_request: bool) -> Schema:
    """A schema for use in another one: models by their name, and what has no model in full."""
    name = document.name_of(schema)
    if not name:
        return _tidy(document, schema, is_request=is_request)
    reference = {"$ref": f"#/components/schemas/{name}"}
    if _is_enum(document, name) and not is_request:
        # A later server may answer with another value.
        return {"anyOf": [reference, {"type": "string"}]}
    if _has_model(document, name):
        return reference
    return _tidy(document, document.schemas[name], is_request=is_request)


def _generated(about: str, schemas: dict[str, Schema], kind: str) -> str:
    overridden = {SQL_VALUE: f"payerbase._json.{SQL_VALUE}", SQL_PARAMS: f"payerbase._json.{SQL_PARAMS}"}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "payerbase", "version": "0"},
        "paths": {},
        "components": {"schemas": schemas | {name: {"type": "object"} for name in overridden}},
    }
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "schemas.json"), Path(folder, "types.py")
        source.write_text(json.dumps(document))
        command = [sys.executable, "-m", "datamodel_code_generator", *OPTIONS]
        command += [f"--output-model-type={kind}", f"--type-overrides={json.dumps(overridden)}"]
        command += [f"--custom-file-header={HEADER.format(about=about)}"]
        subprocess.run([*command, f"--input={source}", f"--output={target}"], check=True)
        return target.read_text()
