"""The examples of the README and of docs/EXAMPLES.md run, each page from top to bottom."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import Server

README = Path(__file__).parents[1] / "README.md"
EXAMPLES = Path(__file__).parents[3] / "docs" / "EXAMPLES.md"


@pytest.fixture(autouse=True)
def kept_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("page", [README, EXAMPLES], ids=lambda page: page.name)
def test_the_examples_of_a_page_run(
    page: Path, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("URL", server.url)
    monkeypatch.setenv("TOKEN", server.new_token())
    examples = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert len(examples) > 10
    names: dict[str, Any] = {}
    for example in examples:
        # Paying needs a server with prices.
        if "x402" in example:
            compile(example, page.name, "exec")
            continue
        capsys.readouterr()
        exec(example, names)
        said = re.findall(r"print\(.*\)  # (.*)$", example, re.MULTILINE)
        if said:
            assert capsys.readouterr().out.splitlines() == said
    names["pb"].close()


def test_links_of_the_readme_lead_to_where_a_reader_of_the_package_can_go() -> None:
    targets = re.findall(r"\]\((.*?)\)", README.read_text())
    assert [target for target in targets if not target.startswith(("https:", "#"))] == []
