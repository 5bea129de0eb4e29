"""What the client offers, compared with the document."""

from __future__ import annotations

import dataclasses
import inspect
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from payerbase import AsyncPayerbase, Payerbase, PayerbaseProblem, _json, _operations, _references, models
from payerbase._operation import Operation

DOCUMENT = json.loads((Path(__file__).parents[3] / "openapi" / "openapi.json").read_text())
IDS = {raw["operationId"] for item in DOCUMENT["paths"].values() for raw in item.values()}
OPERATIONS = [value for value in vars(_operations).values() if isinstance(value, Operation)]


def methods(client: Payerbase | AsyncPayerbase) -> dict[str, Any]:
    """The methods of all groups by their names, such as `counters.increment`."""
    groups = {name: group for name, group in vars(client).items() if not name.startswith("_")}
    found = {
        f"{name}.{method}": function
        for name, group in groups.items()
        for method, function in inspect.getmembers(group, inspect.ismethod)
        if not method.startswith("_")
    }
    return found | {"transact": client.transact}


def test_every_operation_can_be_reached() -> None:
    source = "".join(inspect.getsource(function) for function in methods(Payerbase("http://x", "pb_live_t")).values())
    source += inspect.getsource(_references)
    constants = {name for name, value in vars(_operations).items() if isinstance(value, Operation)}
    assert {operation.id for operation in OPERATIONS} == IDS
    assert [name for name in constants if f"_operations.{name}" not in source] == []


def test_both_clients_offer_the_same() -> None:
    sync, asynchronous = methods(Payerbase("http://x", "pb_live_t")), methods(AsyncPayerbase("http://x", "pb_live_t"))
    assert sync.keys() == asynchronous.keys()
    for name, method in sync.items():
        assert list(inspect.signature(method).parameters) == list(inspect.signature(asynchronous[name]).parameters)


def test_everything_public_is_described() -> None:
    undescribed = [name for name, method in methods(Payerbase("http://x", "pb_live_t")).items() if not method.__doc__]
    assert undescribed == []


def test_the_names_of_members_lead_back_to_those_of_the_api() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for model in vars(models).values():
        if dataclasses.is_dataclass(model) and isinstance(model, type):
            parts = [schemas[model.__name__], *schemas[model.__name__].get("allOf", [])]
            wire = {name for part in parts for name in part.get("properties", {})}
            assert wire <= {_json.camel(field.name) for field in dataclasses.fields(model)}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_every_result_can_be_decoded(operation: Operation[Any]) -> None:
    if operation.answer == "json":
        assert callable(_json.decoder(operation.result))


def test_members_and_values_of_later_servers_are_tolerated() -> None:
    status = {"queue": "q", "pending": 1, "oldestPendingAt": "2026-11-23T16:47:00.123456Z", "later": {"a": 1}}
    status |= dict.fromkeys(["completed", "dead", "delayed", "running", "total"], 0)
    decoded: models.QueueStatus = _json.decoder(models.QueueStatus)(status)
    assert decoded.oldest_pending_at == datetime(2026, 11, 23, 16, 47, 0, 123456, timezone.utc)
    problem = PayerbaseProblem(
        {
            "type": "/problems#later",
            "title": "-",
            "status": 418,
            "detail": "-",
            "instance": "1",
            "code": "later",
            "new": 1,
        }
    )
    assert (problem.code, problem.status, problem.members["new"]) == ("later", 418, 1)
    entry = {"id": "1", "at": "2026-11-23T16:47:00Z", "kind": "fee", "amount": "-1", "asset": "a", "network": "n"}
    assert _json.decoder(models.LedgerEntry)(entry | {"reference": None}).kind == "fee"
