"""Writes the generated files of the client.

    python scripts/generate.py            writes them
    python scripts/generate.py --check    fails if they differ

Needs the development dependencies (`pip install -e '.[dev]'`). What comes from where:

- `models.py`, `inputs.py`: the schemas of the OpenAPI document, by datamodel-code-generator;
- `_operations.py`, `_async/calls/`, `_transacted/`: its operations, with the names in `names.py`;
- `_sync/`, also of the tests: made of `_async/`, word by word.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import calls
import schemas
from document import Document

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "src/payerbase"
DOCUMENT = ROOT.parent.parent / "openapi" / "openapi.json"
GENERATED = [
    *(
        f"{PACKAGE}/{name}"
        for name in ("models.py", "inputs.py", "_operations.py", "_async/calls", "_transacted", "_sync")
    ),
    "tests/_sync",
]

# From asyncio to threads.
WORDS = [
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"pytestmark = pytest.mark.anyio\n", ""),
    (r"\btasks\b", "threads"),
    (r"\bAsyncGenerator\[(\w+), None\]", r"Generator[\1, None, None]"),
    (r"\bAwaitable\[(\w+)\]", r"\1"),
    (r"\basynccontextmanager\b", "contextmanager"),
    (r"\b__a(enter|exit|iter)__\b", r"__\1__"),
    (r"\baclose\b", "close"),
    (r"\b_tasks\b", "_threads"),
    (r"\b_async\b", "_sync"),
    (r"\bAsync(?=[A-Z])", ""),
]


def main() -> None:
    """Writes or compares the files."""
    document = Document(json.loads(DOCUMENT.read_text()))
    files = {"models.py": schemas.models(document), "inputs.py": schemas.inputs(document), **calls.files(document)}
    files["_async/calls/__init__.py"] = f'"""The calls of the API, for asyncio.\n\n{calls.NOTE}\n"""\n'
    wanted = {f"{PACKAGE}/{path}": formatted(text) for path, text in files.items()}
    by_hand = [*ROOT.glob(f"{PACKAGE}/_async/*.py"), *ROOT.glob("tests/_async/*.py")]
    for path, text in [*wanted.items(), *((str(path.relative_to(ROOT)), path.read_text()) for path in by_hand)]:
        if "/_async/" in path:
            wanted[path.replace("/_async/", "/_sync/")] = synchronous(path, text)
    now = {str(path.relative_to(ROOT)): path.read_text() for name in GENERATED for path in python_files(ROOT / name)}
    changed = sorted(path for path in now.keys() | wanted.keys() if now.get(path) != wanted.get(path))
    print("\n".join(changed))
    if "--check" in sys.argv[1:]:
        sys.exit("These files are not up to date: run scripts/generate.py" if changed else 0)
    for path in changed:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(wanted[path]) if path in wanted else (ROOT / path).unlink()


def python_files(path: Path) -> list[Path]:
    """The file, or the files of the folder."""
    return sorted(path.rglob("*.py")) if path.is_dir() else [path] * path.exists()


def synchronous(path: str, text: str) -> str:
    """The file for threads."""
    for pattern, replacement in WORDS:
        text = re.sub(pattern, replacement, text)
    if "/calls/" not in path and text.startswith('"""'):
        title, end, rest = text[3:].partition('"""')
        text = f'"""{title}\n\nMade of `{path}` by `scripts/generate.py`: do not edit.\n{end}{rest}'
    elif "/calls/" not in path:
        text = f"# Made of `{path}` by `scripts/generate.py`: do not edit.\n\n{text}"
    return formatted(text.replace("for asyncio", "for threads"))


def formatted(text: str) -> str:
    """The text as `ruff format` writes it, with sorted imports and without unused ones."""
    for command in (["check", "--quiet", "--fix", "--select=F401,I"], ["format", "--quiet"]):
        run = [sys.executable, "-m", "ruff", *command, "--config", str(ROOT / "pyproject.toml")]
        run += ["--stdin-filename", str(ROOT / PACKAGE / "generated.py"), "-"]
        text = subprocess.run(run, input=text, stdout=subprocess.PIPE, text=True, check=True).stdout
    return text


if __name__ == "__main__":
    main()
