"""The examples of the README run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support import Server

README = Path(__file__).parents[1] / "README.md"


def test_the_examples_of_the_readme_run(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("URL", server.url)
    monkeypatch.setenv("TOKEN", server.new_token())
    examples = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(examples) > 10
    names: dict[str, Any] = {}
    for example in examples:
        # Paying needs a server with prices.
        if "x402" in example:
            compile(example, "README.md", "exec")
        else:
            exec(example, names)
    names["pb"].close()
