"""Reads calls from standard input, a line of JSON each, and prints what a generated client returns."""

import json
import re
import sys
from collections.abc import Callable
from typing import Any


def snake(name: str) -> str:
    """`retryDead` as `retry_dead`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def answer(send: Callable[[dict[str, Any]], Any]) -> None:
    for line in sys.stdin:
        try:
            result = {"result": send(json.loads(line))}
        except Exception as error:  # The test reports it.
            result = {"error": repr(error)}
        print(json.dumps(result, default=str), flush=True)
