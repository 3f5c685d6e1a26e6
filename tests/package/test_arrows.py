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
EXTENSION = (PACKAGE / "_core.pyx", *sorted((PACKAGE / "_extension").glob("*.px?")))

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


def whole_package(text: str, package: str) -> list[int]:
    """The lines that import the package itself, or a name of its `__init__`.

    `package` is the one that the text is in, from which relative imports count.
    """
    modules = {path.stem for path in PACKAGE.iterdir()}
    lines = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            whole = any(name.name == "deltaloop" for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = parts[: len(parts) + 1 - node.level] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            names = {name.name for name in node.names}
            whole = source == "deltaloop" and not names <= modules
        else:
            continue
        if whole:
            lines.append(node.lineno)
    return lines


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("import deltaloop as dl", True),
        ("import numpy, deltaloop", True),
        ("def f():\n    from deltaloop import Network", True),
        ("from .. import Network", True),
        ("from .. import _core, Network as N", True),
        ("from .. import *", True),
        ("from deltaloop import _core, _scalars", False),
        ("from .. import _core", False),
        ("from . import model", False),
        ("from .paths import naming", False),
        ("from ..network import Network", False),
        ("import deltaloop.network", False),
    ],
)
def test_imports_of_the_whole_package_are_seen(line, found):
    assert bool(whole_package(line, "deltaloop._files")) == found
    if line.startswith("from .. "):
        assert bool(whole_package(line.replace("..", ".", 1), "deltaloop")) == found


def test_only_the_command_line_imports_the_whole_package():
    found = {}
    for path in PACKAGE.rglob("*.py"):
        package = ".".join(path.parent.relative_to(PACKAGE.parent).parts)
        if lines := whole_package(path.read_text(encoding="utf-8"), package):
            found[path.relative_to(PACKAGE).as_posix()] = lines
    assert {name.partition("/")[0] for name in found} == {"cli"}
