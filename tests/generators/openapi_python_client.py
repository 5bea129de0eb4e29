"""openapi-python-client."""

import importlib
import sys
from typing import Any

sys.path.insert(0, "clients/openapi-python-client")

from calls import answer, snake  # noqa: E402
from payerbase_client import AuthenticatedClient, models  # noqa: E402


def send(call: dict[str, Any]) -> Any:
    client = AuthenticatedClient(base_url=call["url"], token=call["token"], raise_on_unexpected_status=True)
    module = importlib.import_module(f"payerbase_client.api.{call['tag']}.{snake(call['operation'])}")
    given = {}
    if call["body"] is not None:
        given["body"] = getattr(models, call["schema"]).from_dict(call["body"])
    response = module.sync_detailed(client=client, **call["params"], **given)
    if response.status_code >= 400:
        raise ValueError(response.content)
    parsed = response.parsed
    return parsed.to_dict() if hasattr(parsed, "to_dict") else None


answer(send)
