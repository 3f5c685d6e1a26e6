"""What import-linter cannot see of the package's floors: the extension, and the package as a whole.

Its contracts are in pyproject.toml. It reads Python alone, and so takes `from deltaloop import
_core` for an import of the package itself, which the contracts therefore ignore.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "deltaloop"
EXTENSION = (PACKAGE / "_core.pyx", *sorted((PACKAGE / "_core").glob("*.px?")))

if not PACKAGE.exists():
    pytest.skip("not run from a source tree", allow_module_level=True)


FROM = re.compile(
    r"^[ \t]*from[ \t]+(deltaloop|\.)([\w.]*)[ \t]+import[ \t]+(\([^)]*\)|.*)", re.MULTILINE
)


def imports_of_cython(text: str) -> set[str]:
    """The names that are imported from the package, inside functions too, but for C's."""
    names = set()
    for line in FROM.finditer(text):
        module = line[2].strip(".")
        for name in re.findall(r"[\w*]+(?:[ \t]+as[ \t]+\w+)?", line[3].partition("#")[0]):
            names.add(f"{module}.{name}".strip(".").split()[0])
    for line in re.finditer(r"^[ \t]*import[ \t]+(.*\bdeltaloop\b.*)", text, re.MULTILINE):
        names.add(line[1])
    names.update(re.findall(r"\b(?:import_module|__import__)\b.*", text))
    return names


@pytest.mark.parametrize("path", EXTENSION, ids=lambda path: path.name)
def test_extension_imports_nothing_but_the_threads(path):
    assert imports_of_cython(path.read_text(encoding="utf-8")) <= {"_threads"}


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("from deltaloop import _threads", {"_threads"}),
        ("    from deltaloop import _threads, losses  # why", {"_threads", "losses"}),
        ("from deltaloop import (\n    _threads, losses,\n)", {"_threads", "losses"}),
        ("        from deltaloop._fit.arguments import check", {"_fit.arguments.check"}),
        ("from .losses import parts as p", {"losses.parts"}),
        ("import deltaloop.losses", {"deltaloop.losses"}),
        ("x = importlib.import_module('deltaloop.losses')", {"import_module('deltaloop.losses')"}),
        ("from deltaloop._mlp cimport *", set()),
        ("    >>> import deltaloop as dl", set()),
        ("import numpy as np", set()),
    ],
)
def test_imports_of_cython_are_seen(line, names):
    assert imports_of_cython(line + "\n") == names


def whole_package(tree: ast.AST) -> list[int]:
    """The lines that import the package itself, or a name of its `__init__`."""
    modules = {path.stem for path in PACKAGE.iterdir()}
    return [
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Import) and any(name.name == "deltaloop" for name in node.names))
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "deltaloop"
            and not {name.name for name in node.names} <= modules
        )
    ]


def test_only_the_command_line_imports_the_whole_package():
    found = {
        path.relative_to(PACKAGE).as_posix(): lines
        for path in PACKAGE.rglob("*.py")
        if (lines := whole_package(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert {name.partition("/")[0] for name in found} == {"cli"}
