"""docs/reference/errors.md: each message that it explains is one of the package's."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import deltaloop
from deltaloop.solvers import SOLVERS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "errors.md"
TEXT = PAGE.read_text(encoding="utf-8")
SOURCES = Path(deltaloop.__file__).parent


def texts() -> list[str]:
    """All texts of the package, joined as Python joins them, with dots in place of values."""
    found = []
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [n.value if isinstance(n, ast.Constant) else "..." for n in node.values]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    core = (SOURCES / "_core.pyx").parent / "_extension"
    for path in core.glob("*.pxi"):
        found.append(re.sub(r'"\s*\n\s*"', "", path.read_text(encoding="utf-8")))
    return found


def messages() -> list[str]:
    """The first cells of the tables whose first column is a message."""
    tables = re.findall(r"^\| message \| remedy \|\n\| --- \| --- \|\n((?:\|.*\n)+)", TEXT, re.M)
    return [re.match(r"\| `(.*?)` \|", row)[1] for table in tables for row in table.splitlines()]


@pytest.fixture(scope="module")
def said() -> list[str]:
    if not (SOURCES / "_extension").exists():
        pytest.skip("not run from a source tree")
    return texts()


@pytest.mark.parametrize("message", messages())
def test_message_is_one_of_the_package(message, said):
    """Its words stand in one text, in their order; dots may stand for anything."""
    pieces = [re.escape(piece.strip()) for piece in message.split("...") if piece.strip(" ,.")]
    pattern = re.compile(".*?".join(pieces), re.S)
    assert any(pattern.search(text) for text in said), message


def test_each_warning_and_reason_is_explained():
    for name in deltaloop.__all__:
        value = getattr(deltaloop, name)
        if isinstance(value, type) and issubclass(value, Warning | Exception):
            assert f"| `deltaloop.{name}` |" in TEXT
    for reason in re.findall(r'``"(\w+)"``', deltaloop.FitResult.__doc__):
        own = any(reason in kind._stop_reasons for kind in SOLVERS.values())
        assert own or f'| `"{reason}"` |' in TEXT, reason
