"""openapi-generator, python."""

import sys
from typing import Any

sys.path.insert(0, "clients/python")

import openapi_client  # noqa: E402
from calls import answer, snake  # noqa: E402


def send(call: dict[str, Any]) -> Any:
    configuration = openapi_client.Configuration(host=call["url"], access_token=call["token"])
    with openapi_client.ApiClient(configuration) as client:
        api = getattr(openapi_client, f"{call['tag'].capitalize()}Api")(client)
        given = {}
        if call["body"] is not None:
            model = getattr(openapi_client, call["schema"])
            # `from_dict` sends `null` for absent members, which clears values; it is needed for a `oneOf`.
            read = model.from_dict if call["schema"] == "Transaction" else model.model_validate
            given[snake(call["schema"])] = read(call["body"])
        result = getattr(api, snake(call["operation"]))(**call["params"], **given)
    return result.to_dict() if hasattr(result, "to_dict") else None


answer(send)
